"""A subgroup's accuracy against that of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import confint_proportions_2indep

from toolbox.api.statistics import Units, bootstrap


@dataclass(frozen=True)
class Difference:
    """Accuracy inside minus accuracy outside, with its 95 % interval and a two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float
    test: str


def compare_with_rest(
    inside: npt.NDArray[np.bool_],
    right: npt.NDArray[np.bool_],
    units: Units,
    resamples: int,
    key: tuple[object, ...],
) -> Difference:
    """Compare the samples ``inside`` with the others; both sides must hold some. ``right``: bool ``[N]``.

    Single samples: Fisher's exact test and Newcombe's interval. Groups: a bootstrap of whole groups, which may lie on
    both sides (a patient who was in two scanners).
    """
    counts = [int((right & side).sum()) for side in (inside, ~inside)]
    sizes = [int(side.sum()) for side in (inside, ~inside)]
    value = counts[0] / sizes[0] - counts[1] / sizes[1]
    if not units.grouped:
        low, high = confint_proportions_2indep(counts[0], sizes[0], counts[1], sizes[1], method="newcomb")
        table = [[count, size - count] for count, size in zip(counts, sizes, strict=True)]
        p = float(fisher_exact(table).pvalue)
        return Difference(value, min(float(low), value), max(float(high), value), p, "Fisher, Newcombe")

    def sums(of: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.bincount(units.index, of, units.count).astype(np.float64)

    parts = [sums(part) for part in (inside & right, inside, ~inside & right, ~inside)]

    def differences(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        hits_in, all_in, hits_out, all_out = (part @ weights for part in parts)
        with np.errstate(divide="ignore", invalid="ignore"):
            difference: npt.NDArray[np.float64] = hits_in / all_in - hits_out / all_out
        return difference

    rng = bootstrap.generator("subgroups", *key)
    samples = differences(bootstrap.draw_weights(units.count, resamples, rng))
    jackknife = differences(bootstrap.jackknife_weights(units.count))
    usable = samples[np.isfinite(samples)]
    interval = bootstrap.bca(value, samples, jackknife) if len(usable) and np.ptp(usable) > 1e-9 else None
    if interval is None:
        return Difference(value, float("nan"), float("nan"), float("nan"), "too few groups")
    p = bootstrap.p_value(value, samples, jackknife)
    return Difference(value, min(interval[0], value), max(interval[1], value), p, "bootstrap of groups")
