"""Values with their intervals, one row for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolbox.report.drawing.style import WIDTH
from toolbox.report.palette import LIGHT
from toolbox.report.plots import Intervals
from toolbox.report.wording import has_interval, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size(drawing: Intervals) -> tuple[float, float]:
    """Width and height."""
    return WIDTH, 52.0 + 27 * len(drawing.rows)


def draw(axes: Axes, drawing: Intervals) -> None:
    """A dot and a bar in each row; hollow dots for doubtful ones."""
    for at, row in enumerate(drawing.rows):
        metric, colour = row.metric, LIGHT["muted" if row.doubtful else "series-1"]
        if has_interval(metric):
            axes.hlines(at, metric.low, metric.high, color=colour, linewidth=1.6)  # type: ignore[arg-type]  # has_interval
        dot = LIGHT["paper"] if row.doubtful else colour
        axes.plot(metric.value, at, color=colour, marker="o", markersize=5.5, markerfacecolor=dot)  # type: ignore[arg-type]  # defined
    axes.set_yticks(range(len(drawing.rows)), [shorten(row.name, 34) for row in drawing.rows])
    axes.set_ylim(len(drawing.rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(True, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axes.set_xlabel(shorten(drawing.x_label, 60))
