"""The ``graded`` evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.metrics import cohen_kappa_score

from toolbox.api.errors import UsageError, closest
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Metric, Table
from toolbox.api.statistics import generator

Grades = npt.NDArray[np.int64]


class Graded(Evaluator):
    """Figures for classes that have an order (grades, stages), where a near miss is better than a far one.

    ``weighted_kappa`` is Cohen's kappa with the squared (or plain) distance between grades as weights, the usual
    figure for diabetic retinopathy; ``mean_distance`` is by how many grades an answer is off on average. Intervals: a
    percentile bootstrap of samples, or of groups where there are some.

    Source: Cohen, "Weighted kappa", Psychological Bulletin 70(4), 1968; computed by scikit-learn.
    """

    perfect: ClassVar[Mapping[str, float]] = {"weighted_kappa": 1.0, "mean_distance": 0.0}

    def __init__(
        self,
        *,
        order: Annotated[
            list[str] | None, Field(description="the classes, from lowest to highest; by name without")
        ] = None,
        weights: Annotated[
            Literal["quadratic", "linear"], Field(description="how much a distance counts: its square, or itself")
        ] = "quadratic",
        resamples: Annotated[int, Field(ge=100, le=10_000, description="bootstrap resamples")] = 400,
    ) -> None:
        self.order = order
        self.weights = weights
        self.resamples = resamples

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class.

        Raises
        ------
        UsageError: no predictions, or an ``order`` that is not the classes.
        """
        if len(evidence.ids) == 0:
            raise UsageError("there are no predictions to evaluate")
        grade_of = self._grades(evidence.classes)
        # By id, so that nothing hangs on the order in which the samples come.
        by_id = sorted(range(len(evidence.ids)), key=lambda index: evidence.ids[index])
        true = grade_of[evidence.targets][by_id]
        answered = grade_of[evidence.probabilities.argmax(1)][by_id]
        groups = [evidence.groups[index] if evidence.groups else "" for index in by_id]
        resamples = list(self._resample(groups, evidence.seed))
        kappa = self._metric(self._kappa, true, answered, resamples, f"{self.weights}-weighted kappa")
        distance = self._metric(_distance, true, answered, resamples, "mean distance in grades")
        off = np.bincount(np.abs(true - answered), minlength=len(evidence.classes))
        rows = [(f"{grades} grades off", int(count)) for grades, count in enumerate(off)]
        table = Table("grades-off", "How far answers are off", ("distance", "samples"), rows)
        return Evaluation({"weighted_kappa": kappa, "mean_distance": distance}, tables=[table])

    def _grades(self, classes: Sequence[str]) -> Grades:
        """The grade of each class, by its number."""
        names = list(classes)
        order = self.order or sorted(names)
        for name in order:
            if name not in names:
                raise UsageError(f"graded: no class is called {name!r}", closest(name, names))
        if sorted(order) != sorted(names):
            raise UsageError(f"graded: 'order' must name all of {', '.join(names)}")
        return np.array([order.index(name) for name in names])

    def _resample(self, groups: list[str], seed: int) -> list[Grades]:
        """The samples of each resample: groups are drawn whole."""
        units: dict[str, list[int]] = {}
        for place, group in enumerate(groups):
            units.setdefault(group or f"sample {place}", []).append(place)
        members = [np.array(places) for places in units.values()]
        rng = generator("graded", seed)
        draws = rng.integers(0, len(members), (self.resamples, len(members)))
        return [np.concatenate([members[unit] for unit in each]) for each in draws]

    def _kappa(self, true: Grades, answered: Grades) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all of one grade: not defined, and said by None
            return float(cohen_kappa_score(true, answered, weights=self.weights))

    def _metric(
        self,
        of: Callable[[Grades, Grades], float],
        true: Grades,
        answered: Grades,
        resamples: list[Grades],
        label: str,
    ) -> Metric:
        value = of(true, answered)
        if not np.isfinite(value):
            return Metric(None, label=label, share=False)
        again = np.array([of(true[places], answered[places]) for places in resamples])
        known = again[np.isfinite(again)]
        if len(known) < len(again) / 2:
            return Metric(value, label=label, share=False)
        low, high = (float(end) for end in np.quantile(known, (0.025, 0.975)))
        return Metric(value, min(low, value), max(high, value), "percentile bootstrap", label, share=False)


def _distance(true: Grades, answered: Grades) -> float:
    return float(np.abs(true - answered).mean())
