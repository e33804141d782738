"""Classification metrics as functions of how often each unit is counted.

A *unit* is what a bootstrap resamples together: a group (a patient), or a sample without a group. Additive quantities
are summed once per unit, so that the point value, a bootstrap and a jackknife are one function of different weights,
vectorized over them. Metrics are defined as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

from toolbox.statistics import delong

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]

BINS = 15
"""Bins of equal width for the expected calibration error (Guo et al., ICML 2017)."""

_CHUNK = 250
"""Columns of weights at a time, so that memory stays bounded."""
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric's label and range, and whether higher is better."""

    label: str
    least: float | None = 0.0
    most: float | None = 1.0
    higher_is_better: bool = True
    share: bool = True


METRICS = {
    "accuracy": MetricInfo("accuracy"),
    "balanced_accuracy": MetricInfo("balanced accuracy"),
    "precision": MetricInfo("precision (macro)"),
    "recall": MetricInfo("recall (macro)"),
    "specificity": MetricInfo("specificity (macro)"),
    "f1": MetricInfo("F1 = DSC (macro)"),
    "auc": MetricInfo("AUC"),
    "average_precision": MetricInfo("average precision (macro)"),
    "mcc": MetricInfo("MCC", least=-1.0, share=False),
    "kappa": MetricInfo("Cohen's kappa", least=-1.0, share=False),
    "top_k": MetricInfo("top-k accuracy"),
    "log_loss": MetricInfo("log loss", most=None, higher_is_better=False, share=False),
    "brier": MetricInfo("Brier score", most=2.0, higher_is_better=False, share=False),
    "ece": MetricInfo("expected calibration error", higher_is_better=False, share=False),
}
"""Metrics by key. ``top_k`` exists for three or more classes."""


@dataclass(frozen=True)
class Units:
    """Which samples are resampled together. ``index``: int64 ``[N]``, the unit of each sample, 0 to ``count - 1``."""

    index: Integers
    count: int
    grouped: bool

    @staticmethod
    def from_groups(groups: Sequence[str], count: int) -> Units:
        """Make each group a unit, and each sample without a group."""
        numbers: dict[str, int] = {}
        names = groups or [""] * count
        index = [numbers.setdefault(f"g{name}" if name else f"s{at}", len(numbers)) for at, name in enumerate(names)]
        return Units(np.array(index, dtype=np.int64), len(numbers), len(numbers) < count)

    @property
    def noun(self) -> str:
        """``groups`` or ``samples``."""
        return "groups" if self.grouped else "samples"


@dataclass(frozen=True)
class PredictionSet:
    """Predictions for labeled samples: ``targets`` int64 ``[N]``, ``probabilities`` float64 ``[N, K]``, ``units``."""

    targets: Integers
    probabilities: Floats
    units: Units

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> Integers:
        """The most probable class, int64 ``[N]``; the first where several are."""
        labels: Integers = self.probabilities.argmax(1).astype(np.int64)
        return labels

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the most probable class is the true one, ``[N]``."""
        matches: npt.NDArray[np.bool_] = self.predicted == self.targets
        return matches

    @cached_property
    def top_k(self) -> int:
        """The k of top-k accuracy: 5, 2 for up to five classes, 0 for two classes (not computed)."""
        return 5 if self.classes > 5 else 2 if self.classes > 2 else 0

    @cached_property
    def in_top_k(self) -> npt.NDArray[np.bool_]:
        """Whether the true class is among the ``top_k`` most probable ones, ``[N]``."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, : self.top_k]
        contained: npt.NDArray[np.bool_] = (order == self.targets[:, None]).any(1)
        return contained

    @cached_property
    def area(self) -> delong.Area | None:
        """The AUC with its variance; ``None`` where a class is missing."""
        return delong.area(self.targets, self.probabilities, self.units.index, self.units.count)

    @cached_property
    def losses(self) -> tuple[Floats, Floats]:
        """Each sample's log loss and Brier score (for two classes, that of the second one)."""
        true = self.probabilities[np.arange(len(self.targets)), self.targets]
        total = self.probabilities.sum(1)
        log_loss = -np.log(np.clip(true / total, _SMALLEST, 1 - _SMALLEST))
        if self.classes == 2:
            return log_loss, (self.probabilities[:, 1] - self.targets) ** 2
        return log_loss, (self.probabilities**2).sum(1) - 2 * true + 1

    @cached_property
    def bins(self) -> Integers:
        """The calibration bin of each sample's highest probability, int64 ``[N]``."""
        bins: Integers = np.clip(np.ceil(self.probabilities.max(1) * BINS).astype(np.int64) - 1, 0, BINS - 1)
        return bins

    @cached_property
    def sums(self) -> sparse.csr_array:
        """Additive quantities by unit, ``[features, units]``: the input of :meth:`additive`."""
        n, k = len(self.targets), self.classes
        at, one = np.arange(n), np.ones(n)
        log_loss, brier = self.losses
        right = self.correct.astype(float)
        confidence = self.probabilities.max(1)
        top = self.in_top_k.astype(float) if self.top_k else right
        parts = [
            (self.targets, right),
            (k + self.targets, one),
            (2 * k + self.predicted, one),
            (np.full(n, 3 * k), log_loss),
            (np.full(n, 3 * k + 1), brier),
            (np.full(n, 3 * k + 2), top),
            (3 * k + 3 + self.bins, right - confidence),
        ]
        rows = np.concatenate([row for row, _ in parts])
        values = np.concatenate([value for _, value in parts])
        columns = np.tile(self.units.index[at], len(parts))
        return sparse.coo_array((values, (rows, columns)), shape=(3 * k + 3 + BINS, self.units.count)).tocsr()

    def additive(self, weights: Weights) -> dict[str, Floats]:
        """Compute the metrics that follow from sums, overall and by class, for weights float32 ``[units, B]``.

        Metrics have shape ``[B]``, metrics by class ``[B, K]``; NaN where undefined.
        """
        sums = np.concatenate(
            [self.sums @ part for part in np.array_split(weights, max(1, weights.shape[1] // _CHUNK), axis=1)], axis=1
        ).T
        k = self.classes
        correct, truth, predicted = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k]
        metrics = _metrics_from_counts(correct, truth, predicted)
        count = truth.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            metrics["log_loss"], metrics["brier"] = sums[:, 3 * k] / count, sums[:, 3 * k + 1] / count
            if self.top_k:
                metrics["top_k"] = sums[:, 3 * k + 2] / count
            metrics["ece"] = np.abs(sums[:, 3 * k + 3 :]).sum(1) / count
        return metrics

    def average_precision(self, weights: Weights) -> Floats:
        """Average precision of each class against the rest, ``[B, K]``; NaN where a class is missing."""
        by_class = [self._average_precision(k, weights) for k in range(self.classes)]
        return np.stack(by_class, axis=1)

    def _average_precision(self, k: int, weights: Weights) -> Floats:
        order = np.argsort(-self.probabilities[:, k], kind="stable")
        units, hits = self.units.index[order], self.targets[order] == k
        if not hits.any():
            return np.full(weights.shape[1], np.nan)
        # Precision is taken where a run of equal scores ends: ranks from the top, ties at their highest.
        ends = rankdata(-self.probabilities[order, k], method="max").astype(np.int64)[hits] - 1
        levels, level = np.unique(ends, return_inverse=True)
        # Sums between neighbouring ends, then over them: far fewer rows than samples where positives are rare.
        starts, last = np.concatenate([[0], levels[:-1] + 1]), int(levels[-1]) + 1
        top = np.flatnonzero(np.diff(level, prepend=-1))  # the first positive of each run of equal scores
        values = []
        for part in np.array_split(weights, max(1, weights.shape[1] // _CHUNK), axis=1):
            above = np.cumsum(np.add.reduceat(part[units[:last]], starts, axis=0), axis=0)
            mine = np.add.reduceat(part[units[hits]], top, axis=0)
            true = np.cumsum(mine, axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                gained = np.where(mine > 0, mine * (true / above), 0).sum(0, dtype=np.float64)
                values.append(gained / true[-1])
        return np.concatenate(values)

    def metrics(self, weights: Weights, names: Sequence[str]) -> dict[str, Floats]:
        """The metrics ``names`` for weights float32 ``[units, B]``, each ``[B]``. ``auc`` is not among them."""
        values = self.additive(weights)
        if "average_precision" in names:
            by_class = self.average_precision(weights)
            values["average_precision"] = by_class.mean(1)
        return {name: values[name] for name in names}

    def value(self, name: str) -> float:
        """One metric's value; NaN where it is not defined."""
        if name == "auc":
            return self.area.value if self.area else float("nan")
        if name == "top_k" and not self.top_k:
            return float("nan")
        return float(self.metrics(np.ones((self.units.count, 1), dtype=np.float32), [name])[name][0])


def _metrics_from_counts(correct: Floats, truth: Floats, predicted: Floats) -> dict[str, Floats]:
    """Metrics of confusion matrices by their diagonals and margins, each ``[B, K]``.

    Macro averages leave out a class that is in neither truth nor predictions; a ratio without a denominator counts as
    0 in them and as NaN by class.
    """
    total = truth.sum(1)
    present = (truth + predicted) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = correct / predicted, correct / truth
        f1 = 2 * correct / (truth + predicted)
        specificity = (total[:, None] - truth - predicted + correct) / (total[:, None] - truth)

        def mean(values: Floats, included: npt.NDArray[np.bool_]) -> Floats:
            result: Floats = (np.nan_to_num(values) * included).sum(1) / included.sum(1)
            return result

        agreement, expected = correct.sum(1), (truth * predicted).sum(1)
        spread = (total**2 - (truth**2).sum(1)) * (total**2 - (predicted**2).sum(1))
        by_chance = expected / total**2
        return {
            "accuracy": agreement / total,
            "precision": mean(precision, present),
            "recall": mean(recall, present),
            "specificity": mean(specificity, present),
            "f1": mean(f1, present),
            "balanced_accuracy": mean(recall, truth > 0),
            "mcc": np.where(spread > 0, (agreement * total - expected) / np.sqrt(np.where(spread > 0, spread, 1)), 0.0),
            "kappa": (agreement / total - by_chance) / (1 - by_chance),
            "class_precision": precision,
            "class_recall": recall,
            "class_specificity": specificity,
            "class_f1": f1,
        }
