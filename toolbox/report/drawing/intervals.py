"""Values with their intervals, one row per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolbox.report.drawing.style import WIDTH, Tooltips, add_hover_points
from toolbox.report.palette import LIGHT
from toolbox.report.plots import Plot
from toolbox.report.wording import has_interval, shorten, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size(plot: Plot) -> tuple[float, float]:
    """Width and height in points."""
    return WIDTH, 52.0 + 27 * len(plot.rows)


def draw(axes: Axes, plot: Plot) -> Tooltips:
    """Draw a dot and a bar per row; dots of doubtful values are hollow."""
    for at, row in enumerate(plot.rows):
        metric, color = row.metric, LIGHT["muted" if row.doubtful else "series-1"]
        if has_interval(metric):
            axes.hlines(at, metric.low, metric.high, color=color, linewidth=1.6)  # type: ignore[arg-type]  # has_interval
        fill = LIGHT["paper"] if row.doubtful else color
        axes.plot(metric.value, at, color=color, marker="o", markersize=5.5, markerfacecolor=fill)  # type: ignore[arg-type]  # defined
    axes.set_yticks(range(len(plot.rows)), [shorten(row.name, 34) for row in plot.rows])
    axes.set_ylim(len(plot.rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(True, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axes.set_xlabel(shorten(plot.figure.x_label, 60))
    values = [row.metric.value or 0.0 for row in plot.rows]
    texts = [f"{shorten(row.name, 60)}: {with_interval(row.metric)}" for row in plot.rows]
    return [(add_hover_points(axes, values, range(len(values))), texts)]
