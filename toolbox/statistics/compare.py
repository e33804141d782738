"""Compare two models, or two arms of several runs each: the difference, its interval and a p-value."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from toolbox.api.errors import UsageError, closest
from toolbox.statistics import bootstrap, continuity, delong
from toolbox.statistics.bootstrap import RESAMPLES
from toolbox.statistics.designs import Estimate, average_over_folds, average_over_seeds
from toolbox.statistics.proportions import LEVEL, POWER, Z, mcnemar_mid_p, sign_flip_mid_p, tango
from toolbox.statistics.scores import METRICS, PredictionSet, Units
from toolbox.statistics.verdict import Comparison, Design

Floats = npt.NDArray[np.float64]
FoldKey = tuple[str, tuple[str, ...]]

NARROW = 0.9
"""The level of the interval that two one-sided tests at 5 % use."""

_Z_NARROW = float(norm.ppf(0.5 + NARROW / 2))


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

    Accuracy: mid-p McNemar and Tango's interval; with groups the sign-flip test over groups and a bootstrap of groups.
    AUC: DeLong's test, with groups in Obuchowski's form. Everything else: a paired bootstrap of units.

    Raises
    ------
    UsageError: the metric is unknown or not defined on these samples, or the samples differ.
    """
    first, second = _values(a, b, metric)
    n, units = len(a.targets), a.units.count
    comparison = Comparison(metric, first, second, second - first, 0.0, 0.0, (0.0, 0.0), 1.0, "", "", n, units)
    if metric == "auc" and a.area and b.area:
        name = "delong-by-group" if a.units.grouped else "delong"
        low, high, p = delong.difference(a.area, b.area)
        narrow = delong.difference(a.area, b.area, _Z_NARROW)[:2]
        comparison = replace(comparison, low=low, high=high, narrow=narrow, p_value=p, test=name, interval=name)
    elif metric == "accuracy" and not a.units.grouped:
        only_a, only_b = int((a.correct & ~b.correct).sum()), int((b.correct & ~a.correct).sum())
        low, high = tango(only_b, only_a, n)
        narrow, p = tango(only_b, only_a, n, _Z_NARROW), mcnemar_mid_p(only_a, only_b)
        test = "mcnemar-mid-p"
        comparison = replace(comparison, low=low, high=high, narrow=narrow, p_value=p, test=test, interval="tango")
    else:
        comparison = _compare_by_bootstrap(a, b, comparison, seed)
    error = (comparison.high - comparison.low) / (2 * Z)
    return replace(comparison, detectable=_within_range(metric, (Z + float(norm.ppf(POWER))) * error))


def _values(a: PredictionSet, b: PredictionSet, metric: str) -> tuple[float, float]:
    check_metric(metric)
    if metric == "top_k" and not a.top_k:
        raise UsageError("top-k accuracy needs three or more classes", "Compare by accuracy instead.")
    if not np.array_equal(a.targets, b.targets) or a.probabilities.shape != b.probabilities.shape:
        raise UsageError("two models can only be compared on the same samples")
    first, second = a.value(metric), b.value(metric)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise UsageError(f"{METRICS[metric].label} is not defined on these samples", "Is a class missing?")
    return first, second


def _range(metric: str) -> float:
    """How far two values of a metric can be apart."""
    info = METRICS[metric]
    return math.inf if info.least is None or info.most is None else info.most - info.least


def _within_range(metric: str, size: float) -> float | None:
    return size if size < _range(metric) else None


def _compare_by_bootstrap(a: PredictionSet, b: PredictionSet, comparison: Comparison, seed: int) -> Comparison:
    metric, units, value = comparison.metric, a.units, comparison.difference
    rng = bootstrap.generator("compare", metric, seed)

    def difference(models: Sequence[PredictionSet], weights: bootstrap.Weights) -> Floats:
        return models[1].metrics(weights, [metric])[metric] - models[0].metrics(weights, [metric])[metric]

    samples = difference((a, b), bootstrap.draw_weights(units.count, RESAMPLES, rng))
    jackknife = difference((a, b), bootstrap.jackknife_weights(units.count))
    discordant = a.correct != b.correct
    unseen = None
    if np.nanmax(samples) - np.nanmin(samples) < 1e-9 or continuity.lacks_variety(a.targets, discordant):
        unseen = difference(*continuity.extend((a, b), RESAMPLES, rng))
    low, high = bootstrap.interval(value, samples, jackknife, unseen)
    narrow = bootstrap.interval(value, samples, jackknife, unseen, NARROW)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"too few samples to compare by {METRICS[metric].label}", "Most resamples lack a class.")
    name = "bootstrap-by-group" if units.grouped else "bootstrap"
    p, test = bootstrap.p_value(value, samples, jackknife), f"paired-{name}"
    if unseen is not None:
        p = max(p, min(1.0, 2 * float(min((unseen <= 0).mean(), (unseen >= 0).mean()))))
    if metric == "accuracy":
        by_unit = np.bincount(units.index, b.correct.astype(int) - a.correct.astype(int), units.count)
        p, test = sign_flip_mid_p(by_unit.astype(np.int64)), "sign-flip-mid-p-by-group"
    return replace(comparison, low=low, high=high, narrow=narrow, p_value=p, test=test, interval=name)


@dataclass(frozen=True)
class Pair:
    """Two runs on the same samples.

    ``names``: the unit of each sample by a name that all pairs share. ``division``: which division of the images into
    folds the test set belongs to. ``train``: how many images the runs were trained on; 0 where that is not known.
    """

    a: PredictionSet
    b: PredictionSet
    names: tuple[str, ...]
    division: str = ""
    train: int = 0


def compare_arms(pairs: Sequence[Pair], metric: str = "accuracy", seed: int = 0) -> Comparison:
    """Compare two arms by runs that are paired by seed and fold: the mean difference over the pairs.

    One pair: :func:`compare_pair`. Several on one test set (seeds), or on several (folds): see
    :mod:`toolbox.statistics.designs`. A pair with the same predictions as another adds nothing and is left out.

    Raises
    ------
    UsageError: no pair, or what :func:`compare_pair` raises.
    """
    if not pairs:
        raise UsageError("two arms can only be compared by pairs of runs", "Train both with the same seeds.")
    pairs = _distinct(pairs)
    values = np.array([_values(pair.a, pair.b, metric) for pair in pairs])
    folds: dict[FoldKey, list[int]] = defaultdict(list)
    for at, pair in enumerate(pairs):
        folds[pair.division, pair.names].append(at)
    estimate = _average(pairs, folds, values[:, 1] - values[:, 0], metric)
    design = Design(min(map(len, folds.values())), len(folds), len({division for division, _ in folds}))
    if estimate is None or estimate.error < 1e-12:
        # Nothing differs between the pairs: their images hold all the information.
        pooled = _pooled([pairs[members[0]] for members in folds.values()])
        comparison = compare_pair(pooled.a, pooled.b, metric, seed)
    else:
        units = _images_by_unit([names for _, names in folds])
        (low, high), narrow = (_limited(estimate.interval(level), metric) for level in (LEVEL, NARROW))
        name = "seeds-t" if len(folds) == 1 else "folds-t"
        comparison = Comparison(
            metric,
            float(values[:, 0].mean()),
            float(values[:, 1].mean()),
            estimate.value,
            low,
            high,
            narrow,
            estimate.p_value,
            name,
            name,
            sum(units.values()),
            len(units),
            detectable=_within_range(metric, estimate.detectable),
        )
    a_values, b_values = (tuple(side.tolist()) for side in values.T)
    return replace(comparison, design=design, a_values=a_values, b_values=b_values)


def _distinct(pairs: Sequence[Pair]) -> list[Pair]:
    """``pairs`` without those that repeat another's predictions: a copy of a run is no further evidence."""
    contents: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        key = (pair.division, pair.names, pair.a.probabilities.tobytes(), pair.b.probabilities.tobytes())
        contents.setdefault(key, pair)
    return list(contents.values())


def _average(
    pairs: Sequence[Pair], folds: Mapping[FoldKey, Sequence[int]], differences: Floats, metric: str
) -> Estimate | None:
    """The mean difference by the design that ``folds`` (indices into ``pairs``) make up; ``None`` for one pair."""
    if len(pairs) == 1:
        return None
    if len(folds) == 1:
        return average_over_seeds(differences, _influences(pairs, metric))
    divisions: dict[str, list[Floats]] = defaultdict(list)
    for (division, _), members in folds.items():
        divisions[division].append(differences[list(members)])
    test = float(np.mean([len(names) for _, names in folds]))
    known = [pair.train for pair in pairs if pair.train]
    # Where it is not known: all images that are in no fold but this one.
    train = float(np.mean(known)) if known else sum(_images_by_unit([names for _, names in folds]).values()) - test
    return average_over_folds(list(divisions.values()), test / max(1.0, train))


def _images_by_unit(test_sets: Sequence[Sequence[str]]) -> Counter[str]:
    """How many images each unit has; one that stands in several test sets counts once."""
    counts: Counter[str] = Counter()
    for names in test_sets:
        counts |= Counter(names)
    return counts


def _pooled(pairs: Sequence[Pair]) -> Pair:
    """The test sets of ``pairs`` as one; those of a single division, so that no image stands in it twice."""
    pairs = [pair for pair in pairs if pair.division == pairs[0].division]
    names = tuple(name for pair in pairs for name in pair.names)
    number = {name: at for at, name in enumerate(dict.fromkeys(names))}
    units = Units(np.array([number[name] for name in names]), len(number), any(pair.a.units.grouped for pair in pairs))
    a, b = (
        PredictionSet(
            np.concatenate([model.targets for model in models]),
            np.concatenate([model.probabilities for model in models]),
            units,
        )
        for models in ([pair.a for pair in pairs], [pair.b for pair in pairs])
    )
    return Pair(a, b, names)


def _limited(interval: tuple[float, float], metric: str) -> tuple[float, float]:
    return max(-_range(metric), interval[0]), min(_range(metric), interval[1])


def _influences(pairs: Sequence[Pair], metric: str) -> Floats:
    """How much each block of units pulls each pair's difference on one test set: float64 ``[pairs, blocks]``.

    Squares summed over blocks are the jackknife's variance of a pair's difference.
    """
    weights = bootstrap.jackknife_weights(pairs[0].a.units.count)
    blocks = weights.shape[1]
    influence = np.zeros((len(pairs), blocks))
    for row, pair in zip(influence, pairs, strict=True):
        if metric == "auc" and pair.a.area and pair.b.area:
            pull = pair.b.area.positive + pair.b.area.negative - pair.a.area.positive - pair.a.area.negative
            row += np.bincount(np.arange(len(pull)) % blocks, pull, blocks)
            continue
        left_out = pair.b.metrics(weights, [metric])[metric] - pair.a.metrics(weights, [metric])[metric]
        left_out = np.where(np.isfinite(left_out), left_out, np.nanmean(left_out))
        row += (left_out.mean() - left_out) * math.sqrt((blocks - 1) / blocks)
    return influence
