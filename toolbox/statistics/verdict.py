"""The result of a comparison, and the verdict that follows from it.

A winner needs both: p below .05, and a 95 % interval of the difference without 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolbox.statistics.scores import METRICS
from toolbox.statistics.wording import format_difference, format_p_value, format_points, format_signed

Verdict = Literal["a", "b", "not distinguishable"]
Scope = Literal["models", "training set", "methods"]
Equivalence = Literal["", "equivalent", "a at most worse", "b at most worse", "inconclusive"]
SIGNIFICANT = 0.05

MIN_SEEDS, MIN_FOLDS, MIN_GROUPS = 3, 5, 10
"""Seeds for a verdict on methods on one training set; folds for one on methods; groups for one without a warning."""

_CLAIMS: dict[Scope, tuple[str, str]] = {
    "models": (
        "these trained models",
        f"for the methods on this training set, train each with {MIN_SEEDS} seeds or more",
    ),
    "training set": (
        "these methods on this training set",
        f"for the methods on other training sets, cross-validate with {MIN_FOLDS} folds or more, repeated if you can",
    ),
    "methods": ("these methods on training sets of this size", ""),
}


@dataclass(frozen=True)
class Design:
    """What a comparison rests on: seeds for each test set, test sets (folds), and divisions into folds."""

    seeds: int = 1
    folds: int = 1
    divisions: int = 1

    @property
    def scope(self) -> Scope:
        """What the verdict holds for."""
        if self.folds >= MIN_FOLDS:
            return "methods"
        return "training set" if self.folds == 1 and self.seeds >= MIN_SEEDS else "models"


@dataclass(frozen=True)
class Comparison:
    """How much ``b`` is above ``a`` in ``metric``.

    ``difference`` is b - a; ``low`` and ``high`` are the ends of its 95 % interval, made by ``interval``, ``narrow``
    those of its 90 % interval; ``p_value`` is two-sided, by ``test``. ``n`` samples in ``units`` groups (as many as
    samples where there are none). ``detectable``: the true difference that this design shows with 80 % power; ``None``
    where it is beyond the metric's range. ``adjusted``: the p-value after Holm's correction, where several pairs of
    arms are compared. ``a_values``, ``b_values``: one for each pair of runs. ``names``: what sentences call the arms.
    ``margin``: the difference that is tolerated, in the metric's unit; 0 where none is. A comparison that is not
    ``primary`` describes and decides nothing.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    narrow: tuple[float, float]
    p_value: float
    test: str
    interval: str
    n: int
    units: int
    detectable: float | None = None
    adjusted: float | None = None
    a_values: tuple[float, ...] = ()
    b_values: tuple[float, ...] = ()
    names: tuple[str, str] = ("A", "B")
    letters: tuple[str, str] = ("A", "B")
    design: Design = Design()
    margin: float = 0.0
    primary: bool = True

    @property
    def deciding_p(self) -> float:
        """The adjusted p-value where there is one."""
        return self.p_value if self.adjusted is None else self.adjusted

    @property
    def verdict(self) -> Verdict:
        """``"a"``, ``"b"``, or ``"not distinguishable"``."""
        if not self.primary or not (self.deciding_p < SIGNIFICANT and (self.low > 0 or self.high < 0)):
            return "not distinguishable"
        return "b" if (self.difference > 0) == METRICS[self.metric].higher_is_better else "a"

    @property
    def winner(self) -> str:
        """The better arm's letter; empty where none can be called."""
        return {"a": self.letters[0], "b": self.letters[1]}.get(self.verdict, "")

    @property
    def label(self) -> str:
        """The metric's name for people."""
        return METRICS[self.metric].label

    @property
    def share(self) -> bool:
        """Whether differences are given in percentage points."""
        return METRICS[self.metric].share and self.metric != "auc"

    @property
    def equivalence(self) -> Equivalence:
        """What two one-sided tests at 5 % say of ``margin`` (Schuirmann, J. Pharmacokinetics and Biopharm. 15, 1987).

        The 90 % interval within the margin on both sides: equivalent; on one: that arm is at most so much worse.
        """
        if not self.margin:
            return ""
        low, high = self.narrow if METRICS[self.metric].higher_is_better else (-self.narrow[1], -self.narrow[0])
        if low > -self.margin and high < self.margin:
            return "equivalent"
        return "b at most worse" if low > -self.margin else "a at most worse" if high < self.margin else "inconclusive"

    @property
    def words(self) -> str:
        """The verdict as a sentence with its figures."""
        return _sentence(self) + (f"; {_margin_words(self)}" if self.margin else "")

    @property
    def scope_words(self) -> str:
        """What the verdict holds for, and what it would take to say more."""
        claim, more = _CLAIMS[self.design.scope]
        return f"This holds for {claim}{f'; {more}' if more else ''}."

    @property
    def warning(self) -> str:
        """Why the figures may be too optimistic; empty where there is no reason."""
        if self.units >= self.n or self.units >= MIN_GROUPS:
            return ""
        return f"only {self.units} groups: with fewer than {MIN_GROUPS}, intervals are unreliable and mostly too narrow"


def _sentence(comparison: Comparison) -> str:
    """Describe the verdict and its figures, from the winner's side if there is one."""
    info, share = METRICS[comparison.metric], comparison.share
    p = format_p_value(comparison.deciding_p) + (" after Holm" if comparison.adjusted is not None else "")
    # Accuracy is the default and stays unnamed.
    named = "" if comparison.metric == "accuracy" else f"{info.label} "
    if comparison.verdict == "not distinguishable":
        figures = f"{named}{format_difference(comparison.difference, comparison.low, comparison.high, share)}, {p}"
        return f"not distinguishable on {_samples(comparison)} ({figures}); {_detectable(comparison)}"
    winner, sign = (comparison.names[1], 1) if comparison.verdict == "b" else (comparison.names[0], -1)
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    return f"{winner} is better ({named}{format_difference(sign * comparison.difference, low, high, share)}, {p})"


def _samples(comparison: Comparison) -> str:
    text = f"{comparison.n:,} images"
    if comparison.units < comparison.n:
        text += f" of {comparison.units:,} groups"
    return text if len(comparison.a_values) < 2 else f"{text} with {len(comparison.a_values)} pairs of runs"


def _detectable(comparison: Comparison) -> str:
    units = f"{comparison.units:,} groups" if comparison.units < comparison.n else f"{comparison.n:,} images"
    if len(comparison.a_values) > 1:
        units += f" and {len(comparison.a_values)} pairs of runs"
    if comparison.detectable is None:
        return f"{units} can't show any difference with 80 % power"
    return f"with {units}, a true difference of {format_points(comparison.detectable, comparison.share)} shows in 80 %"


def _margin_words(comparison: Comparison) -> str:
    a, b = comparison.names
    size, (low, high) = format_points(comparison.margin, comparison.share), comparison.narrow
    ends = f"90 % CI {format_signed(low, comparison.share)} to {format_signed(high, comparison.share)}"
    return {
        "equivalent": f"equivalent within {size} ({ends})",
        "a at most worse": f"{a} is at most {size} worse than {b} ({ends})",
        "b at most worse": f"{b} is at most {size} worse than {a} ({ends})",
    }.get(comparison.equivalence, f"a difference of {size} can't be ruled out in either direction ({ends})")
