"""Matrices: confusion matrices above all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from toolbox.api.evaluator import Figure
from toolbox.report.drawing.style import WIDTH, Tooltips, label_axes
from toolbox.report.palette import ACCENT_STRONG, LIGHT
from toolbox.report.plots import MAX_LABELLED, has_shares, is_counts
from toolbox.report.wording import count_or_number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Layout(NamedTuple):
    """Width and height in points; whether column names stand upright; every how many-th name is shown."""

    width: float
    height: float
    upright: bool
    step: int


def _layout(figure: Figure) -> _Layout:
    count = max(len(figure.rows), len(figure.columns), 1)
    beside, below = (
        6 * max((len(shorten(n, 16)) for n in names), default=0) for names in (figure.rows, figure.columns)
    )
    if count > MAX_LABELLED:
        return _Layout(620.0, 620.0, True, math.ceil(count / 25))
    cell = max(26.0, min(110.0, (WIDTH - 34 - beside) / count))
    upright = below > cell - 3
    width = max(WIDTH, 34 + beside + cell * len(figure.columns))
    return _Layout(width, (26 + below if upright else 40) + cell * len(figure.rows), upright, 1)


def size(figure: Figure) -> tuple[float, float]:
    """Width and height in points; both grow with the number of classes."""
    return _layout(figure)[:2]


def draw(axes: Axes, figure: Figure) -> Tooltips:
    """Draw shaded cells with their numbers; beyond :data:`MAX_LABELLED` classes an image."""
    shades, layout = _shades(figure), _layout(figure)
    rows, columns = len(figure.rows), len(figure.columns)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal", anchor="NW")
    tooltips: Tooltips = []
    if max(rows, columns) > MAX_LABELLED:
        _draw_image(axes, shades)
    else:
        tooltips = _draw_cells(axes, figure, shades)
    axes.set_xticks(range(0, columns, layout.step), [shorten(name, 16) for name in figure.columns[:: layout.step]])
    axes.set_yticks(range(0, rows, layout.step), [shorten(name, 16) for name in figure.rows[:: layout.step]])
    if layout.upright:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0, labelcolor=LIGHT["ink"])
    axes.spines[:].set_visible(layout.step > 1)
    axes.spines[:].set_color(LIGHT["hairline"])
    label_axes(axes, figure.x_label, figure.y_label)
    return tooltips


def _shades(figure: Figure) -> list[list[float]]:
    """Opacity of each cell in [0, 1]: counts by their row's sum, other values by the largest magnitude."""
    values = [[0.0 if v is None or not math.isfinite(v) else abs(float(v)) for v in row] for row in figure.values]
    if is_counts(figure):
        return [[v / (sum(row) or 1.0) for v in row] for row in values]
    top = max((v for row in values for v in row), default=0.0) or 1.0
    return [[v / top for v in row] for row in values]


def _draw_cells(axes: Axes, figure: Figure, shades: Sequence[Sequence[float]]) -> Tooltips:
    from matplotlib.patches import Rectangle

    rows, columns = len(figure.rows), len(figure.columns)
    counts, shares = is_counts(figure), has_shares(figure)
    large, small = (15.0, 8.5) if max(rows, columns) <= 3 else (11.0, 7.0) if max(rows, columns) <= 6 else (7.5, 0.0)
    # Out of the layout, which would measure each cell's text to make room for what lies within the axes anyway.
    centered: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
    tooltips: Tooltips = []
    for i, (row, row_shades) in enumerate(zip(figure.values, shades, strict=True)):
        for j, (value, shade) in enumerate(zip(row, row_shades, strict=True)):
            if counts and not value and not small:
                continue  # zeros would clutter a large matrix
            box = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=LIGHT["accent"], alpha=shade, linewidth=0)
            box.set_in_layout(False)
            axes.add_artist(box)  # unlike add_patch it leaves the limits, which are set, alone
            color = LIGHT["on-strong" if shade >= ACCENT_STRONG else "on-weak"]
            text = f"{value:,.0f}" if counts else _short_number(value)
            axes.text(j, i - 0.06 * shares, text, fontsize=large, color=color, **centered)
            if shares:
                axes.text(j, i + 0.2, f"{shade:.2f}", fontsize=small, color=color, **centered)
            where = f"{figure.y_label} {shorten(figure.rows[i], 40)}, {figure.x_label} {shorten(figure.columns[j], 40)}"
            share = f" ({shade:.2f} of the row)" if counts else ""
            tooltips.append((box, [f"{where}: {count_or_number(value)}{share}"]))
    rules: dict[str, Any] = {"colors": LIGHT["hairline"], "linewidths": 0.7, "clip_on": False}
    axes.hlines([i - 0.5 for i in range(rows + 1)], -0.5, columns - 0.5, **rules)
    axes.vlines([j - 0.5 for j in range(columns + 1)], -0.5, rows - 0.5, **rules)
    return tooltips


def _short_number(value: float) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _draw_image(axes: Axes, shades: Sequence[Sequence[float]]) -> None:
    import numpy as np
    from matplotlib.colors import to_rgb

    # One color that shows on light and dark paper alike, for an image can't follow the page's scheme.
    pixels = np.empty((len(shades), len(shades[0]), 4))
    pixels[..., :3] = to_rgb(LIGHT["series-6"])
    pixels[..., 3] = np.asarray(shades)
    axes.imshow(pixels, interpolation="none")
