"""Bootstrap of units (groups, or single samples): draws, BCa intervals, p-values.

Source: Efron, "Better bootstrap confidence intervals", JASA 82 (1987); drawing whole groups after Field and Welsh,
"Bootstrapping clustered data", JRSS B 69 (2007).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]

RESAMPLES = 2000
BLOCKS = 200
"""The jackknife leaves out a unit at a time, or one of this many blocks of units where there are more."""


def generator(*key: object) -> np.random.Generator:
    """A generator that depends on ``key`` alone."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def draw_weights(units: int, resamples: int, rng: np.random.Generator) -> Weights:
    """How often each unit stands in each resample: float32 ``[units, resamples]``."""
    units_drawn = rng.integers(0, units, (resamples, units)) + units * np.arange(resamples)[:, None]
    counts = np.bincount(units_drawn.ravel(), minlength=resamples * units).reshape(resamples, units)
    return np.ascontiguousarray(counts.T, dtype=np.float32)


def jackknife_weights(units: int) -> Weights:
    """The jackknife's weights: 1, and 0 for what is left out; float32 ``[units, min(units, BLOCKS)]``."""
    blocks = min(units, BLOCKS)
    weights = np.ones((units, blocks), dtype=np.float32)
    weights[np.arange(units), np.arange(units) % blocks] = 0
    return weights


def bca(value: float, samples: Floats, jackknife: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval; ``None`` where most resamples have no value.

    ``samples``: the statistic of each resample; ``jackknife``: of each :func:`jackknife_weights`. NaN are left out.
    """
    usable = samples[np.isfinite(samples)]
    if len(usable) < len(samples) / 2 or not np.isfinite(value):
        return None
    bias, acceleration = _bias(value, usable), _acceleration(jackknife)
    z = ndtri(0.5 + np.array([-level, level]) / 2)
    shifted = bias + z
    shares = ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(usable, shares)
    return float(low), float(high)


def interval(
    value: float, samples: Floats, jackknife: Floats, unseen: Floats | None = None, level: float = 0.95
) -> tuple[float, float]:
    """The BCa interval, as wide as that of the draws ``unseen`` at least, and around ``value``; NaN where none is.

    ``unseen``: see :mod:`toolbox.statistics.continuity`.
    """
    ends = [bca(value, samples, jackknife, level)]
    if unseen is not None:
        low, high = np.nanquantile(unseen, (0.5 - level / 2, 0.5 + level / 2))
        ends.append((float(low), float(high)))
    pairs = [pair for pair in ends if pair is not None]
    if not pairs:
        return math.nan, math.nan
    return min(value, *(low for low, _ in pairs)), max(value, *(high for _, high in pairs))


def p_value(value: float, samples: Floats, jackknife: Floats) -> float:
    """Two-sided p-value for a true value of 0: the smallest level whose BCa interval leaves 0 out."""
    usable = samples[np.isfinite(samples)]
    if not len(usable) or not np.isfinite(value):
        return 1.0
    bias, acceleration = _bias(value, usable), _acceleration(jackknife)
    w = float(ndtri(_share_below(usable, 0.0))) - bias
    # The share below 0 as the end of an interval, solved for the normal quantile that puts the end there.
    z = w / (1 + acceleration * w) - bias
    return float(min(1.0, 2 * ndtr(-abs(z))))


def _share_below(samples: Floats, value: float) -> float:
    tolerance = 1e-12
    below = (samples < value - tolerance).sum() + 0.5 * (np.abs(samples - value) <= tolerance).sum()
    # Never 0 or 1: so many draws can't say more than this.
    return float(np.clip(below, 0.5, len(samples) - 0.5) / len(samples))


def _bias(value: float, samples: Floats) -> float:
    return float(ndtri(_share_below(samples, value)))


def _acceleration(jackknife: Floats) -> float:
    usable = jackknife[np.isfinite(jackknife)]
    if len(usable) < 2:
        return 0.0
    away = usable.mean() - usable
    squares = float((away**2).sum())
    return float((away**3).sum() / (6 * squares**1.5)) if squares > 1e-24 else 0.0
