"""Every metric of a classification as a function of how often each unit is counted.

A *unit* is what is drawn together: a group (a patient), or a sample that stands alone. Whatever adds up over samples
is added up once a unit; a bootstrap, a jackknife and the point value are then the same function of different weights,
vectorised over them. Definitions are scikit-learn's.
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
Drawn = npt.NDArray[np.float32]

BINS = 15
"""Bins of equal width for the expected calibration error (Guo et al., ICML 2017)."""

_CHUNK = 250
"""Columns of weights at a time, so that memory stays bounded."""
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Info:
    """What a metric is called, what values it can have, and whether more is better."""

    label: str
    least: float | None = 0.0
    most: float | None = 1.0
    higher_is_better: bool = True
    share: bool = True


METRICS = {
    "accuracy": Info("accuracy"),
    "balanced_accuracy": Info("balanced accuracy"),
    "precision": Info("precision (macro)"),
    "recall": Info("recall (macro)"),
    "specificity": Info("specificity (macro)"),
    "f1": Info("F1 = DSC (macro)"),
    "auc": Info("AUC"),
    "average_precision": Info("average precision (macro)"),
    "mcc": Info("MCC", least=-1.0, share=False),
    "kappa": Info("Cohen's kappa", least=-1.0, share=False),
    "top_k": Info("top-k accuracy"),
    "log_loss": Info("log loss", most=None, higher_is_better=False, share=False),
    "brier": Info("Brier score", most=2.0, higher_is_better=False, share=False),
    "ece": Info("expected calibration error", higher_is_better=False, share=False),
}
"""Metrics by key. ``top_k`` is there for three classes and more."""


@dataclass(frozen=True)
class Units:
    """Which samples are drawn together. ``of``: int64 ``[N]``, the unit of each sample, 0 to ``count - 1``."""

    of: Integers
    count: int
    grouped: bool

    @staticmethod
    def from_groups(groups: Sequence[str], count: int) -> Units:
        """One unit a group; a sample without a group is a unit of its own."""
        numbers: dict[str, int] = {}
        names = groups or [""] * count
        of = [numbers.setdefault(f"g{name}" if name else f"s{at}", len(numbers)) for at, name in enumerate(names)]
        return Units(np.array(of, dtype=np.int64), len(numbers), len(numbers) < count)

    @property
    def noun(self) -> str:
        """``groups`` or ``samples``."""
        return "groups" if self.grouped else "samples"


@dataclass(frozen=True)
class Answers:
    """What a model said of samples: ``targets`` int64 ``[N]``, ``probabilities`` float64 ``[N, K]``, ``units``."""

    targets: Integers
    probabilities: Floats
    units: Units

    @property
    def classes(self) -> int:
        """How many."""
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> Integers:
        """The most probable class, int64 ``[N]``; the first where several are."""
        found: Integers = self.probabilities.argmax(1).astype(np.int64)
        return found

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the most probable class is the true one, ``[N]``."""
        found: npt.NDArray[np.bool_] = self.predicted == self.targets
        return found

    @cached_property
    def top_k(self) -> int:
        """The k of the top-k accuracy: 5, or 2 for few classes; 0 for two classes, where it would say nothing."""
        return 5 if self.classes > 5 else 2 if self.classes > 2 else 0

    @cached_property
    def in_top_k(self) -> npt.NDArray[np.bool_]:
        """Whether the true class is among the ``top_k`` most probable ones, ``[N]``."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, : self.top_k]
        found: npt.NDArray[np.bool_] = (order == self.targets[:, None]).any(1)
        return found

    @cached_property
    def area(self) -> delong.Area | None:
        """The AUC with its variance; ``None`` where a class is missing."""
        return delong.area(self.targets, self.probabilities, self.units.of, self.units.count)

    @cached_property
    def losses(self) -> tuple[Floats, Floats]:
        """Each sample's log loss and Brier score (for two classes that of the second one, as is the custom)."""
        true = self.probabilities[np.arange(len(self.targets)), self.targets]
        total = self.probabilities.sum(1)
        log_loss = -np.log(np.clip(true / total, _SMALLEST, 1 - _SMALLEST))
        if self.classes == 2:
            return log_loss, (self.probabilities[:, 1] - self.targets) ** 2
        return log_loss, (self.probabilities**2).sum(1) - 2 * true + 1

    @cached_property
    def bins(self) -> Integers:
        """The calibration bin of each sample's highest probability, int64 ``[N]``."""
        found: Integers = np.clip(np.ceil(self.probabilities.max(1) * BINS).astype(np.int64) - 1, 0, BINS - 1)
        return found

    @cached_property
    def sums(self) -> sparse.csr_array:
        """What adds up, by unit: ``[features, units]``; see :meth:`additive` for the features."""
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
        columns = np.tile(self.units.of[at], len(parts))
        return sparse.coo_array((values, (rows, columns)), shape=(3 * k + 3 + BINS, self.units.count)).tocsr()

    def additive(self, drawn: Drawn) -> dict[str, Floats]:
        """All metrics that follow from sums, and by class ``class_precision`` and the like, for weights ``[U, B]``.

        Metrics have shape ``[B]``, those by class ``[B, K]``; NaN where one is not defined.
        """
        total = np.concatenate(
            [self.sums @ part for part in np.array_split(drawn, max(1, drawn.shape[1] // _CHUNK), axis=1)], axis=1
        ).T
        k = self.classes
        hits, truth, guessed = total[:, :k], total[:, k : 2 * k], total[:, 2 * k : 3 * k]
        found = _of_counts(hits, truth, guessed)
        count = truth.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["log_loss"], found["brier"] = total[:, 3 * k] / count, total[:, 3 * k + 1] / count
            if self.top_k:
                found["top_k"] = total[:, 3 * k + 2] / count
            found["ece"] = np.abs(total[:, 3 * k + 3 :]).sum(1) / count
        return found

    def average_precision(self, drawn: Drawn) -> Floats:
        """Average precision of each class against the rest, ``[B, K]``; NaN where a class is missing."""
        each = [self._average_precision(k, drawn) for k in range(self.classes)]
        return np.stack(each, axis=1)

    def _average_precision(self, k: int, drawn: Drawn) -> Floats:
        order = np.argsort(-self.probabilities[:, k], kind="stable")
        units, hits = self.units.of[order], self.targets[order] == k
        if not hits.any():
            return np.full(drawn.shape[1], np.nan)
        # Precision is taken where a run of equal scores ends: ranks from the top, ties at their highest.
        ends = rankdata(-self.probabilities[order, k], method="max").astype(np.int64)[hits] - 1
        levels, level = np.unique(ends, return_inverse=True)
        # Sums between neighbouring ends, then over them: far fewer rows than samples where positives are rare.
        starts, last = np.concatenate([[0], levels[:-1] + 1]), int(levels[-1]) + 1
        top = np.flatnonzero(np.diff(level, prepend=-1))  # the first positive of each run of equal scores
        found = []
        for part in np.array_split(drawn, max(1, drawn.shape[1] // _CHUNK), axis=1):
            above = np.cumsum(np.add.reduceat(part[units[:last]], starts, axis=0), axis=0)
            mine = np.add.reduceat(part[units[hits]], top, axis=0)
            true = np.cumsum(mine, axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                gained = np.where(mine > 0, mine * (true / above), 0).sum(0, dtype=np.float64)
                found.append(gained / true[-1])
        return np.concatenate(found)

    def of(self, drawn: Drawn, names: Sequence[str]) -> dict[str, Floats]:
        """The metrics ``names`` for weights float32 ``[units, B]``, each ``[B]``. ``auc`` is not among them."""
        found = self.additive(drawn)
        if "average_precision" in names:
            each = self.average_precision(drawn)
            found["average_precision"] = each.mean(1)
        return {name: found[name] for name in names}

    def value(self, name: str) -> float:
        """One metric's value; NaN where it is not defined."""
        if name == "auc":
            return self.area.value if self.area else float("nan")
        return float(self.of(np.ones((self.units.count, 1), dtype=np.float32), [name])[name][0])


def _of_counts(hits: Floats, truth: Floats, guessed: Floats) -> dict[str, Floats]:
    """Metrics of confusion matrices by their diagonals and margins, each ``[B, K]``.

    Macro averages leave out a class that is in neither truth nor predictions; a ratio without a denominator counts as
    0 in them, and is NaN by class.
    """
    total = truth.sum(1)
    there = (truth + guessed) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = hits / guessed, hits / truth
        f1 = 2 * hits / (truth + guessed)
        specificity = (total[:, None] - truth - guessed + hits) / (total[:, None] - truth)

        def mean(values: Floats, counted: npt.NDArray[np.bool_]) -> Floats:
            result: Floats = (np.nan_to_num(values) * counted).sum(1) / counted.sum(1)
            return result

        agreed, expected = hits.sum(1), (truth * guessed).sum(1)
        spread = (total**2 - (truth**2).sum(1)) * (total**2 - (guessed**2).sum(1))
        by_chance = expected / total**2
        return {
            "accuracy": agreed / total,
            "precision": mean(precision, there),
            "recall": mean(recall, there),
            "specificity": mean(specificity, there),
            "f1": mean(f1, there),
            "balanced_accuracy": mean(recall, truth > 0),
            "mcc": np.where(spread > 0, (agreed * total - expected) / np.sqrt(np.where(spread > 0, spread, 1)), 0.0),
            "kappa": (agreed / total - by_chance) / (1 - by_chance),
            "class_precision": precision,
            "class_recall": recall,
            "class_specificity": specificity,
            "class_f1": f1,
        }
