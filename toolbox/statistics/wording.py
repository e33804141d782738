"""Differences, intervals and p-values as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolbox.statistics.scores import METRICS

if TYPE_CHECKING:
    from toolbox.statistics.compare import Comparison

_MINUS = "\N{MINUS SIGN}"


def p_value(p: float) -> str:
    """``p = .02``, ``p < .001``; never rounded across .05."""
    if p < 0.001:
        return "p < .001"
    for digits in (2, 3, 4):
        text = f"{p:.{digits}f}"
        if (float(text) < 0.05) == (p < 0.05) and (p >= 0.01 or digits > 2):
            break
    return f"p = {text.removeprefix('0')}"


def signed(value: float, share: bool) -> str:
    """``+3.0`` percentage points of a share, ``+0.030`` of anything else."""
    text = f"{100 * value:+.1f}" if share else f"{value:+.3f}"
    return text.replace("-", _MINUS)


def points(value: float, share: bool) -> str:
    """How large a difference is: ``3 points``, ``0.030``."""
    return f"{round(100 * abs(value), 1):g} points" if share else f"{abs(value):.3f}"


def difference(value: float, low: float, high: float, share: bool) -> str:
    """``+3.0 points, 95 % CI +0.4 to +5.6``."""
    unit = " points" if share else ""
    return f"{signed(value, share)}{unit}, 95 % CI {signed(low, share)} to {signed(high, share)}"


def sentence(found: Comparison) -> str:
    """The verdict with its figures, from the winner's side where there is one."""
    info = METRICS[found.metric]
    # A share's difference is told in percentage points; accuracy needs no name.
    share = info.share and found.metric != "auc"
    p = p_value(found.deciding_p) + (" after Holm" if found.adjusted is not None else "")
    named = "" if found.metric == "accuracy" else f"{info.label} "
    if found.verdict == "not distinguishable":
        figures = f"{named}{difference(found.difference, found.low, found.high, share)}, {p}"
        return f"not distinguishable on {_samples(found)} ({figures}); {_needed(found, share)}"
    winner, sign = (found.names[1], 1) if found.verdict == "b" else (found.names[0], -1)
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{winner} is better ({named}{difference(sign * found.difference, low, high, share)}, {p})"


def _samples(found: Comparison) -> str:
    text = f"{found.n:,} images"
    if found.units < found.n:
        text += f" of {found.units:,} groups"
    return text if len(found.a_values) < 2 else f"{text} with {len(found.a_values)} pairs of runs"


def _needed(found: Comparison, share: bool) -> str:
    if found.difference == 0:
        return "no difference was seen"
    size = points(found.difference, share)
    if found.needed is None:
        if len(found.a_values) > 1:
            return f"the spread between runs alone hides {size}: it takes more seeds, not more images"
        return f"no number of images can be named to see {size}"
    if found.needed <= found.n:
        # An observed difference that was lucky to be that large, or a test stricter than its interval.
        return f"a difference of {size} needs more images or seeds than these to be sure of"
    return f"about {found.needed:,} images would be needed to see {size}"
