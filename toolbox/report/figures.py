"""Figures as SVG, PNG and CSV, drawn from data by matplotlib's object interface: no window, no global state."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import toolbox
from toolbox.files.atomic import make_folder, write_bytes
from toolbox.files.names import printable, spreadsheet_cell
from toolbox.files.outputs import MARK
from toolbox.report import svg
from toolbox.report.palette import LIGHT
from toolbox.report.plots import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

POINTS_PER_INCH, PNG_DPI = 72, 200


def save(plots: Sequence[Plot], folder: Path) -> list[Path]:
    """Write each plot to ``folder`` as SVG, PNG and CSV, unless it is there, drawn from the same data.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: a file can't be written.
    """
    make_folder(folder)
    paths = []
    for plot in plots:
        drawing, png, table = (folder / f"{plot.figure.name}.{suffix}" for suffix in ("svg", "png", "csv"))
        paths += [drawing, png, table]
        if not (_is_current(plot, drawing) and png.is_file() and table.is_file()):
            with _drawn(plot) as (canvas, tooltips):
                write_bytes(png, to_bytes(canvas, "png"))
                write_bytes(table, to_csv(plot).encode("utf-8"))
                write_bytes(drawing, _to_svg(plot, canvas, tooltips).encode("utf-8"))
    return paths


def for_page(plot: Plot, key: str, folder: Path | None = None) -> tuple[str, float]:
    """An ``<svg>`` element for a page, and its width in points; see :func:`toolbox.report.svg.for_page`.

    It is the one in ``folder`` where that was drawn from the same data.
    """
    file = folder / f"{plot.figure.name}.svg" if folder else None
    if file is not None and _is_current(plot, file):
        try:
            return svg.for_page(file.read_text("utf-8"), key)
        except (OSError, ValueError):
            pass  # edited or damaged: draw it again
    return svg.for_page(to_svg(plot), key)


def to_svg(plot: Plot) -> str:
    """An SVG file."""
    with _drawn(plot) as (canvas, tooltips):
        return _to_svg(plot, canvas, tooltips)


def to_png(plot: Plot) -> bytes:
    """A PNG on the light scheme's paper, 200 dots an inch."""
    with _drawn(plot) as (canvas, _):
        return to_bytes(canvas, "png")


def to_csv(plot: Plot) -> str:
    """The data behind a plot: a row per point (series, x, y), or the matrix with its headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figure = plot.figure
    if figure.kind == "matrix":
        writer.writerow([_cell(text) for text in (f"{figure.y_label} \\ {figure.x_label}", *figure.columns)])
        writer.writerows([_cell(name), *row] for name, row in zip(figure.rows, figure.values, strict=True))
        return out.getvalue()
    writer.writerow(["series", _cell(figure.x_label) or "x", _cell(figure.y_label) or "y"])
    for series in figure.series:
        for x, y in zip(series.x, series.y, strict=True):
            writer.writerow([_cell(series.name), _cell(x) if isinstance(x, str) else x, y])
    return out.getvalue()


def _cell(text: str) -> str:
    return spreadsheet_cell(printable(text))


def to_bytes(canvas: Canvas, suffix: Literal["svg", "png"]) -> bytes:
    """A drawn canvas as a file without dates and versions: equal inputs give equal bytes."""
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type")) if suffix == "svg" else {"Software": MARK}
    background = "none" if suffix == "svg" else LIGHT["paper"]
    data = io.BytesIO()
    canvas.savefig(data, format=suffix, dpi=PNG_DPI, metadata=metadata, facecolor=background)
    return data.getvalue()


@contextmanager
def plain_style() -> Iterator[None]:
    """matplotlib's defaults and the report's style: a user's matplotlibrc must not change the bytes."""
    import matplotlib.style

    from toolbox.report.drawing.style import STYLE

    with matplotlib.style.context(dict(STYLE), after_reset=True), warnings.catch_warnings():
        # DejaVu lacks many scripts; a browser draws them from the text, a PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextmanager
def _drawn(plot: Plot) -> Iterator[tuple[Canvas, dict[str, Sequence[str]]]]:
    """A canvas with the plot on it, laid out, and the tooltips by the id of what they belong to."""
    from matplotlib.figure import Figure as Canvas

    from toolbox.report.drawing import draw, size_of

    width, height = size_of(plot)
    with plain_style():
        canvas = Canvas(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="constrained")
        axes = canvas.subplots()
        axes.set_facecolor("none")
        tooltips: dict[str, Sequence[str]] = {}
        for artist, texts in draw(axes, plot):
            artist.set_gid(f"tooltip-{len(tooltips)}")
            tooltips[f"tooltip-{len(tooltips)}"] = texts
        # Once: every file that is saved would lay it out again.
        layout: Any = canvas.get_layout_engine()
        layout.execute(canvas)
        canvas.set_layout_engine("none")
        yield canvas, tooltips


def _to_svg(plot: Plot, canvas: Canvas, tooltips: dict[str, Sequence[str]]) -> str:
    drawing = to_bytes(canvas, "svg").decode("utf-8")
    return svg.for_file(drawing, plot.figure.alt or plot.figure.title, _source(plot), tooltips)


def _is_current(plot: Plot, file: Path) -> bool:
    """Whether ``file`` was drawn from the same data by the same version."""
    try:
        with file.open(encoding="utf-8") as text:
            return svg.source_of(text.read(200)) == _source(plot)
    except (OSError, UnicodeDecodeError):
        return False


def _source(plot: Plot) -> str:
    data = json.dumps([toolbox.__version__, asdict(plot)], default=str)
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()[:24]
