"""A dataset on one sheet: its class distribution, and random samples of each class with their names."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from PIL import Image

from toolbox.api.dataset import VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files.atomic import write_bytes
from toolbox.plugin.spec import looks_like_path
from toolbox.report import svg
from toolbox.report.drawing.style import STYLE
from toolbox.report.inputs import Thumb
from toolbox.report.palette import LIGHT
from toolbox.report.plots import MAX_BARS
from toolbox.report.wording import clean, counted, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_SIDE = 256
MAX_ROWS = 24
"""Classes whose samples are shown; more make a sheet that nobody scrolls."""

SUFFIXES = (".png", ".svg")

# Lengths in points.
_MARGIN, _CELL, _GAP, _COLUMNS = 18.0, 84.0, 8.0, 5
_WIDTH = 2 * _MARGIN + _COLUMNS * _CELL + (_COLUMNS - 1) * _GAP
_HEAD, _BAR, _ROW_HEAD, _CAPTION, _SECTION = 44.0, 17.0, 18.0, 14.0, 30.0
_NAME, _LONGEST_NAME, _NUMBER = 5.6, 24, 44.0  # a character; characters; room for a count
_DPI = 200
_THUMB = {".png": 234, ".svg": 150}  # pixels a side: a PNG's own resolution; an SVG's size matters more
_COLOURS = {"train": "series-1", "val": "series-3", "test": "series-2", "": "series-1"}


@dataclass(frozen=True)
class Overview:
    """What the sheet shows.

    ``counts`` holds images by split (``""`` where there is none yet) and class, ``samples`` some of each class,
    ``size`` the picture sizes in words.
    """

    title: str
    size: str
    note: str
    counts: Mapping[str, Mapping[str, int]]
    samples: Mapping[str, Sequence[Thumb]]

    @property
    def classes(self) -> dict[str, int]:
        """Images by class, most first."""
        totals = {label: sum(row[label] for row in self.counts.values()) for label in self.samples}
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def check(path: Path, source: Source) -> None:
    """Refuse what can't be written before anything is read.

    Raises
    ------
    UsageError: ``path`` is neither PNG nor SVG by its ending, or lies in the dataset's folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--picture {path} ends in none of {', '.join(SUFFIXES)}")
    if source.holds(path):
        raise UsageError(f"{path} lies in the dataset's own folder", "Give --picture a file elsewhere.")


def thumbs(rows: Mapping[str, Sequence[Row]], source: Source) -> dict[str, list[Thumb]]:
    """The pictures of ``rows`` by class, with their names, at most :data:`MAX_SIDE` pixels a side."""
    virtual = isinstance(source.dataset, VirtualDataset)

    def thumb(row: Row) -> Thumb:
        image = source.image(row)
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        return Thumb(row.label, PurePosixPath(row.id if virtual else row.path).name, image)

    return {label: [thumb(row) for row in chosen] for label, chosen in rows.items()}


def of_inspection(document: Mapping[str, Any], samples: Mapping[str, Sequence[Thumb]]) -> Overview:
    """The sheet of what ``toolbox data inspect`` found."""
    width, height = document["width"], document["height"]
    sides = [
        f"{side['min']:,}" if side["min"] == side["max"] else f"{side['min']:,}–{side['max']:,}"
        for side in (width, height)
    ]
    data = document["data"]
    title = Path(data).name if looks_like_path(data) else data
    return Overview(title, f"{' × '.join(sides)} pixels", document["note"], document["counts"], samples)


def render(view: Overview, suffix: str) -> bytes:
    """The sheet as a ``.png`` of 200 dots an inch, or an ``.svg``. Equal inputs give equal bytes."""
    import matplotlib.style
    from matplotlib.figure import Figure

    suffix = suffix.lower()
    bars = min(len(view.classes), MAX_BARS)
    chart = _SECTION + bars * _BAR + _below_bars(view)
    grid = _SECTION + sum(_ROW_HEAD + _row_height(view, label) + _CAPTION for label in list(view.classes)[:MAX_ROWS])
    height = _HEAD + chart + grid + _MARGIN + (_CAPTION if view.note else 0)
    with matplotlib.style.context(dict(STYLE), after_reset=True), warnings.catch_warnings():
        # DejaVu lacks many scripts; a browser draws them from the text, a PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas = Figure(figsize=(_WIDTH / 72, height / 72), facecolor=LIGHT["paper"])
        sheet = _Sheet(canvas, height, _THUMB[suffix])
        sheet.head(view)
        sheet.chart(view)
        sheet.grid(view)
        data = io.BytesIO()
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type")) if suffix == ".svg" else {"Software": None}
        canvas.savefig(data, format=suffix[1:], dpi=_DPI, metadata=empty)
    if suffix == ".svg":
        return svg.for_file(data.getvalue().decode("utf-8"), _alt(view)).encode("utf-8")
    return data.getvalue()


def write(view: Overview, path: Path) -> None:
    """Write the sheet to ``path``, whole or not at all, in the format that its ending names.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    write_bytes(path, render(view, path.suffix))


class _Sheet:
    """Draws from the top down; ``at`` is how far it has come."""

    def __init__(self, canvas: Figure, height: float, thumb: int) -> None:
        self._canvas, self._height, self._thumb = canvas, height, thumb
        self._at = _MARGIN

    def head(self, view: Overview) -> None:
        total, classes = sum(view.classes.values()), len(view.classes)
        self._write(_MARGIN, self._at + 4, shorten(view.title, 60), 12.5, "ink", bold=True)
        facts = f"{counted(total, 'image')} in {classes} class{'' if classes == 1 else 'es'}, {view.size}"
        self._write(_MARGIN, self._at + 20, facts, 9, "muted")
        self._at += _HEAD - _MARGIN
        if view.note:
            self._write(_MARGIN, self._at, shorten(view.note, 95), 8.5, "warn")
            self._at += _CAPTION

    def chart(self, view: Overview) -> None:
        """Class distribution: a bar for each class, its parts the splits."""
        self._section("Class distribution")
        shown = list(view.classes.items())[:MAX_BARS]
        splits = [split for split, row in view.counts.items() if any(row.values())]
        names = [shorten(label, _LONGEST_NAME) for label, _ in shown]
        start = _MARGIN + max(24.0, _NAME * max(map(len, names)) + 7)
        room, most = _WIDTH - _MARGIN - _NUMBER - start, max(count for _, count in shown)
        axes = self._axes(start, self._at, room, len(shown) * _BAR)
        left = [0] * len(shown)
        for split in splits:
            lengths = [view.counts[split][label] for label, _ in shown]
            axes.barh(
                range(len(shown)), lengths, 0.72, left, color=LIGHT[_COLOURS[split]],
                edgecolor=LIGHT["paper"], linewidth=0.6, label=split or "no split yet",
            )  # fmt: skip
            left = [before + length for before, length in zip(left, lengths, strict=True)]
        axes.set_xlim(0, most)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.axis("off")
        for index, (name, (_, count)) in enumerate(zip(names, shown, strict=True)):
            y = self._at + (index + 0.5) * _BAR
            self._write(start - 7, y, name, 8.5, "ink", align="right")
            self._write(start + room * count / most + 5, y, f"{count:,}", 8.5, "ink")
        self._at += len(shown) * _BAR
        if splits != [""]:
            axes.legend(
                loc="upper left", bbox_to_anchor=(0, 0), ncols=4, fontsize=8.5, handlelength=1, handleheight=1,
                borderaxespad=0.3, borderpad=0, labelcolor=LIGHT["muted"],
            )  # fmt: skip
        if hidden := len(view.classes) - len(shown):
            self._write(_WIDTH - _MARGIN, self._at + 9, f"and {hidden} smaller classes", 8.5, "muted", align="right")
        self._at += _below_bars(view)

    def grid(self, view: Overview) -> None:
        """Samples: a row for each class."""
        hidden = len(view.samples) - MAX_ROWS
        self._section(f"Random samples of {MAX_ROWS} of the classes" if hidden > 0 else "Random samples of each class")
        for label in list(view.classes)[:MAX_ROWS]:
            self._write(_MARGIN, self._at + 6, shorten(label, 70), 9, "ink", bold=True)
            self._at += _ROW_HEAD
            height = _row_height(view, label)
            for column, thumb in enumerate(view.samples[label][:_COLUMNS]):
                x = _MARGIN + column * (_CELL + _GAP)
                self._picture(thumb.image, x, height)
                self._write(x + _CELL / 2, self._at + height + 6, shorten(thumb.caption, 19), 6.5, "muted", "center")
            self._at += height + _CAPTION

    def _picture(self, image: Image.Image, x: float, height: float) -> None:
        scale = self._thumb / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        small = image.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)
        axes = self._axes(x, self._at, _CELL, height)
        axes.imshow(small, aspect="equal")
        axes.set_anchor("S")
        axes.axis("off")

    def _section(self, title: str) -> None:
        rule = self._axes(_MARGIN, self._at + 4, _WIDTH - 2 * _MARGIN, 1)
        rule.axis("off")
        rule.axhline(0.5, color=LIGHT["hairline"], linewidth=0.8)
        self._write(_MARGIN, self._at + 16, title, 9.5, "accent", bold=True)
        self._at += _SECTION

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / _WIDTH, 1 - (y + height) / self._height, width / _WIDTH, height / self._height)
        return self._canvas.add_axes(box)

    def _write(
        self, x: float, y: float, text: str, points: float, colour: str, align: str = "left", bold: bool = False
    ) -> None:
        self._canvas.text(
            x / _WIDTH, 1 - y / self._height, text, fontsize=points, color=LIGHT[colour],
            ha=align, va="center", weight="bold" if bold else "normal",
        )  # fmt: skip


def _below_bars(view: Overview) -> float:
    """Room for the legend, where there is one, or for how many classes are left out."""
    return _ROW_HEAD if set(view.counts) != {""} or len(view.classes) > MAX_BARS else 6.0


def _row_height(view: Overview, label: str) -> float:
    """As high as the row's tallest picture stands in its cell."""
    return max(_CELL * min(1.0, thumb.image.height / thumb.image.width) for thumb in view.samples[label])


def _alt(view: Overview) -> str:
    classes = ", ".join(f"{clean(label)} {count:,}" for label, count in list(view.classes.items())[:8])
    return f"{clean(view.title)}: class distribution ({classes}) and random samples of each class."
