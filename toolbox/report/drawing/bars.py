"""Horizontal bar charts, so that long class names stay readable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Figure
from toolbox.report.drawing.style import WIDTH, Tooltips, label_axes
from toolbox.report.palette import LIGHT, SERIES
from toolbox.report.plots import MAX_BARS, categories
from toolbox.report.wording import count_or_number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size(figure: Figure) -> tuple[float, float]:
    """Width and height in points."""
    bars = min(len(categories(figure)), MAX_BARS) * (len(figure.series) + 0.6)
    return WIDTH, 44.0 + max(14 * bars, 56)


def draw(axes: Axes, figure: Figure) -> Tooltips:
    """Draw bars side by side within their category, each with its number and, of several series, its name."""
    names = categories(figure)[:MAX_BARS]
    rows = {name: at for at, name in enumerate(names)}
    height = 1 / (len(figure.series) + 0.6)
    tooltips: Tooltips = []
    widest, longest_text = 0.0, 0
    for index, series in enumerate(figure.series):
        shift = (index - (len(figure.series) - 1) / 2) * height
        values = [(str(x), _finite(y)) for x, y in zip(series.x, series.y, strict=True) if str(x) in rows]
        bars = axes.barh(
            [rows[name] + shift for name, _ in values],
            [value for _, value in values],
            height * 0.86,
            color=LIGHT[SERIES[index % len(SERIES)]],
        )
        label = f"  {shorten(series.name, 14)}" if len(figure.series) > 1 else ""
        texts = [f"{count_or_number(value)}{label}" for _, value in values]
        axes.bar_label(bars, texts, padding=4, color=LIGHT["ink"], fontsize=8.5)
        for bar, (name, value) in zip(bars, values, strict=True):
            tooltips.append((bar, [f"{shorten(name, 40)}, {shorten(series.name, 40)}: {count_or_number(value)}"]))
        widest = max([widest, *(value for _, value in values)])
        longest_text = max([longest_text, *map(len, texts)])
    # A character is about 5 points wide: leave room for the longest number beside the longest bar.
    shortest_name = min((len(shorten(name, 20)) for name in names), default=0)
    room = 5.0 * longest_text / (WIDTH - 5.0 * shortest_name - 40)
    axes.set_xlim(0, (widest or 1) / max(1 - room, 0.35))
    axes.set_yticks(range(len(names)), [shorten(name, 20) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    label_axes(axes, figure.x_label, figure.y_label)
    return tooltips


def _finite(value: float | None) -> float:
    return 0.0 if value is None or not math.isfinite(value) else float(value)
