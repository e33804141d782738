"""Bar charts, lying, so that long class names stay readable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Figure
from toolbox.report.drawing.style import WIDTH, label_axes
from toolbox.report.palette import LIGHT, SERIES
from toolbox.report.plots import MAX_BARS, categories
from toolbox.report.wording import number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size(figure: Figure) -> tuple[float, float]:
    """Width and height."""
    bars = min(len(categories(figure)), MAX_BARS) * (len(figure.series) + 0.6)
    return WIDTH, 44.0 + max(14 * bars, 56)


def draw(axes: Axes, figure: Figure) -> None:
    """Bars side by side within their category, each with its number; several series are named at the bar, too."""
    names = categories(figure)[:MAX_BARS]
    place = {name: i for i, name in enumerate(names)}
    count = len(figure.series)
    height = 1 / (count + 0.6)
    top, longest = 0.0, 0
    for index, series in enumerate(figure.series):
        shift = (index - (count - 1) / 2) * height
        rows = [
            (place[str(x)] + shift, _bar_length(y)) for x, y in zip(series.x, series.y, strict=True) if str(x) in place
        ]
        bars = axes.barh(
            [at for at, _ in rows],
            [length for _, length in rows],
            height * 0.86,
            color=LIGHT[SERIES[index % len(SERIES)]],
        )
        texts = [_bar_text(length, series.name if count > 1 else "") for _, length in rows]
        axes.bar_label(bars, texts, padding=4, color=LIGHT["ink"], fontsize=8.5)
        top = max([top, *(length for _, length in rows)])
        longest = max([longest, *map(len, texts)])
    left = min((len(shorten(name, 20)) for name in names), default=0)
    room = 5.0 * longest / (WIDTH - 5.0 * left - 40)
    axes.set_xlim(0, (top or 1) / max(1 - room, 0.35))
    axes.set_yticks(range(len(names)), [shorten(name, 20) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    # The categories are the vertical axis here, what is counted the horizontal one.
    label_axes(axes, figure.x_label, figure.y_label)


def _bar_length(value: float | None) -> float:
    return 0.0 if value is None or not math.isfinite(value) else float(value)


def _bar_text(length: float, name: str) -> str:
    value = f"{length:,.0f}" if float(length).is_integer() else number(length)
    return f"{value}  {shorten(name, 14)}" if name else value
