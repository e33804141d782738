"""Line plots: learning curves, ROC curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from toolbox.api.evaluator import Figure, Series
from toolbox.report.drawing.style import WIDTH, label_axes
from toolbox.report.palette import LIGHT, SERIES
from toolbox.report.plots import Mark, Plot
from toolbox.report.wording import shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_LABEL, _LEGEND, _MARKER_POINTS, _LEGEND_ROW = 30, 10, 12, 13.0
_DASHES: Sequence[str | tuple[int, tuple[float, ...]]] = ("-", (0, (4, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "os^Dv"
_FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1.0)


def size(figure: Figure) -> tuple[float, float]:
    """Width and height, with room for the legend."""
    legend = _legend_of(figure)
    return WIDTH, _LEGEND_ROW * legend.rows + (310.0 if figure.square else 222.0)


def draw(axes: Axes, plot: Plot) -> None:
    """One line for each series, with stage marks and a legend."""
    figure = plot.figure
    handles, drawn = [], 0
    for series in figure.series:
        style = _reference_style() if series.dashed else _series_style(drawn, series, figure.square)
        drawn += not series.dashed
        xs, ys = _points(series)
        if len(figure.series) > len(SERIES):
            style |= {"linewidth": 1.1}
        handles += axes.plot(xs, ys, **style)
    axes.grid(True, axis="both" if figure.square else "y")
    _limits(axes, plot)
    _mark(axes, plot.marks)
    _draw_legend(axes, handles, _legend_of(figure), raised=bool(plot.marks))
    label_axes(axes, figure.x_label, figure.y_label)


def _points(series: Series) -> tuple[list[float], list[float]]:
    xs = [float(x) if not isinstance(x, str) else float(i) for i, x in enumerate(series.x)]
    return xs, [math.nan if y is None or not math.isfinite(y) else float(y) for y in series.y]


def _series_style(index: int, series: Series, square: bool) -> dict[str, Any]:
    xs, ys = _points(series)
    gaps = [True, *(math.isnan(y) for y in ys), True]
    alone = any(left and right and not here for left, here, right in zip(gaps, gaps[1:], gaps[2:], strict=False))
    # A line needs two neighbours: a point between gaps would not be seen without a marker.
    # An ROC's corners are no values of their own, the bins of a reliability diagram are.
    stepped = square and any(left >= right for left, right in pairwise(xs))
    marked = alone or (not stepped and gaps.count(False) <= _MARKER_POINTS)
    return {
        "color": LIGHT[SERIES[index % len(SERIES)]],
        "linestyle": _DASHES[index % len(_DASHES)],
        "marker": _MARKERS[index % len(_MARKERS)] if marked else "",
    }


def _reference_style() -> dict[str, Any]:
    return {"color": LIGHT["muted"], "linestyle": (0, (2, 2)), "linewidth": 0.9}


def _limits(axes: Axes, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    figure = plot.figure
    if figure.square:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", anchor="NW", xticks=_FIFTHS, yticks=_FIFTHS)
        return
    values = [y for series in figure.series for y in _points(series)[1] if not math.isnan(y)]
    if plot.bounded and values:
        low = min(values)
        axes.set_ylim(max(-0.02, low - 0.15 * (1 - low) - 0.02), 1 + 0.04 * min(0.5, 1.02 - low))
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


def _mark(axes: Axes, marks: Sequence[Mark]) -> None:
    for mark in marks:
        axes.axvline(mark.x, color=LIGHT["muted"], linewidth=0.8)
        for text, offset, side in ((mark.before, -3, "right"), (mark.after, 3, "left")):
            # Above the axes, where no curve runs.
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


@dataclass(frozen=True, slots=True)
class _Legend:
    """Of a line plot, above its axes: its words, and how many stand beside each other."""

    labels: Sequence[str]
    columns: int

    @property
    def rows(self) -> int:
        """Lines that it takes above the axes."""
        return math.ceil(len(self.labels) / self.columns)


def _legend_of(figure: Figure) -> _Legend:
    labels = [shorten(series.name, _LABEL) for series in figure.series]
    if len(labels) > _LEGEND:
        labels = [*labels[: _LEGEND - 1], f"and {len(labels) - _LEGEND + 1} more"]
    longest = max((len(label) for label in labels), default=0)
    # A label of n letters is about 5.4 n wide, its line 32. No corner of the axes is sure to be empty.
    return _Legend(labels, max(1, min(len(labels), 3, int((WIDTH - 20) / (5.4 * longest + 32)))))


def _draw_legend(axes: Axes, handles: Sequence[Artist], legend: _Legend, raised: bool) -> None:
    if not any(legend.labels):
        return
    shown = list(handles)[: len(legend.labels)]
    place = (0.0, 1.05 if raised else 1.0)
    axes.legend(shown, legend.labels, loc="lower left", bbox_to_anchor=place, ncols=legend.columns)
