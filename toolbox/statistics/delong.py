"""Areas under ROC curves: DeLong's variance in its fast form, for single samples and for groups of them.

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845; the computation by midranks of Sun and Xu,
IEEE Signal Processing Letters 21 (2014), 1389-1393; clustered samples after Obuchowski, Biometrics 53 (1997), 567-578;
for an area of 0 or 1, where DeLong's variance vanishes, the score-like interval of Newcombe, Statistics in Medicine 25
(2006), 559-573 (method 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from toolbox.statistics.proportions import Z

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_ZERO = 1e-14


@dataclass(frozen=True)
class Area:
    """An AUC (of several classes: the mean of each against the rest) with what its variance is made of.

    ``positive`` and ``negative``: float64 ``[units]``, what each unit adds to the deviation of the area as a positive
    and as a negative sample. ``sizes``: units with positives, with negatives.
    """

    value: float
    positive: Floats
    negative: Floats
    sizes: tuple[int, int]
    macro: bool = False

    @property
    def variance(self) -> float:
        """Of the area; units are independent, samples of one unit need not be."""
        return _variance(self.positive, self.negative, self.sizes, self.macro)

    @property
    def has_variance(self) -> bool:
        """Whether DeLong's variance says anything: not at 0, at 1, or where every score is the same."""
        return self.variance >= _ZERO and 0 < self.value < 1

    def interval(self, z: float = Z) -> tuple[float, float]:
        """On the logit scale, 95 % by default; Newcombe's where there is no variance to go by."""
        if not self.has_variance:
            return newcombe(self.value, *self.sizes, z)
        middle, spread = logit(self.value), math.sqrt(self.variance) / (self.value * (1 - self.value))
        return float(expit(middle - z * spread)), float(expit(middle + z * spread))


def one_vs_rest(hits: npt.NDArray[np.bool_], scores: Floats, unit: Integers, units: int) -> Area | None:
    """The AUC of ``scores`` for the samples ``hits``; ``None`` where a side is empty.

    ``hits``, ``scores``, ``unit``: ``[N]``; ``unit`` numbers the group of each sample from 0 to ``units - 1``.
    """
    m, n = int(hits.sum()), int((~hits).sum())
    if not m or not n:
        return None
    among_all = rankdata(scores)
    of_positive = (among_all[hits] - rankdata(scores[hits])) / n
    of_negative = 1 - (among_all[~hits] - rankdata(scores[~hits])) / m
    value = float(of_positive.mean())
    positive = np.bincount(unit[hits], (of_positive - value) / m, units).astype(np.float64)
    negative = np.bincount(unit[~hits], (of_negative - value) / n, units).astype(np.float64)
    return Area(value, positive, negative, (len(np.unique(unit[hits])), len(np.unique(unit[~hits]))))


def area(targets: Integers, probabilities: Floats, unit: Integers, units: int) -> Area | None:
    """The AUC of two classes, or the mean of one against the rest; ``None`` where a class is missing.

    ``targets``: int64 ``[N]``; ``probabilities``: float64 ``[N, K]``.
    """
    classes = probabilities.shape[1]
    if classes == 2:
        return one_vs_rest(targets == 1, probabilities[:, 1], unit, units)
    per_class = [one_vs_rest(targets == k, probabilities[:, k], unit, units) for k in range(classes)]
    areas = [part for part in per_class if part is not None]
    if len(areas) < classes:
        return None
    total = np.mean([part.positive + part.negative for part in areas], axis=0)
    sizes = min(part.sizes[0] for part in areas), min(part.sizes[1] for part in areas)
    return Area(float(np.mean([part.value for part in areas])), total, np.zeros(units), sizes, macro=True)


def difference(a: Area, b: Area, z: float = Z) -> tuple[float, float, float]:
    """``(low, high, p)`` of the difference ``b - a`` of two areas on the same samples; a 95 % interval by default.

    Where the variance of the difference vanishes (both perfect, perfect against constant) the two single intervals are
    combined instead, as if the areas were independent (Zou and Donner's MOVER, Statistics in Medicine 27, 2008), which
    errs on the wide side.
    """
    value = b.value - a.value
    variance = _variance(b.positive - a.positive, b.negative - a.negative, a.sizes, a.macro)
    if variance >= _ZERO:
        error = math.sqrt(variance)
        return value - z * error, value + z * error, float(2 * norm.sf(abs(value) / error))
    low, high = _mover(a, b, z)
    if value == 0:
        return low, high, 1.0
    towards = 0 if value > 0 else 1
    critical = float(brentq(lambda at: _mover(a, b, at)[towards], 1e-2, 40))
    return low, high, float(2 * norm.sf(critical))


def newcombe(value: float, m: int, n: int, z: float = Z) -> tuple[float, float]:
    """Newcombe's interval of an area on ``m`` positives and ``n`` negatives."""
    half = (m + n) / 2

    def error(theta: float) -> float:
        inner = 1 + (half - 1) * (1 - theta) / (2 - theta) + (half - 1) * theta / (1 + theta)
        return math.sqrt(max(0.0, theta * (1 - theta) * inner / (m * n)))

    start = min(1 - 1e-12, max(1e-12, value))
    low = 0.0 if value <= 0 else brentq(lambda theta: value - theta - z * error(theta), 0.0, start)
    high = 1.0 if value >= 1 else brentq(lambda theta: theta - value - z * error(theta), start, 1.0)
    return float(low), float(high)


def _variance(positive: Floats, negative: Floats, sizes: tuple[int, int], macro: bool) -> float:
    """Obuchowski's variance; DeLong's where every unit is one sample."""

    def inflated(total: float, count: int) -> float:
        # One unit alone says nothing of a spread; its own square is then all there is.
        return total * count / (count - 1) if count > 1 else total

    units = int(((positive != 0) | (negative != 0)).sum()) if macro else len(positive)
    if macro:
        return inflated(float((positive**2).sum()), units)
    both = float((positive * negative).sum())
    return (
        inflated(float((positive**2).sum()), sizes[0])
        + inflated(float((negative**2).sum()), sizes[1])
        + 2 * inflated(both, units)
    )


def _mover(a: Area, b: Area, z: float) -> tuple[float, float]:
    (low_a, high_a), (low_b, high_b) = a.interval(z), b.interval(z)
    value = b.value - a.value
    return (
        value - math.hypot(b.value - low_b, high_a - a.value),
        value + math.hypot(high_b - b.value, a.value - low_a),
    )
