"""The result of a comparison, and the verdict that follows from it.

A winner needs both: p below .05, and a 95 % interval of the difference without 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from toolbox.statistics.scores import METRICS
from toolbox.statistics.wording import format_difference, format_p_value, format_points

Verdict = Literal["a", "b", "not distinguishable"]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """How much ``b`` is above ``a`` in ``metric``.

    ``difference`` is b - a; ``low`` and ``high`` are the ends of its 95 % interval, made by ``interval``; ``p_value``
    is two-sided, by ``test``. ``n`` samples in ``units`` groups (as many as samples where there are none).
    ``needed``: samples that would show a difference of this size with 80 % power; ``None`` where no number would, or
    where the difference is 0. ``adjusted``: the p-value after Holm's correction, where there are several comparisons.
    ``a_values``, ``b_values``: one for each pair of runs.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    interval: str
    n: int
    units: int
    needed: int | None = None
    adjusted: float | None = None
    a_values: tuple[float, ...] = ()
    b_values: tuple[float, ...] = ()
    names: tuple[str, str] = field(default=("A", "B"))

    @property
    def deciding_p(self) -> float:
        """The adjusted p-value where there is one."""
        return self.p_value if self.adjusted is None else self.adjusted

    @property
    def verdict(self) -> Verdict:
        """``"a"``, ``"b"``, or ``"not distinguishable"``."""
        if not (self.deciding_p < SIGNIFICANT and (self.low > 0 or self.high < 0)):
            return "not distinguishable"
        return "b" if (self.difference > 0) == METRICS[self.metric].higher_is_better else "a"

    @property
    def words(self) -> str:
        """The verdict as a sentence with its figures."""
        return _sentence(self)


def _sentence(comparison: Comparison) -> str:
    """Describe the verdict and its figures, from the winner's side if there is one."""
    info = METRICS[comparison.metric]
    # Differences of shares are given in percentage points; accuracy is the default and stays unnamed.
    share = info.share and comparison.metric != "auc"
    p = format_p_value(comparison.deciding_p) + (" after Holm" if comparison.adjusted is not None else "")
    named = "" if comparison.metric == "accuracy" else f"{info.label} "
    if comparison.verdict == "not distinguishable":
        figures = f"{named}{format_difference(comparison.difference, comparison.low, comparison.high, share)}, {p}"
        return f"not distinguishable on {_samples(comparison)} ({figures}); {_needed(comparison, share)}"
    winner, sign = (comparison.names[1], 1) if comparison.verdict == "b" else (comparison.names[0], -1)
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    return f"{winner} is better ({named}{format_difference(sign * comparison.difference, low, high, share)}, {p})"


def _samples(comparison: Comparison) -> str:
    text = f"{comparison.n:,} images"
    if comparison.units < comparison.n:
        text += f" of {comparison.units:,} groups"
    return text if len(comparison.a_values) < 2 else f"{text} with {len(comparison.a_values)} pairs of runs"


def _needed(comparison: Comparison, share: bool) -> str:
    if comparison.difference == 0:
        return "no difference was seen"
    size = format_points(comparison.difference, share)
    if comparison.needed is None:
        if len(comparison.a_values) > 1:
            return f"the spread between runs alone hides {size}: add seeds, not images"
        return f"the number of images needed to detect {size} can't be estimated"
    if comparison.needed <= comparison.n:
        # The observed difference was large by luck, or the test is stricter than the interval.
        return f"more images or seeds are needed to confirm a difference of {size}"
    return f"detecting {size} would take about {comparison.needed:,} images"
