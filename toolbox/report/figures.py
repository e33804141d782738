"""Figures as SVG, PNG and CSV, drawn from data by matplotlib's object interface: no window, no global state."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from toolbox.api.evaluator import Figure
from toolbox.files.atomic import make_folder, write_bytes
from toolbox.report import svg
from toolbox.report.drawing import draw, size_of
from toolbox.report.drawing.style import STYLE
from toolbox.report.hover import Place, places
from toolbox.report.inputs import DataView, RunView
from toolbox.report.palette import LIGHT
from toolbox.report.plots import Drawing, Intervals, Plot, class_counts, learning_curves
from toolbox.report.wording import clean, shorten

_POINTS_PER_INCH = 72
_PNG_DPI = 200
_TITLE_HEIGHT = 22.0

Form = Literal["svg", "png"]
# Dates and versions would make equal inputs give different bytes.
_NO_METADATA: Mapping[Form, dict[str, Any]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "png": {"Software": None},
}


def to_page_svg(drawing: Drawing, key: str) -> str:
    """An ``<svg>`` element for a page: follows the page's colours and font; its ids begin with ``key``."""
    drawn, places = _render(drawing, "svg", titled=False)
    return svg.for_page(drawn.decode("utf-8"), key, alt_of(drawing), places)


def to_file_svg(drawing: Drawing) -> str:
    """An SVG file with title and light background."""
    return svg.for_file(_render(drawing, "svg", titled=True)[0].decode("utf-8"), alt_of(drawing))


def to_png(drawing: Drawing) -> bytes:
    """A PNG with title and light background, 200 dots an inch."""
    return _render(drawing, "png", titled=True)[0]


def to_csv(drawing: Drawing) -> str:
    """The data behind a drawing: one row for each point (series, x, y), or the matrix with its headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if isinstance(drawing, Intervals):
        writer.writerow(["name", "value", "low", "high"])
        writer.writerows([clean(row.name), row.metric.value, row.metric.low, row.metric.high] for row in drawing.rows)
        return out.getvalue()
    figure = drawing.figure
    if figure.kind == "matrix":
        writer.writerow([clean(text) for text in (f"{figure.y_label} \\ {figure.x_label}", *figure.columns)])
        writer.writerows([clean(name), *row] for name, row in zip(figure.rows, figure.values, strict=True))
        return out.getvalue()
    writer.writerow(["series", clean(figure.x_label) or "x", clean(figure.y_label) or "y"])
    for series in figure.series:
        for x, y in zip(series.x, series.y, strict=True):
            writer.writerow([clean(series.name), clean(x) if isinstance(x, str) else x, y])
    return out.getvalue()


def alt_of(drawing: Drawing) -> str:
    """What a drawing shows, in words."""
    return drawing.alt if isinstance(drawing, Intervals) else drawing.figure.alt or drawing.figure.title


def title_of(drawing: Drawing) -> str:
    """A drawing's title."""
    return drawing.title if isinstance(drawing, Intervals) else drawing.figure.title


def name_of(drawing: Drawing) -> str:
    """A drawing's name as the stem of a file: letters, digits and ``-``, never a name that Windows reserves."""
    name = drawing.name if isinstance(drawing, Intervals) else drawing.figure.name
    stem = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:60]
    return stem if stem and not re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", stem) else f"figure-{stem}".rstrip("-")


def run_drawings(run: RunView) -> list[Drawing]:
    """Everything there is to draw of a run: learning curves, what its evaluators say, its classes."""
    figures = run.evaluation.figures if run.evaluation else ()
    counts = DataView(description="", counts_before=run.counts, counts_after=run.files) if run.counts else None
    return [
        *learning_curves(run.history),
        *(Plot(figure) for figure in figures if drawable(figure)),
        *(class_counts(counts) if counts else ()),
    ]


def drawable(figure: Figure) -> bool:
    """Whether a figure holds anything to draw."""
    if figure.kind == "matrix":
        return any(len(row) for row in figure.values)
    return any(len(series.x) for series in figure.series)


def write_figures(run: RunView, folder: Path) -> list[Path]:
    """Write each figure of ``run`` to ``folder`` as SVG, PNG and CSV; returns the paths.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: a file can't be written.
    """
    make_folder(folder)
    paths: list[Path] = []
    taken: set[str] = set()
    for drawing in run_drawings(run):
        stem, number = name_of(drawing), 2
        while stem in taken:
            stem, number = f"{name_of(drawing)}-{number}", number + 1
        taken.add(stem)
        for suffix, data in (
            ("svg", to_file_svg(drawing).encode("utf-8")),
            ("png", to_png(drawing)),
            ("csv", to_csv(drawing).encode("utf-8")),
        ):
            paths.append(folder / f"{stem}.{suffix}")
            write_bytes(paths[-1], data)
    return paths


def _render(drawing: Drawing, form: Form, titled: bool) -> tuple[bytes, list[Place]]:
    """The file's bytes, and where its values stand on it."""
    import matplotlib.style
    from matplotlib.figure import Figure as Canvas

    width, height = size_of(drawing)
    height += _TITLE_HEIGHT * titled
    # A matplotlibrc of the user's must not change the bytes, so the style starts from matplotlib's own defaults.
    with matplotlib.style.context(dict(STYLE), after_reset=True), warnings.catch_warnings():
        # DejaVu lacks many scripts; a browser draws them from the text, a PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas = Canvas(
            figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH),
            layout="constrained",
            facecolor=LIGHT["paper"] if titled else "none",
        )
        on = canvas.subplots()
        on.set_facecolor("none")
        draw(on, drawing)
        if titled:
            canvas.suptitle(shorten(title_of(drawing), 60), x=0.015, ha="left")
        data = io.BytesIO()
        canvas.savefig(data, format=form, dpi=_PNG_DPI, metadata=_NO_METADATA[form])
        return data.getvalue(), places(on, drawing)
