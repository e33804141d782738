"""Bootstrap of everything that follows from a confusion matrix, and of the AUC, vectorised over resamples.

Samples of one group are drawn together (a cluster bootstrap: Field and Welsh, "Bootstrapping clustered data",
JRSS B 69, 2007); a sample of no group is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CHUNK = 200
"""Resamples at a time, so that memory stays bounded by this times the number of samples."""


def weights(groups: Sequence[str], count: int, resamples: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each sample stands in each resample: int64 ``[resamples, count]``."""
    names: dict[str, int] = {}
    units = [
        names.setdefault(f"group {groups[index]}" if groups and groups[index] else f"sample {index}", len(names))
        for index in range(count)
    ]
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, units]


def confusions(targets: Integers, predicted: Integers, classes: int, drawn: npt.NDArray[np.int64]) -> Floats:
    """The confusion matrix of each resample: float64 ``[resamples, classes, classes]``, rows true."""
    cell = np.zeros((len(targets), classes * classes))
    cell[np.arange(len(targets)), targets * classes + predicted] = 1
    return (drawn @ cell).reshape(len(drawn), classes, classes)


def macro(matrices: Floats) -> dict[str, Floats]:
    """Macro averages for ``[…, classes, classes]`` matrices, as scikit-learn defines them (0 where undefined).

    A class that is in neither truth nor predictions of a matrix is left out of its averages.
    """
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    truth, guessed, total = matrices.sum(-1), matrices.sum(-2), matrices.sum((-2, -1))[..., None]
    there = (truth + guessed) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.nan_to_num(hits / guessed)
        recall = np.nan_to_num(hits / truth)
        f1 = np.nan_to_num(2 * hits / (truth + guessed))
        specificity = np.nan_to_num((total - truth - guessed + hits) / (total - truth))

        def mean(values: Floats, counted: npt.NDArray[np.bool_]) -> Floats:
            result: Floats = (values * counted).sum(-1) / counted.sum(-1)
            return result

        return {
            "accuracy": hits.sum(-1) / total[..., 0],
            "precision": mean(precision, there),
            "recall": mean(recall, there),
            "specificity": mean(specificity, there),
            "f1": mean(f1, there),
            "balanced_accuracy": mean(recall, truth > 0),
        }


def aucs(positive: npt.NDArray[np.bool_], scores: Floats, drawn: npt.NDArray[np.int64]) -> Floats:
    """The AUC of each resample, by the Mann-Whitney statistic with ties counting half: float64 ``[resamples]``.

    NaN where a resample holds one class only.
    """
    ranks = rankdata(scores, method="dense").astype(np.int64) - 1
    levels = int(ranks.max()) + 1
    found = []
    for chunk in np.array_split(drawn, max(1, len(drawn) // _CHUNK)):
        hits = np.zeros((len(chunk), levels))
        misses = np.zeros((len(chunk), levels))
        np.add.at(hits.T, ranks[positive], chunk[:, positive].T)
        np.add.at(misses.T, ranks[~positive], chunk[:, ~positive].T)
        below = np.cumsum(misses, axis=1) - misses / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append((hits * below).sum(1) / (hits.sum(1) * misses.sum(1)))
    return np.concatenate(found)
