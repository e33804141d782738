"""Proportions and their paired differences: score intervals (Wilson, Tango), exact McNemar, sample size (Connor)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
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


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar p-value for samples that only the one or only the other got right, by statsmodels."""
    if only_a + only_b == 0:
        return 1.0
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def sign_flip_exact(differences: npt.NDArray[np.int64]) -> float:
    """Two-sided p-value of the exact sign-flip test on whole-number differences, one a group.

    Under the null hypothesis either of two runs could have given either answer to a whole group, so every pattern of
    signs is as likely as any other; the distribution of the sum is computed, not drawn. Where no group holds more than
    one discordant sample this is the exact McNemar test. (The permutation test of Edgington and Onghena,
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
    sums = 2 * np.arange(total + 1) - total
    return float(min(1.0, heads[np.abs(sums) >= observed].sum()))


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


def images_needed(difference: float, discordant: float, power: float = POWER) -> int | None:
    """Paired samples that a two-sided McNemar test at 5 % needs to see ``difference`` with ``power``.

    ``discordant``: the share of samples that one run alone gets right. ``None`` for no difference.
    Source: R. J. Connor, Biometrics 43 (1987), 207-211.
    """
    if difference == 0:
        return None
    size, share = abs(difference), max(discordant, abs(difference))
    root = Z * math.sqrt(share) + float(norm.ppf(power)) * math.sqrt(max(0.0, share - size**2))
    return math.ceil((root / size) ** 2)


def holm(p_values: list[float]) -> list[float]:
    """``p_values`` adjusted for there being several of them (Holm, Scandinavian J. of Statistics 6, 1979)."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]
