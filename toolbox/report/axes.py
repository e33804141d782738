"""Draws one kind of figure each on matplotlib axes. Lengths are in points, colours from the light palette."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolbox.plugin.protocols import Figure, Series
from toolbox.report.palette import ACCENT_STRONG, LIGHT, SERIES
from toolbox.report.plots import MAX_BARS, Intervals, Mark, Plot, categories
from toolbox.report.wording import has_interval, number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 340.0
"""Of most figures: about a phone's, so that their text is read there at its nominal size."""

MAX_LABELLED = 40
"""Classes up to which a matrix has a label and a number in each cell; beyond it is a picture."""

_LABEL, _LEGEND, _MARKER_POINTS = 26, 10, 12
_DASHES: Sequence[str | tuple[int, tuple[float, ...]]] = ("-", (0, (4, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "os^Dv"


def size_of(drawing: Plot | Intervals) -> tuple[float, float]:
    """Width and height that the drawing needs, without its title."""
    if isinstance(drawing, Intervals):
        return WIDTH, 52.0 + 27 * len(drawing.rows)
    figure = drawing.figure
    if figure.kind == "bars":
        bars = min(len(categories(figure)), MAX_BARS) * (len(figure.series) + 0.6)
        return WIDTH, 44.0 + max(14 * bars, 56)
    if figure.kind == "matrix":
        layout = _layout(figure)
        return layout.width, layout.height
    return (WIDTH, WIDTH) if figure.square else (WIDTH, 236.0)


def draw(axes: Axes, drawing: Plot | Intervals) -> None:
    """Draw on empty axes."""
    if isinstance(drawing, Intervals):
        _intervals(axes, drawing)
    elif drawing.figure.kind == "bars":
        _bars(axes, drawing.figure)
    elif drawing.figure.kind == "matrix":
        _matrix(axes, drawing.figure)
    else:
        _lines(axes, drawing)


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(shorten(x, 60))
    axes.set_ylabel(shorten(y, 40))


# ---------------------------------------------------------------------------------------------------- lines


def _lines(axes: Axes, plot: Plot) -> None:
    figure = plot.figure
    handles, labels, drawn = [], [], 0
    for series in figure.series:
        style = _reference_style() if series.dashed else _series_style(drawn, series)
        drawn += not series.dashed
        xs, ys = _points(series)
        handles += axes.plot(xs, ys, **style)  # type: ignore[arg-type]  # keyword names are checked by matplotlib
        labels.append(shorten(series.name, _LABEL))
    axes.grid(True, axis="both" if figure.square else "y")
    _limits(axes, plot)
    _mark(axes, plot.marks)
    _legend(axes, handles, labels, inside=figure.square)
    _labels(axes, figure.x_label, figure.y_label)


def _points(series: Series) -> tuple[list[float], list[float]]:
    xs = [float(x) if not isinstance(x, str) else float(i) for i, x in enumerate(series.x)]
    return xs, [math.nan if y is None or not math.isfinite(y) else float(y) for y in series.y]


def _series_style(index: int, series: Series) -> dict[str, object]:
    _, ys = _points(series)
    gaps = [math.isnan(y) for y in (math.nan, *ys, math.nan)]
    alone = any(gaps[i - 1] and gaps[i + 1] and not gaps[i] for i in range(1, len(gaps) - 1))
    # A line needs two neighbours: a point between gaps would not be seen without a marker.
    marked = alone or sum(not gap for gap in gaps) <= _MARKER_POINTS
    return {
        "color": LIGHT[SERIES[index % len(SERIES)]],
        "linestyle": _DASHES[index % len(_DASHES)],
        "marker": _MARKERS[index % len(_MARKERS)] if marked else "",
    }


def _reference_style() -> dict[str, object]:
    return {"color": LIGHT["muted"], "linestyle": (0, (2, 2)), "linewidth": 0.9}


def _limits(axes: Axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    figure = plot.figure
    if figure.square:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xticks=_FIFTHS, yticks=_FIFTHS)
        return
    values = [y for series in figure.series for y in _points(series)[1] if not math.isnan(y)]
    if plot.bounded and values:
        low = min(values)
        axes.set_ylim(max(-0.02, low - 0.15 * (1 - low) - 0.02), 1.02)
    words = next((series.x for series in figure.series if any(isinstance(x, str) for x in series.x)), None)
    if words is not None:
        axes.set_xticks(range(len(words)), [shorten(str(word), 12) for word in words])
        return
    xs = [x for series in figure.series for x in _points(series)[0]]
    if xs and all(x.is_integer() for x in xs):
        axes.set_xlim(min(xs) - 0.6, max(xs) + 0.6)
        if len(set(xs)) <= 8:
            axes.set_xticks(sorted(set(xs)), [f"{x:,.0f}" for x in sorted(set(xs))])
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))


_FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1.0)


def _mark(axes: Axes, marks: Sequence[Mark]) -> None:
    for mark in marks:
        axes.axvline(mark.x, color=LIGHT["muted"], linewidth=0.8)
        for text, offset, side in ((f"{mark.before} ", -2, "right"), (f" {mark.after}", 2, "left")):
            axes.annotate(
                shorten(text, 18),
                (mark.x, 1),
                (offset, -3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha=side,
                va="top",
                color=LIGHT["muted"],
                fontsize=8,
                annotation_clip=False,
            )


def _legend(axes: Axes, handles: Sequence[object], labels: list[str], inside: bool) -> None:
    if len(labels) < 2:
        return
    if len(labels) > _LEGEND:
        labels = [*labels[: _LEGEND - 1], f"and {len(labels) - _LEGEND + 1} more"]
    if inside and len(labels) <= 5:
        place = {"loc": "lower right"}
    else:
        columns = min(len(labels), 3 if max(map(len, labels)) < 14 else 2)
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": columns}
    axes.legend(list(handles)[: len(labels)], labels, **place)  # type: ignore[arg-type]  # as above


# ----------------------------------------------------------------------------------------------------- bars


def _bars(axes: Axes, figure: Figure) -> None:
    names = categories(figure)[:MAX_BARS]
    place = {name: i for i, name in enumerate(names)}
    count = len(figure.series)
    height = 1 / (count + 0.6)
    top, longest = 0.0, 0
    for index, series in enumerate(figure.series):
        rows = [(place[str(x)], y) for x, y in zip(series.x, series.y, strict=True) if str(x) in place]
        rows = [(at + (index - (count - 1) / 2) * height, _bar_length(y)) for at, y in rows]
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
    _labels(axes, figure.x_label, figure.y_label)


def _bar_length(value: float | None) -> float:
    return 0.0 if value is None or not math.isfinite(value) else float(value)


def _bar_text(length: float, name: str) -> str:
    value = f"{length:,.0f}" if float(length).is_integer() else number(length)
    return f"{value}  {shorten(name, 14)}" if name else value


# --------------------------------------------------------------------------------------------------- matrix


@dataclass(frozen=True, slots=True)
class _Layout:
    """Of a matrix: width and height of the drawing, whether column names stand upright, and every how many-th is set."""

    width: float
    height: float
    upright: bool
    step: int


def _layout(figure: Figure) -> _Layout:
    count = max(len(figure.rows), len(figure.columns), 1)
    beside, below = (6 * max((len(_name(n)) for n in names), default=0) for names in (figure.rows, figure.columns))
    if count > MAX_LABELLED:
        return _Layout(620.0, 620.0, True, math.ceil(count / 25))
    cell = max(26.0, min(92.0, (WIDTH - 34 - beside) / count))
    upright = below > cell - 3
    width = max(WIDTH, 34 + beside + cell * len(figure.columns))
    return _Layout(width, (26 + below if upright else 40) + cell * len(figure.rows), upright, 1)


def _name(text: str) -> str:
    return shorten(text, 16)


def _matrix(axes: Axes, figure: Figure) -> None:
    weights = _shares(figure)
    rows, columns = len(figure.rows), len(figure.columns)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    if max(rows, columns) > MAX_LABELLED:
        _picture(axes, weights)
    else:
        _cells(axes, figure, weights)
    layout = _layout(figure)
    axes.set_xticks(range(0, columns, layout.step), [_name(name) for name in figure.columns[:: layout.step]])
    axes.set_yticks(range(0, rows, layout.step), [_name(name) for name in figure.rows[:: layout.step]])
    if layout.upright:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0, labelcolor=LIGHT["ink"])
    axes.spines[:].set_visible(layout.step > 1)
    axes.spines[:].set_color(LIGHT["hairline"])
    _labels(axes, figure.x_label, figure.y_label)


def is_counts(figure: Figure) -> bool:
    """Whether a matrix holds counts, each then coloured by its share of the row."""
    return all(_real(v) >= 0 and float(v).is_integer() for row in figure.values for v in row)


def _real(value: float) -> float:
    return float(value) if value is not None and math.isfinite(value) else -1.0


def _shares(figure: Figure) -> list[list[float]]:
    """Opacity of each cell in [0, 1]: counts by their row's sum, other values by the largest magnitude."""
    values = [[0.0 if v is None or not math.isfinite(v) else abs(float(v)) for v in row] for row in figure.values]
    if is_counts(figure):
        return [[v / (sum(row) or 1.0) for v in row] for row in values]
    top = max((v for row in values for v in row), default=0.0) or 1.0
    return [[v / top for v in row] for row in values]


def _cells(axes: Axes, figure: Figure, weights: Sequence[Sequence[float]]) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = len(figure.rows), len(figure.columns)
    counts = is_counts(figure)
    large, small = (15.0, 8.5) if max(rows, columns) <= 3 else (11.0, 7.0) if max(rows, columns) <= 6 else (7.5, 0.0)
    for i, (row, shades) in enumerate(zip(figure.values, weights, strict=True)):
        for j, (value, shade) in enumerate(zip(row, shades, strict=True)):
            if counts and not value and not small:
                continue  # in a large matrix nothing says nothing
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=LIGHT["accent"], alpha=shade, linewidth=0))
            colour = LIGHT["on-strong" if shade >= ACCENT_STRONG else "on-weak"]
            twice = counts and small > 0
            text = f"{value:,.0f}" if counts else _short_number(value)
            axes.text(j, i - 0.06 * twice, text, ha="center", va="center", color=colour, fontsize=large)
            if twice:
                axes.text(j, i + 0.2, f"{shade:.2f}", ha="center", va="center", color=colour, fontsize=small)
    rules = {"colors": LIGHT["hairline"], "linewidths": 0.7, "clip_on": False}
    axes.hlines([i - 0.5 for i in range(rows + 1)], -0.5, columns - 0.5, **rules)
    axes.vlines([j - 0.5 for j in range(columns + 1)], -0.5, rows - 0.5, **rules)


def _short_number(value: float) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _picture(axes: Axes, weights: Sequence[Sequence[float]]) -> None:
    import numpy as np
    from matplotlib.colors import to_rgb

    # One colour that shows on light and dark paper alike, for a picture can't follow the page's scheme.
    pixels = np.empty((len(weights), len(weights[0]), 4))
    pixels[..., :3] = to_rgb(LIGHT["series-6"])
    pixels[..., 3] = np.asarray(weights)
    axes.imshow(pixels, interpolation="none")


# ------------------------------------------------------------------------------------------------ intervals


def _intervals(axes: Axes, drawing: Intervals) -> None:
    colour = LIGHT["series-1"]
    for at, (_, metric) in enumerate(drawing.rows):
        if has_interval(metric):
            axes.plot([metric.low, metric.high], [at, at], color=colour, linewidth=1.6, solid_capstyle="butt")  # type: ignore[list-item]  # has_interval
        axes.plot([metric.value], [at], color=colour, marker="o", markersize=5.5)  # type: ignore[list-item]  # defined
    axes.set_yticks(range(len(drawing.rows)), [shorten(name, 34) for name, _ in drawing.rows])
    axes.set_ylim(len(drawing.rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(True, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axes.set_xlabel(drawing.x_label)
