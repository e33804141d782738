"""Draws plots on matplotlib axes. matplotlib is imported inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolbox.report.drawing import bars, intervals, lines, matrix
from toolbox.report.drawing.style import Tooltips
from toolbox.report.plots import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size_of(plot: Plot) -> tuple[float, float]:
    """Width and height in points that a plot needs."""
    if plot.rows:
        return intervals.size(plot)
    return {"bars": bars.size, "matrix": matrix.size, "lines": lines.size}[plot.figure.kind](plot.figure)


def draw(axes: Axes, plot: Plot) -> Tooltips:
    """Draw on empty axes; returns the tooltips of what was drawn."""
    if plot.rows:
        return intervals.draw(axes, plot)
    if plot.figure.kind == "bars":
        return bars.draw(axes, plot.figure)
    if plot.figure.kind == "matrix":
        return matrix.draw(axes, plot.figure)
    return lines.draw(axes, plot)
