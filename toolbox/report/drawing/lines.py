"""Line plots: learning curves, ROC curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from toolbox.api.evaluator import Figure, Series
from toolbox.report.drawing.style import WIDTH, Tooltips, add_hover_points, label_axes
from toolbox.report.palette import LIGHT, SERIES
from toolbox.report.plots import Mark, Plot
from toolbox.report.wording import number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_TOOLTIPS = 60
"""Tooltips of one line; more could not be told apart by pointing."""

_LABEL, _LEGEND, _MARKER_POINTS, _LEGEND_ROW = 30, 10, 12, 13.0
_DASHES: Sequence[str | tuple[int, tuple[float, ...]]] = ("-", (0, (4, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "os^Dv"
_FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1.0)


def size(figure: Figure) -> tuple[float, float]:
    """Width and height in points, with room for the legend."""
    labels, columns = _legend(figure)
    return WIDTH, _LEGEND_ROW * math.ceil(len(labels) / columns) + (310.0 if figure.square else 222.0)


def draw(axes: Axes, plot: Plot) -> Tooltips:
    """Draw one line per series, with stage marks and a legend."""
    figure = plot.figure
    handles, tooltips = [], []
    many = len(figure.series) > len(SERIES)
    curves = [series for series in figure.series if not series.dashed]
    for series in figure.series:
        xs, ys = _points(series)
        if series.dashed:
            style: dict[str, Any] = {"color": LIGHT["muted"], "linestyle": (0, (2, 2)), "linewidth": 0.9}
        else:
            style = _style(curves.index(series), xs, ys, figure.square) | ({"linewidth": 1.1} if many else {})
            tooltips.append(_tooltips(axes, figure, series.name, xs, ys))
        handles += axes.plot(xs, ys, **style)
    axes.grid(True, axis="both" if figure.square else "y")
    _set_limits(axes, plot)
    for mark in plot.marks:
        _draw_mark(axes, mark)
    labels, columns = _legend(figure)
    if any(labels):
        # Above the axes: no corner of them is sure to be empty.
        corner = (0.0, 1.05 if plot.marks else 1.0)
        axes.legend(handles[: len(labels)], labels, loc="lower left", bbox_to_anchor=corner, ncols=columns)
    label_axes(axes, figure.x_label, figure.y_label)
    return tooltips


def _points(series: Series) -> tuple[list[float], list[float]]:
    xs = [float(at) if isinstance(x, str) else float(x) for at, x in enumerate(series.x)]
    return xs, [math.nan if y is None or not math.isfinite(y) else float(y) for y in series.y]


def _style(index: int, xs: Sequence[float], ys: Sequence[float], square: bool) -> dict[str, Any]:
    gaps = [True, *map(math.isnan, ys), True]
    alone = any(left and right and not here for left, here, right in zip(gaps, gaps[1:], gaps[2:], strict=False))
    # A point between gaps has no line and is seen by its marker alone. The corners of a step curve (ROC) are no
    # values of their own; the bins of a reliability diagram are.
    stepped = square and any(left >= right for left, right in pairwise(xs))
    marked = alone or (not stepped and gaps.count(False) <= _MARKER_POINTS)
    return {
        "color": LIGHT[SERIES[index % len(SERIES)]],
        "linestyle": _DASHES[index % len(_DASHES)],
        "marker": _MARKERS[index % len(_MARKERS)] if marked else "",
    }


def _tooltips(axes: Axes, figure: Figure, name: str, xs: Sequence[float], ys: Sequence[float]) -> Any:
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if not math.isnan(y)]
    if len(points) > MAX_TOOLTIPS:
        points = [points[round(at * (len(points) - 1) / (MAX_TOOLTIPS - 1))] for at in range(MAX_TOOLTIPS)]
    words = _words(figure)
    texts = []
    for x, y in points:
        where = words[int(x)] if words else f"{x:,.0f}" if x.is_integer() and not figure.square else number(x)
        texts.append(f"{shorten(name, 40)}: {figure.x_label} {shorten(where, 40)}, {figure.y_label} {number(y)}")
    return add_hover_points(axes, [x for x, _ in points], [y for _, y in points]), texts


def _words(figure: Figure) -> list[str]:
    """The names along x, where a series has names instead of numbers there."""
    series = next((series for series in figure.series if any(isinstance(x, str) for x in series.x)), None)
    return [str(x) for x in series.x] if series else []


def _set_limits(axes: Axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    figure = plot.figure
    if figure.square:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", anchor="NW", xticks=_FIFTHS, yticks=_FIFTHS)
        return
    points = [_points(series) for series in figure.series]
    values = [y for _, ys in points for y in ys if not math.isnan(y)]
    if plot.bounded and values:
        low = min(values)
        axes.set_ylim(max(-0.02, low - 0.15 * (1 - low) - 0.02), 1 + 0.04 * min(0.5, 1.02 - low))
    if words := _words(figure):
        axes.set_xticks(range(len(words)), [shorten(word, 12) for word in words])
        return
    xs = sorted({x for each, _ in points for x in each})
    if xs and all(x.is_integer() for x in xs):
        axes.set_xlim(xs[0] - 0.6, xs[-1] + 0.6)
        if len(xs) <= 8:
            axes.set_xticks(xs, [f"{x:,.0f}" for x in xs])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))


def _draw_mark(axes: Axes, mark: Mark) -> None:
    """A vertical line with a word on either side of it, above the axes, where no curve runs."""
    axes.axvline(mark.x, color=LIGHT["muted"], linewidth=0.8)
    for text, offset, side in ((mark.before, -3, "right"), (mark.after, 3, "left")):
        axes.annotate(
            shorten(text, 18),
            (mark.x, 1),
            (offset, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=side,
            va="bottom",
            color=LIGHT["muted"],
            fontsize=8,
        )


def _legend(figure: Figure) -> tuple[list[str], int]:
    """The legend's labels, and how many stand beside each other: a label of n letters is about 5.4 n + 32 wide."""
    labels = [shorten(series.name, _LABEL) for series in figure.series]
    if len(labels) > _LEGEND:
        labels = [*labels[: _LEGEND - 1], f"and {len(labels) - _LEGEND + 1} more"]
    longest = max(map(len, labels), default=0)
    return labels, max(1, min(len(labels), 3, int((WIDTH - 20) / (5.4 * longest + 32))))
