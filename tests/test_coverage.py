"""Simulations: do 95 % intervals cover 95 %?

The grid: n = 100 and 400; accuracies 0.6, 0.7, 0.8, 0.9, 0.95; AUCs 0.6, 0.7, 0.8, 0.9, 0.95 (two normal
distributions) with 50 % and 30 % positives; 2,000 draws each.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tests.benchmarks.verdicts import designs
from toolbox.statistics import delong
from toolbox.statistics.proportions import wilson

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
def test_designs_keep_their_level() -> None:
    """A quicker run of ``tests/benchmarks/verdicts.py``: the aim is 3 to 6 %, give or take three standard errors."""
    reps = 300
    rates = designs(reps)
    print({key: round(rate, 3) for key, rate in rates.items()})
    room = 3 * math.sqrt(0.06 * 0.94 / reps)
    assert max(rates.values()) < 0.06 + room
    assert np.mean(list(rates.values())) == pytest.approx(0.045, abs=0.015)
