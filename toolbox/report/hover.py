"""What can be pointed at in a drawing: places on the page's SVG and the values that stand there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from toolbox.api.evaluator import Figure, Series
from toolbox.report.drawing.matrix import MAX_LABELLED, is_counts
from toolbox.report.plots import MAX_BARS, Drawing, Intervals, Plot, categories
from toolbox.report.wording import number, shorten, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T = TypeVar("T")
Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in data coordinates; NaN stands for the edge of the axes."""

MOST = 60
"""Places on one line: beyond it they could not be told apart with a finger."""

_REACH = 5.0  # points from a lone point's centre to the edge of its place
_POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle in the SVG's units, the origin at its top left corner, and the values there in words."""

    x: float
    y: float
    width: float
    height: float
    text: str


def places(axes: Axes, drawing: Drawing) -> list[Place]:
    """Every place of a drawing that has been drawn on ``axes`` and laid out."""
    if isinstance(drawing, Intervals):
        found = _rows(drawing)
    elif drawing.figure.kind == "matrix":
        found = _cells(drawing.figure)
    elif drawing.figure.kind == "bars":
        found = _bars(drawing.figure)
    elif drawing.figure.square:
        return [_around(axes, x, y, text) for x, y, text in _points(drawing.figure)]
    else:
        found = _bands(drawing)
    return [_between(axes, corners, text) for corners, text in found]


def _rows(drawing: Intervals) -> Iterator[tuple[Corners, str]]:
    for at, row in enumerate(drawing.rows):
        yield (math.nan, at - 0.5, math.nan, at + 0.5), f"{shorten(row.name, 60)}: {with_interval(row.metric)}"


def _cells(figure: Figure) -> Iterator[tuple[Corners, str]]:
    if max(len(figure.rows), len(figure.columns)) > MAX_LABELLED:
        return
    counts, many = is_counts(figure), len(figure.rows) > 6
    for i, row in enumerate(figure.values):
        for j, value in enumerate(row):
            if many and not value:
                continue
            share = f" ({value / (sum(row) or 1):.2f} of the row)" if counts else ""
            where = f"{figure.y_label} {shorten(figure.rows[i], 40)}, {figure.x_label} {shorten(figure.columns[j], 40)}"
            yield (j - 0.5, i - 0.5, j + 0.5, i + 0.5), f"{where}: {_value(value)}{share}"


def _bars(figure: Figure) -> Iterator[tuple[Corners, str]]:
    names = categories(figure)[:MAX_BARS]
    height = 1 / (len(figure.series) + 0.6)
    for index, series in enumerate(figure.series):
        shift = (index - len(figure.series) / 2) * height
        for x, y in zip(series.x, series.y, strict=True):
            if str(x) in names:
                top = names.index(str(x)) + shift
                text = ", ".join(filter(None, [shorten(str(x), 40), shorten(series.name, 40)]))
                yield (math.nan, top, math.nan, top + height), f"{text}: {_value(y)}"


def _bands(plot: Plot) -> Iterator[tuple[Corners, str]]:
    """From halfway to the value before to halfway to the one after, the values of every line."""
    figure = plot.figure
    at = sorted({x for series in figure.series for x in _numbers(series)})
    values = [dict(zip(_numbers(series), series.y, strict=True)) for series in figure.series]
    chosen = _thinned(at)
    for before, x, after in zip([math.nan, *chosen], chosen, [*chosen[1:], math.nan], strict=False):
        left = math.nan if math.isnan(before) else (before + x) / 2
        right = math.nan if math.isnan(after) else (x + after) / 2
        told = [
            f"{shorten(series.name, 40)} {number(known[x])}".strip()
            for series, known in zip(figure.series, values, strict=True)
            if x in known
        ]
        yield (left, math.nan, right, math.nan), f"{figure.x_label} {_x(figure, x)}: {', '.join(told)}".strip()


def _points(figure: Figure) -> Iterator[tuple[float, float, str]]:
    """The points of curves whose values don't share their x: ROC and the like. A dashed line is no data."""
    for series in figure.series:
        if series.dashed:
            continue
        points = [
            (x, float(y)) for x, y in zip(_numbers(series), series.y, strict=True) if y is not None and math.isfinite(y)
        ]
        for x, y in _thinned(points):
            yield x, y, f"{shorten(series.name, 40)}: {figure.x_label} {_x(figure, x)}, {figure.y_label} {number(y)}"


def _numbers(series: Series) -> list[float]:
    return [float(x) if not isinstance(x, str) else float(at) for at, x in enumerate(series.x)]


def _x(figure: Figure, x: float) -> str:
    words = next((series.x for series in figure.series if any(isinstance(each, str) for each in series.x)), None)
    if words is not None:
        return shorten(str(words[int(x)]), 40)
    return f"{x:,.0f}" if x.is_integer() and not figure.square else number(x)


def _thinned(items: Sequence[T]) -> list[T]:
    """At most :data:`MOST` of them, evenly, the first and the last among them."""
    if len(items) <= MOST:
        return list(items)
    return [items[round(at * (len(items) - 1) / (MOST - 1))] for at in range(MOST)]


def _value(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and float(value).is_integer() else number(value)


def _between(axes: Axes, corners: Corners, text: str) -> Place:
    """The place between two corners."""
    left, top, right, bottom = corners
    box = axes.get_window_extent()
    known = [0.0 if math.isnan(each) else each for each in corners]
    (x0, y0), (x1, y1) = axes.transData.transform([known[:2], known[2:]])
    xs = sorted((box.x0 if math.isnan(left) else x0, box.x1 if math.isnan(right) else x1))
    ys = sorted((box.y1 if math.isnan(top) else y0, box.y0 if math.isnan(bottom) else y1))
    return _place(axes, xs[0], ys[0], xs[1], ys[1], text)


def _around(axes: Axes, x: float, y: float, text: str) -> Place:
    (px, py) = axes.transData.transform((x, y))
    reach = _REACH * axes.figure.dpi / _POINTS_PER_INCH
    return _place(axes, px - reach, py - reach, px + reach, py + reach, text)


def _place(axes: Axes, left: float, low: float, right: float, high: float, text: str) -> Place:
    """Pixels from the bottom left corner to points from the top left one."""
    scale = _POINTS_PER_INCH / axes.figure.dpi
    total = axes.figure.bbox.height
    return Place(left * scale, (total - high) * scale, (right - left) * scale, (high - low) * scale, text)
