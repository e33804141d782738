"""Draws each kind of figure on matplotlib axes; its modules import matplotlib inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolbox.report.drawing import bars, intervals, lines, matrix
from toolbox.report.plots import Drawing, Intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def size_of(drawing: Drawing) -> tuple[float, float]:
    """Width and height in points that a drawing needs, without its title."""
    if isinstance(drawing, Intervals):
        return intervals.size(drawing)
    kinds = {"bars": bars.size, "matrix": matrix.size, "lines": lines.size}
    return kinds[drawing.figure.kind](drawing.figure)


def draw(axes: Axes, drawing: Drawing) -> None:
    """Draw on empty axes."""
    if isinstance(drawing, Intervals):
        intervals.draw(axes, drawing)
    elif drawing.figure.kind == "bars":
        bars.draw(axes, drawing.figure)
    elif drawing.figure.kind == "matrix":
        matrix.draw(axes, drawing.figure)
    else:
        lines.draw(axes, drawing)
