"""Intervals and tests against published values, other libraries, brute force, and their own laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from toolbox.statistics import bootstrap, delong
from toolbox.statistics.proportions import (
    Z,
    holm,
    mcnemar_mid_p,
    sign_flip_mid_p,
    tango,
    wilson,
)
from toolbox.statistics.scores import PredictionSet, Units
from toolbox.statistics.wording import format_p_value

cells = st.integers(0, 60)


# ------------------------------------------------------------------------------------------------ proportions


@given(count=st.integers(1, 500), data=st.data())
def test_wilson_is_scipys_and_statsmodels(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    ours = wilson(hits, count)
    assert ours == pytest.approx(tuple(stats.binomtest(hits, count).proportion_ci(0.95, "wilson")), abs=1e-9)
    assert ours == pytest.approx(proportion_confint(hits, count, method="wilson"), abs=1e-9)
    assert 0 <= ours[0] <= hits / count <= ours[1] <= 1


def test_tango_gives_the_published_intervals() -> None:
    # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014): airway hyper-responsiveness, 1 | 1 | 7 | 12.
    assert tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    # Tango's own remark on two empty off-diagonal cells: the ends are -+z²/(n + z²).
    for count in (5, 44, 1000):
        assert tango(0, 0, count) == pytest.approx((-(Z**2) / (count + Z**2), Z**2 / (count + Z**2)), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(only_b=cells, only_a=cells, rest=cells)
def test_tangos_ends_are_where_the_score_test_just_rejects(only_b: int, only_a: int, rest: int) -> None:
    count = only_b + only_a + rest
    if count == 0:
        return
    low, high = tango(only_b, only_a, count)
    assert -1 <= low <= (only_b - only_a) / count <= high <= 1
    assert tango(only_a, only_b, count) == pytest.approx((-high, -low), abs=1e-7)
    for end in (low, high):
        if abs(end) < 0.999:
            assert abs(_score(end, only_b, only_a, count)) == pytest.approx(Z, rel=1e-3)


def _score(delta: float, only_b: int, only_a: int, count: int) -> float:
    """Tango's statistic with the constrained maximum of the likelihood searched for, not solved for."""

    def minus_likelihood(q: float) -> float:
        cells = ((only_b, q + delta), (only_a, q), (count - only_b - only_a, 1 - 2 * q - delta))
        return -sum(number * math.log(max(p, 1e-300)) for number, p in cells if number)

    q = minimize_scalar(
        minus_likelihood, bounds=(max(0, -delta), (1 - delta) / 2), method="bounded", options={"xatol": 1e-12}
    ).x
    return (only_b - only_a - count * delta) / math.sqrt(count * (2 * q + delta * (1 - delta)))


@given(only_a=cells, only_b=cells, rest=st.integers(0, 200))
def test_tango_holds_zero_exactly_where_mcnemar_does_not_reject(only_a: int, only_b: int, rest: int) -> None:
    if only_a + only_b == 0:
        return
    low, high = tango(only_b, only_a, only_a + only_b + rest)
    chi2 = (only_a - only_b) ** 2 / (only_a + only_b)
    if abs(chi2 - Z**2) > 1e-6:
        assert (low <= 0 <= high) == (chi2 < Z**2)


@given(only_a=cells, only_b=cells)
def test_mid_p_mcnemar_is_the_exact_test_less_half_the_observed(only_a: int, only_b: int) -> None:
    total = only_a + only_b
    if only_a == only_b:
        assert mcnemar_mid_p(only_a, only_b) == 1
        return
    exact = mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue
    assert mcnemar_mid_p(only_a, only_b) == pytest.approx(exact - stats.binom.pmf(only_a, total, 0.5), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(-6, 6), max_size=9))
def test_the_sign_flip_test_counts_every_pattern(sizes: list[int]) -> None:
    patterns = list(itertools.product((-1, 1), repeat=len(sizes)))
    sums = np.array([abs(sum(sign * abs(size) for sign, size in zip(signs, sizes, strict=True))) for signs in patterns])
    observed = abs(sum(sizes))
    expected = 1.0 if observed == 0 else (sums > observed).mean() + (sums == observed).mean() / 2
    assert sign_flip_mid_p(np.array(sizes, dtype=np.int64)) == pytest.approx(expected)


def test_holms_correction_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == [] and holm([0.2]) == [0.2]


# ------------------------------------------------------------------------------------------------ areas


def placements(hits: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components from every pair, as the paper defines them."""
    positive, negative = scores[hits], scores[~hits]
    psi = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return psi.mean(1), psi.mean(0)


def singles(count: int) -> tuple[np.ndarray, int]:
    return np.arange(count), count


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(6, 60), levels=st.sampled_from([3, 10, 10**6]))
def test_fast_delong_is_the_slow_one(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    hits = np.arange(count) % 3 == 0
    first, second = (np.round((rng.normal(size=count) + hits) * levels) / levels for _ in range(2))
    a, b = (delong.one_vs_rest(hits, scores, *singles(count)) for scores in (first, second))
    assert a is not None and b is not None
    assert a.value == pytest.approx(sk.roc_auc_score(hits, first))
    (a10, a01), (b10, b01) = placements(hits, first), placements(hits, second)
    variance = a10.var(ddof=1) / len(a10) + a01.var(ddof=1) / len(a01)
    assert a.variance == pytest.approx(variance, abs=1e-12)
    between = (b10 - a10).var(ddof=1) / len(a10) + (b01 - a01).var(ddof=1) / len(a01)
    low, high, p = delong.difference(a, b)
    if between > 1e-12:
        z = (b.value - a.value) / math.sqrt(between)
        assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-9)
        assert (high - low) / 2 == pytest.approx(Z * math.sqrt(between), rel=1e-9)
    ends = a.interval()
    assert 0 <= ends[0] <= a.value <= ends[1] <= 1


def test_published_values_of_the_ct_ratings() -> None:
    """109 CT images rated 1 to 5 (Hanley & McNeil, Radiology 143, 1982); the figures are those of Stata's manual
    ([R] roctab), which takes DeLong's standard error: area 0.8932, standard error 0.0307, 0.83295 to 0.95339."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    scores = np.repeat(np.tile(np.arange(5.0), 2), [*normal, *abnormal])
    hits = np.repeat([False, True], [sum(normal), sum(abnormal)])
    found = delong.one_vs_rest(hits, scores, *singles(109))
    assert found is not None
    error = math.sqrt(found.variance)
    assert (round(found.value, 4), round(error, 4)) == (0.8932, 0.0307)
    assert (round(found.value - Z * error, 4), round(found.value + Z * error, 4)) == (0.8330, 0.9534)


def test_repeating_every_sample_in_its_group_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    hits = np.arange(40) % 2 == 0
    scores = rng.normal(size=40) + hits
    alone = delong.one_vs_rest(hits, scores, *singles(40))
    fivefold = delong.one_vs_rest(np.repeat(hits, 5), np.repeat(scores, 5), np.repeat(np.arange(40), 5), 40)
    naive = delong.one_vs_rest(np.repeat(hits, 5), np.repeat(scores, 5), *singles(200))
    assert alone and fivefold and naive
    assert fivefold.variance == pytest.approx(alone.variance) and naive.variance < 0.25 * alone.variance


def test_a_perfect_area_has_an_interval() -> None:
    hits = np.arange(100) < 50
    area = delong.one_vs_rest(hits, hits.astype(float), *singles(100))
    constant = delong.one_vs_rest(hits, np.full(100, 0.5), *singles(100))
    assert area is not None and constant is not None
    low, high = area.interval()
    assert 0.9 < low < 1 == high
    assert constant.interval()[0] < 0.5 < constant.interval()[1]
    low, high, p = delong.difference(constant, area)  # no variance in either
    assert 0 < low < 0.5 < high and p < 1e-6
    low, high, p = delong.difference(area, area)
    assert -0.1 < low < 0 < high < 0.1 and p == 1


# ------------------------------------------------------------------------------------------------ bootstrap


def test_bca_is_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    ours = np.random.default_rng(2)
    drawn = bootstrap.draw_weights(60, 20000, ours)
    samples = (values @ drawn) / 60
    left_out = bootstrap.jackknife_weights(60)
    jackknife = (values @ left_out) / left_out.sum(0)
    found = bootstrap.bca(values.mean(), samples, jackknife)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="BCa", rng=3).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.02)


def test_a_bootstrap_p_value_fits_its_interval() -> None:
    rng = np.random.default_rng(5)
    for shift in (0.0, 0.1, 0.2, 0.3, 0.4, 1.0):
        values = rng.exponential(size=80) - 1 + shift
        drawn, left_out = bootstrap.draw_weights(80, 4000, rng), bootstrap.jackknife_weights(80)
        samples, jackknife = (values @ drawn) / 80, (values @ left_out) / left_out.sum(0)
        found = bootstrap.bca(values.mean(), samples, jackknife)
        p = bootstrap.p_value(values.mean(), samples, jackknife)
        assert found is not None and (found[0] <= 0 <= found[1]) == (p > 0.05)
        assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.08)


def test_groups_are_drawn_whole() -> None:
    units = Units.from_groups(["a", "a", "", "b", "", "a"], 6)
    assert units.count == 4 and units.grouped and units.index.tolist() == [0, 0, 1, 2, 3, 0]
    drawn = bootstrap.draw_weights(4, 100, np.random.default_rng(0))
    assert drawn.shape == (4, 100) and (drawn.sum(0) == 4).all()
    assert not Units.from_groups(["a", "b", ""], 3).grouped


# ------------------------------------------------------------------------------------------------ metrics by weights


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), count=st.integers(8, 60), classes=st.integers(2, 5), levels=st.sampled_from([4, 10**6])
)
def test_weights_count_samples(seed: int, count: int, classes: int, levels: int) -> None:
    """A metric with weights is scikit-learn's on the samples repeated that often."""
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    raw = np.ceil(rng.random((count, classes)) * levels) / levels
    probabilities = raw / raw.sum(1, keepdims=True)
    units = Units.from_groups([f"g{at // 2}" for at in range(count)], count)
    weights = rng.integers(0, 4, (units.count, 3)).astype(np.float32)
    weights[: (classes + 1) // 2 + 1] = 1  # every class stays
    answers = PredictionSet(targets, probabilities, units)
    names = [
        "accuracy",
        "f1",
        "mcc",
        "kappa",
        "log_loss",
        "brier",
        "average_precision",
        "precision",
        "balanced_accuracy",
    ]
    found = answers.metrics(weights, names)
    for at in range(3):
        chosen = np.repeat(np.arange(count), weights[units.index, at].astype(int))
        truth, p = targets[chosen], probabilities[chosen]
        said = p.argmax(1)
        expected = {
            "accuracy": sk.accuracy_score(truth, said),
            "f1": sk.f1_score(truth, said, average="macro", zero_division=0),
            "precision": sk.precision_score(truth, said, average="macro", zero_division=0),
            "balanced_accuracy": np.mean([(said[truth == k] == k).mean() for k in range(classes)]),
            "mcc": sk.matthews_corrcoef(truth, said),
            "kappa": sk.cohen_kappa_score(truth, said),
            "log_loss": sk.log_loss(truth, p, labels=range(classes)),
            "brier": ((p[:, 1] - truth) ** 2).mean()
            if classes == 2
            else ((p - np.eye(classes)[truth]) ** 2).sum(1).mean(),
            "average_precision": np.mean([sk.average_precision_score(truth == k, p[:, k]) for k in range(classes)]),
        }
        for name in names:
            assert found[name][at] == pytest.approx(expected[name], abs=2e-5), name


def test_p_values_are_never_rounded_across_the_level() -> None:
    assert [format_p_value(p) for p in (0.02, 0.0496, 0.0504, 0.2, 1.0, 0.004, 0.0001)] == [
        "p = .02", "p = .0496", "p = .05", "p = .20", "p = 1.00", "p = .004", "p < .001",
    ]  # fmt: skip
