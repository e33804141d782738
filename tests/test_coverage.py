"""Simulations: do 95 % intervals cover 95 %, and does exact McNemar keep its level?

The grid: n = 100 and 400; accuracies 0.6, 0.7, 0.8, 0.9, 0.95; AUCs 0.6, 0.7, 0.8, 0.9, 0.95 (two normal
distributions) with 50 % and 30 % positives; 2,000 draws each.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from toolbox.statistics import delong
from toolbox.statistics.proportions import mcnemar_exact, wilson

DRAWS = 2000
SIZES = (100, 400)
VALUES = (0.6, 0.7, 0.8, 0.9, 0.95)


def summary(what: str, covered: dict[tuple[float, ...], float]) -> None:
    worst = min(covered, key=lambda key: covered[key])
    mean = np.mean(list(covered.values()))
    print(f"{what}: mean {mean:.4f}, least {covered[worst]:.4f} at {worst}, most {max(covered.values()):.4f}")
    assert 0.93 <= mean <= 0.97
    assert covered[worst] >= 0.91


@pytest.mark.slow
def test_wilson_covers() -> None:
    rng = np.random.default_rng(0)
    covered = {}
    for n in SIZES:
        ends = np.array([wilson(hits, n) for hits in range(n + 1)])
        for p in VALUES:
            found = ends[rng.binomial(n, p, DRAWS)]
            covered[n, p] = float(((found[:, 0] <= p) & (p <= found[:, 1])).mean())
    summary("accuracy (Wilson)", covered)


@pytest.mark.slow
def test_delong_covers() -> None:
    rng = np.random.default_rng(1)
    covered = {}
    for n in SIZES:
        for share in (0.5, 0.3):
            hits = np.arange(n) < share * n
            for auc in VALUES:
                shift = math.sqrt(2) * norm.ppf(auc)
                inside = 0
                for _ in range(DRAWS):
                    area = delong.one_vs_rest(hits, rng.normal(size=n) + shift * hits, np.arange(n), n)
                    assert area is not None
                    low, high = area.interval()
                    inside += low <= auc <= high
                covered[n, share, auc] = inside / DRAWS
    summary("AUC (DeLong, logit)", covered)


@pytest.mark.slow
def test_exact_mcnemar_keeps_its_level() -> None:
    """Both models are right equally often; the p-value must be below .05 in at most 5 % of the draws."""
    rng = np.random.default_rng(2)
    rejected = {}
    for n in SIZES:
        for discordant in (0.02, 0.05, 0.1, 0.2, 0.4):
            drawn = rng.multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], DRAWS)
            rejected[n, discordant] = float(np.mean([mcnemar_exact(a, b) < 0.05 for a, b, _ in drawn.tolist()]))
    worst = max(rejected, key=lambda key: rejected[key])
    print(f"exact McNemar: rejects at most {rejected[worst]:.4f} at {worst}")
    # The level is exact, so a simulation of 2,000 draws may only miss it by its own error; it stays below even so.
    assert rejected[worst] <= 0.05
    # And without simulation, over every number of discordant samples:
    for total in range(1, 161):
        chance = sum(math.comb(total, k) for k in range(total + 1) if mcnemar_exact(k, total - k) < 0.05) / 2**total
        assert chance <= 0.05
