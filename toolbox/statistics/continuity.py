"""Draws that allow for an answer that was not seen: a perfect model on 20 images is not certainly perfect.

A bootstrap can only draw what is there. Where a class has no error, no resample has one, and intervals are too narrow
or have no width at all. Here units get exponential weights (the Bayesian bootstrap of Rubin, Annals of Statistics 9,
1981), and each class one more sample of weight 1 on average that is answered by its second choice. For the recall of
a class without an error this gives Clopper and Pearson's lower limit (Biometrika 26, 1934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from toolbox.statistics.bootstrap import Weights
from toolbox.statistics.scores import PredictionSet, Units

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_PER_CLASS = 20
"""Samples of each class, evenly spaced, whose second choice is drawn."""


def lacks_variety(targets: npt.NDArray[np.int64], outcome: Bools) -> bool:
    """Whether ``outcome`` is the same for all samples of some class. Both ``[N]``."""
    counts, positive = np.bincount(targets), np.bincount(targets, outcome)
    return bool(((counts > 0) & ((positive == 0) | (positive == counts))).any())


def extend(
    models: Sequence[PredictionSet], resamples: int, rng: np.random.Generator
) -> tuple[list[PredictionSet], Weights]:
    """The models' predictions with second choices added, and weights float32 ``[units, resamples]`` for them.

    ``models`` answered the same samples; each has one second choice for each class.
    """
    targets, units = models[0].targets, models[0].units
    chosen = _sample_of_classes(targets)
    switched = [np.repeat(np.arange(len(models)), len(chosen)) == at for at in range(len(models))]
    again = np.tile(chosen, len(models))
    index = np.concatenate([units.index, units.count + np.arange(len(again))])
    extended_units = Units(index, units.count + len(again), units.grouped)
    extended = [
        PredictionSet(
            np.concatenate([targets, targets[again]]),
            np.concatenate([model.probabilities, _answers(model.probabilities[again], mask)]),
            extended_units,
        )
        for model, mask in zip(models, switched, strict=True)
    ]
    weights = np.zeros((extended_units.count, resamples), dtype=np.float32)
    weights[: units.count] = rng.standard_exponential((units.count, resamples))
    unit_size = len(targets) / units.count
    for mask in switched:
        for label in np.unique(targets):
            rows = units.count + np.flatnonzero(mask & (targets[again] == label))
            weights[rng.choice(rows, resamples), np.arange(resamples)] = unit_size * rng.standard_exponential(resamples)
    return extended, weights


def _sample_of_classes(targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    members = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    picks = [rows[np.linspace(0, len(rows) - 1, min(len(rows), _PER_CLASS)).astype(int)] for rows in members]
    return np.concatenate(picks)


def _answers(probabilities: Floats, switched: Bools) -> Floats:
    """``probabilities`` with the two highest exchanged in the rows ``switched``."""
    result, rows = probabilities.copy(), np.flatnonzero(switched)
    order = np.argsort(-probabilities[rows], axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    result[rows, first], result[rows, second] = probabilities[rows, second], probabilities[rows, first]
    return result
