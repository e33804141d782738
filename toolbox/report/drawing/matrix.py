"""Matrices: confusion matrices above all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolbox.api.evaluator import Figure
from toolbox.report.drawing.style import WIDTH, label_axes
from toolbox.report.palette import ACCENT_STRONG, LIGHT
from toolbox.report.wording import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELLED = 30
"""Classes up to which a matrix has a label and a number in each cell; beyond it is a picture."""


def size(figure: Figure) -> tuple[float, float]:
    """Width and height, growing with the number of classes."""
    layout = _layout(figure)
    return layout.width, layout.height


@dataclass(frozen=True, slots=True)
class _Layout:
    """Width and height; whether column names stand upright; every how many-th name is set."""

    width: float
    height: float
    upright: bool
    step: int


def _layout(figure: Figure) -> _Layout:
    count = max(len(figure.rows), len(figure.columns), 1)
    beside, below = (6 * max((len(_name(n)) for n in names), default=0) for names in (figure.rows, figure.columns))
    if count > MAX_LABELLED:
        return _Layout(620.0, 620.0, True, math.ceil(count / 25))
    cell = max(26.0, min(110.0, (WIDTH - 34 - beside) / count))
    upright = below > cell - 3
    width = max(WIDTH, 34 + beside + cell * len(figure.columns))
    return _Layout(width, (26 + below if upright else 40) + cell * len(figure.rows), upright, 1)


def _name(text: str) -> str:
    return shorten(text, 16)


def draw(axes: Axes, figure: Figure) -> None:
    """Shaded cells with their numbers; from :data:`MAX_LABELLED` classes on a picture."""
    weights = _shares(figure)
    rows, columns = len(figure.rows), len(figure.columns)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal", anchor="NW")
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
    label_axes(axes, figure.x_label, figure.y_label)


def is_counts(figure: Figure) -> bool:
    """Whether a matrix holds counts, each then coloured by its share of the row."""
    return all(_real(v) >= 0 and float(v).is_integer() for row in figure.values for v in row)


def has_shares(figure: Figure) -> bool:
    """Whether there is room to write each count's share of the row below it."""
    return is_counts(figure) and max(len(figure.rows), len(figure.columns)) <= 6


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

    def write(x: float, y: float, text: str, points: float, colour: str) -> None:
        # Out of the layout, which would measure each cell's text to make room for what lies within the axes anyway.
        axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=points, in_layout=False)

    for i, (row, shades) in enumerate(zip(figure.values, weights, strict=True)):
        for j, (value, shade) in enumerate(zip(row, shades, strict=True)):
            if counts and not value and not small:
                continue  # in a large matrix nothing says nothing
            box = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=LIGHT["accent"], alpha=shade, linewidth=0)
            box.set_in_layout(False)
            axes.add_artist(box)  # unlike add_patch it leaves the limits, which are set, alone
            colour = LIGHT["on-strong" if shade >= ACCENT_STRONG else "on-weak"]
            twice = counts and small > 0
            write(j, i - 0.06 * twice, f"{value:,.0f}" if counts else _short_number(value), large, colour)
            if twice:
                write(j, i + 0.2, f"{shade:.2f}", small, colour)
    rules: dict[str, Any] = {"colors": LIGHT["hairline"], "linewidths": 0.7, "clip_on": False}
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
