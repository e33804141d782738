"""Format differences, intervals and p-values for people."""

from __future__ import annotations

_MINUS = "\N{MINUS SIGN}"


def format_p_value(p: float) -> str:
    """``p = .02``, ``p < .001``; never rounded across .05."""
    if p < 0.001:
        return "p < .001"
    for digits in (2, 3, 4):
        text = f"{p:.{digits}f}"
        if (float(text) < 0.05) == (p < 0.05) and (p >= 0.01 or digits > 2):
            break
    return f"p = {text.removeprefix('0')}"


def format_signed(value: float, share: bool) -> str:
    """``+3.0`` percentage points of a share, ``+0.030`` of anything else."""
    text = f"{100 * value:+.1f}" if share else f"{value:+.3f}"
    return text.replace("-", _MINUS)


def format_points(value: float, share: bool) -> str:
    """How large a difference is: ``3 points``, ``0.030``."""
    return f"{round(100 * abs(value), 1):g} points" if share else f"{abs(value):.3f}"


def format_difference(value: float, low: float, high: float, share: bool) -> str:
    """``+3.0 points, 95 % CI +0.4 to +5.6``."""
    unit = " points" if share else ""
    return f"{format_signed(value, share)}{unit}, 95 % CI {format_signed(low, share)} to {format_signed(high, share)}"
