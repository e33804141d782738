"""Proportions and their paired differences: score intervals (Wilson, Tango), mid-p McNemar, Holm."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))
POWER = 0.8


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of the proportion ``hits / count`` (Wilson, JASA 22, 1927), by statsmodels."""
    low, high = proportion_confint(hits, count, alpha=1 - LEVEL, method="wilson")
    # Rounding must not put an end at 0 or 1 on the wrong side of the proportion.
    return min(max(0.0, float(low)), hits / count), max(min(1.0, float(high)), hits / count)


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Two-sided mid-p McNemar p-value for samples that only the one or only the other got right.

    The exact test's p-value less half the probability of what was observed: it keeps its level on average, where the
    exact test stays far below it. Source: Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013.
    """
    return sign_flip_mid_p(np.array([1] * only_b + [-1] * only_a, dtype=np.int64))


def sign_flip_mid_p(differences: npt.NDArray[np.int64]) -> float:
    """Two-sided mid-p value of the sign-flip test on whole-number differences, one a group.

    Under the null hypothesis either of two runs could have given either answer to a whole group, so every pattern of
    signs is as likely as any other; the distribution of the sum is computed, not drawn. Where no group holds more than
    one discordant sample this is the mid-p McNemar test. (The permutation test of Edgington and Onghena,
    Randomization Tests, 2007, with groups as units.)
    """
    sizes = np.abs(differences[differences != 0])
    observed = abs(int(differences.sum()))
    if observed == 0:
        return 1.0
    # With signs as coins, sum = 2 * heads - total, where heads is the total size of the groups that stay positive.
    total = int(sizes.sum())
    heads = np.zeros(total + 1)
    heads[0] = 1.0
    reach = 0
    for size in sizes.tolist():
        grown = heads[: reach + size + 1] * 0.5
        grown[size:] += heads[: reach + 1] * 0.5
        reach += size
        heads[: reach + 1] = grown
    sums = np.abs(2 * np.arange(total + 1) - total)
    return float(heads[sums > observed].sum() + heads[sums == observed].sum() / 2)


def tango(only_b: float, only_a: float, count: float, z: float = Z) -> tuple[float, float]:
    """Tango's score interval of the paired difference ``(only_b - only_a) / count``, 95 % by default.

    The values that the score test does not reject; it holds with empty cells and contains 0 exactly where McNemar's
    (asymptotic) test is not significant. Source: T. Tango, Statistics in Medicine 17 (1998), 891-908.
    """
    estimate = (only_b - only_a) / count

    def score(delta: float) -> float:
        a = 2 * count
        b = -only_b - only_a + (2 * count - only_b + only_a) * delta
        c = -only_a * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # P(only A is right), given the difference
        variance = count * (2 * q + delta * (1 - delta))
        distance = only_b - only_a - count * delta
        if variance <= 1e-15:
            return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    def edge(sign: int) -> float:
        bound = 1 - 1e-12
        start = -sign * bound
        if math.isclose(estimate, -sign):
            return float(-sign)
        at = brentq(lambda delta: max(-1e9, min(1e9, score(delta))) - sign * z, *sorted((start, estimate)), xtol=1e-12)
        return float(at)

    return edge(1), edge(-1)


def holm(p_values: list[float]) -> list[float]:
    """``p_values`` adjusted for there being several of them (Holm, Scandinavian J. of Statistics 6, 1979)."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]
