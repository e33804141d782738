"""What all drawings share: width, matplotlib's settings, axis labels, points to hover over. Lengths are in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolbox.report.palette import LIGHT
from toolbox.report.wording import shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Tooltips = list[tuple["Artist", Sequence[str]]]
"""Artists and the text of each of their marks: one for a bar or a cell, one per point for a line's points."""

WIDTH = 340.0
"""Of most figures: about a phone's, so that their text is read there at its nominal size."""

STYLE: Mapping[str, Any] = {
    # DejaVu Sans comes with matplotlib, so that layout is the same everywhere; a browser then sets its own font.
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,  # a class called "$x" is not a formula
    "text.color": LIGHT["ink"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "legend.borderaxespad": 0.4,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "svg.fonttype": "none",
    "svg.hashsalt": "toolbox",
    "image.composite_image": False,
}


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Write beside the axes what they hold."""
    axes.set_xlabel(shorten(x, 60))
    axes.set_ylabel(shorten(y, 40))


def add_hover_points(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> Line2D:
    """Invisible points, large enough to point at, to carry tooltips."""
    return axes.plot(xs, ys, linestyle="", marker="o", markersize=9, alpha=0, zorder=9, color=LIGHT["accent"])[0]
