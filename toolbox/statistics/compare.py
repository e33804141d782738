"""Compare two models, or two arms of several runs each: the difference, its interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from toolbox.api.errors import UsageError, closest
from toolbox.statistics import bootstrap, delong
from toolbox.statistics.bootstrap import RESAMPLES
from toolbox.statistics.proportions import POWER, Z, images_needed, mcnemar_exact, sign_flip_exact, tango
from toolbox.statistics.scores import METRICS, PredictionSet
from toolbox.statistics.verdict import Comparison

Floats = npt.NDArray[np.float64]


def check_metric(metric: str) -> str:
    """Return ``metric`` if runs can be compared by it.

    Raises
    ------
    UsageError: no such metric.
    """
    if metric not in METRICS:
        raise UsageError(f"runs can't be compared by {metric!r}", closest(metric, METRICS))
    return metric


def compare_pair(a: PredictionSet, b: PredictionSet, metric: str = "accuracy", seed: int = 0) -> Comparison:
    """Compare two models on the same samples, in the same order, with the same units.

    Accuracy: exact McNemar and Tango's interval; with groups the exact sign-flip test over groups and a bootstrap of
    groups. AUC: DeLong's test, with groups in Obuchowski's form. Everything else: a paired bootstrap of units.

    Raises
    ------
    UsageError: the metric is unknown or not defined on these samples, or the samples differ.
    """
    check_metric(metric)
    if not np.array_equal(a.targets, b.targets) or a.probabilities.shape != b.probabilities.shape:
        raise UsageError("two models can only be compared on the same samples")
    first, second = a.value(metric), b.value(metric)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise UsageError(f"{METRICS[metric].label} is not defined on these samples", "Is a class missing?")
    n, units = len(a.targets), a.units.count
    comparison = Comparison(metric, first, second, second - first, 0.0, 0.0, 1.0, "", "", n, units)
    if metric == "auc" and a.area and b.area:
        low, high, p = delong.difference(a.area, b.area)
        name = "delong-by-group" if a.units.grouped else "delong"
        comparison = replace(comparison, low=low, high=high, p_value=p, test=name, interval=name)
        return replace(comparison, needed=_images_needed(comparison))
    if metric == "accuracy" and not a.units.grouped:
        only_a, only_b = int((a.correct & ~b.correct).sum()), int((b.correct & ~a.correct).sum())
        low, high = tango(only_b, only_a, n)
        p, needed = mcnemar_exact(only_a, only_b), images_needed((only_b - only_a) / n, (only_a + only_b) / n)
        return replace(comparison, low=low, high=high, p_value=p, test="mcnemar-exact", interval="tango", needed=needed)
    return _compare_by_bootstrap(a, b, comparison, seed)


def _compare_by_bootstrap(a: PredictionSet, b: PredictionSet, comparison: Comparison, seed: int) -> Comparison:
    metric, units = comparison.metric, a.units
    weights = bootstrap.draw_weights(units.count, RESAMPLES, bootstrap.generator("compare", metric, seed))
    leave_out = bootstrap.jackknife_weights(units.count)
    samples = b.metrics(weights, [metric])[metric] - a.metrics(weights, [metric])[metric]
    jackknife = b.metrics(leave_out, [metric])[metric] - a.metrics(leave_out, [metric])[metric]
    name = "bootstrap-by-group" if units.grouped else "bootstrap"
    interval = bootstrap.bca(comparison.difference, samples, jackknife)
    if interval is None:
        raise UsageError(f"too few samples to compare by {METRICS[metric].label}", "Most resamples lack a class.")
    p, test = bootstrap.p_value(comparison.difference, samples, jackknife), f"paired-{name}"
    if metric == "accuracy":
        by_unit = np.bincount(units.index, b.correct.astype(int) - a.correct.astype(int), units.count)
        p, test = sign_flip_exact(by_unit.astype(np.int64)), "sign-flip-exact-by-group"
    low, high = interval
    if np.ptp(samples) < 1e-12 and metric == "accuracy":
        # The same in every resample: take Tango's interval for this many units instead.
        ahead = comparison.difference * units.count
        low, high = tango(max(ahead, 0.0), max(-ahead, 0.0), units.count)
    comparison = replace(comparison, low=low, high=high, p_value=p, test=test, interval=name)
    return replace(comparison, needed=_images_needed(comparison))


def _images_needed(comparison: Comparison) -> int | None:
    """Samples at which the interval's width would leave room for 80 % power, its error shrinking as 1/sqrt(n)."""
    error = (comparison.high - comparison.low) / (2 * Z)
    if comparison.difference == 0 or error == 0:
        return None
    return max(2, math.ceil(comparison.n * ((Z + float(norm.ppf(POWER))) * error / comparison.difference) ** 2))


@dataclass(frozen=True)
class Pair:
    """Two runs on the same samples. ``names``: the unit of each sample by a name that all pairs share."""

    a: PredictionSet
    b: PredictionSet
    names: tuple[str, ...]


def compare_arms(pairs: Sequence[Pair], metric: str = "accuracy", seed: int = 0) -> Comparison:
    """Compare two arms by runs that are paired by seed or fold: the mean difference over the pairs.

    One pair: :func:`compare_pair`. Several: both the choice of samples and that of the seeds (or folds) make the mean
    difference vary; its variance is the sum of both parts less what they share (two-way clustering: Cameron, Gelbach
    and Miller, J. of Business & Economic Statistics 29, 2011), and never less than either part. The samples' part comes
    from a jackknife over units that all pairs share, that of the seeds from the spread between pairs. Interval and
    p-value are Student's, with Satterthwaite's degrees of freedom: with three seeds that differ much, they are wide.

    Raises
    ------
    UsageError: no pair, or what :func:`compare_pair` raises.
    """
    if not pairs:
        raise UsageError("two arms can only be compared by pairs of runs", "Train both with the same seeds.")
    comparisons = [compare_pair(pair.a, pair.b, metric, seed) for pair in pairs]
    a_values, b_values = (
        tuple(comparison.a for comparison in comparisons),
        tuple(comparison.b for comparison in comparisons),
    )
    names = sorted({name for pair in pairs for name in pair.names})
    n = len(pairs[0].names) if len(names) == len(set(pairs[0].names)) else sum(len(pair.names) for pair in pairs)
    if len(pairs) == 1:
        return replace(comparisons[0], a_values=a_values, b_values=b_values)
    differences = np.array([comparison.difference for comparison in comparisons])
    influence = _influences(pairs, metric, names) / len(pairs)
    of_units, shared = float((influence.sum(0) ** 2).sum()), float((influence**2).sum())
    of_pairs = float(differences.var(ddof=1)) / len(pairs)
    variance = max(of_units + of_pairs - shared, of_units, of_pairs)
    if variance < 1e-24:
        # Neither samples nor seeds differ: one pair holds all the information.
        return replace(comparisons[0], a_values=a_values, b_values=b_values)
    value, error = float(differences.mean()), math.sqrt(variance)
    rest = variance - of_pairs
    parts = rest**2 / max(1, influence.shape[1] - 1) + of_pairs**2 / (len(pairs) - 1)
    freedom = max(1.0, variance**2 / parts) if parts > 0 else 1.0
    reach = float(t.ppf(0.975, freedom)) * error
    p = float(2 * t.sf(abs(value) / error, freedom))
    comparison = Comparison(
        metric,
        float(np.mean(a_values)),
        float(np.mean(b_values)),
        value,
        max(-_range(metric), value - reach),
        min(_range(metric), value + reach),
        p,
        "two-way-t",
        "two-way-t",
        n,
        len(names),
        a_values=a_values,
        b_values=b_values,
    )
    return replace(comparison, needed=_images_needed_by_arms(comparison, of_units, variance - of_units))


def _range(metric: str) -> float:
    """How far two values of a metric can be apart."""
    info = METRICS[metric]
    return math.inf if info.least is None or info.most is None else info.most - info.least


def _influences(pairs: Sequence[Pair], metric: str, names: Sequence[str]) -> Floats:
    """How much each block of units pulls each pair's difference: float64 ``[pairs, blocks]``.

    Squares summed over blocks are the jackknife's variance of a pair's difference.
    """
    blocks = min(len(names), bootstrap.BLOCKS)
    block_of = {name: at % blocks for at, name in enumerate(names)}
    influence = np.zeros((len(pairs), blocks))
    for row, pair in zip(influence, pairs, strict=True):
        block = np.zeros(pair.a.units.count, dtype=np.int64)
        block[pair.a.units.index] = [block_of[name] for name in pair.names]
        present = np.unique(block)
        if metric == "auc" and pair.a.area and pair.b.area:
            pull = pair.b.area.positive + pair.b.area.negative - pair.a.area.positive - pair.a.area.negative
            row += np.bincount(block, pull, blocks)
            continue
        weights = (block[:, None] != present[None, :]).astype(np.float32)
        left_out = pair.b.metrics(weights, [metric])[metric] - pair.a.metrics(weights, [metric])[metric]
        left_out = np.where(np.isfinite(left_out), left_out, np.nanmean(left_out))
        count = len(present)
        row[present] = (left_out.mean() - left_out) * math.sqrt((count - 1) / count)
    return influence


def _images_needed_by_arms(comparison: Comparison, of_units: float, rest: float) -> int | None:
    """Samples with these seeds; ``None`` where the spread of the seeds alone hides the difference."""
    room = (comparison.difference / (Z + float(norm.ppf(POWER)))) ** 2 - rest
    if comparison.difference == 0 or room <= 0 or of_units == 0:
        return None
    return max(2, math.ceil(comparison.n * of_units / room))
