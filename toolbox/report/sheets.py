"""Sheets of pictures: a dataset's classes and samples, and sources with their copies before any copy is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from toolbox.api.augmenter import Augmenter
from toolbox.api.dataset import VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.images import resize_to_square, to_image
from toolbox.augment import encode, lineage
from toolbox.augment.recipe import Recipe
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files.names import printable
from toolbox.files.outputs import MARK, check_output, write_output
from toolbox.plugin import guard
from toolbox.plugin.spec import looks_like_path
from toolbox.report import svg
from toolbox.report.figures import POINTS_PER_INCH, plain_style, to_bytes
from toolbox.report.palette import LIGHT
from toolbox.report.pictures import Thumbnail
from toolbox.report.plots import MAX_BARS
from toolbox.report.wording import counted, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SIDE = 234
"""Pixels of a picture's side: what a sheet's cell has at the resolution of a PNG."""

MAX_ROWS = 24
"""Classes whose samples are shown; more make a sheet too long to read."""

COPIES = 6
"""Copies of each source in a preview."""

SUFFIXES = (".png", ".svg")

# Lengths in points.
_MARGIN, _CELL, _GAP, _LINE, _BAR, _NUMBER = 18.0, 84.0, 8.0, 14.0, 17.0, 44.0
_LETTER, _LONGEST_NAME = 5.6, 24
_COLORS = {"train": "series-1", "val": "series-3", "test": "series-2", "": "series-1"}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """Pictures beside each other under one heading."""

    heading: str
    pictures: Sequence[Thumbnail]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a sheet shows: bars of ``counts`` (images by split and class; ``""`` for no split), then ``rows``."""

    title: str
    facts: str
    rows: Sequence[SheetRow]
    note: str = ""
    counts: Mapping[str, Mapping[str, int]] | None = None

    @property
    def classes(self) -> dict[str, int]:
        """Images by class, most first."""
        totals: dict[str, int] = {}
        for row in (self.counts or {}).values():
            for label, count in row.items():
                totals[label] = totals.get(label, 0) + count
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def check(path: Path, source: Source, overwrite: bool = False) -> None:
    """Refuse what can't be written before anything is read.

    Raises
    ------
    UsageError: ``path`` is neither PNG nor SVG by its ending, lies in the dataset's folder, or is a file that
        toolbox did not write and ``overwrite`` is not set.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--picture {path} ends in none of {', '.join(SUFFIXES)}")
    if source.holds(path):
        raise UsageError(f"{path} lies in the dataset's own folder", "Give --picture a file elsewhere.")
    check_output(path, overwrite)


def samples(rows: Mapping[str, Sequence[Row]], source: Source) -> dict[str, list[Thumbnail]]:
    """The pictures of ``rows`` by class, with their names, at most :data:`MAX_SIDE` pixels a side."""
    virtual = isinstance(source.dataset, VirtualDataset)

    def thumbnail(row: Row) -> Thumbnail:
        image = source.image(row)
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        return Thumbnail(row.label, PurePosixPath(row.id if virtual else row.path).name, image)

    return {label: [thumbnail(row) for row in members] for label, members in rows.items()}


def of_inspection(document: Mapping[str, Any], pictures: Mapping[str, Sequence[Thumbnail]]) -> Sheet:
    """A dataset's classes and samples, from what ``toolbox data inspect`` reports."""
    sides = [
        f"{side['min']:,}" if side["min"] == side["max"] else f"{side['min']:,}–{side['max']:,}"
        for side in (document["width"], document["height"])
    ]
    data, classes = document["data"], len(pictures)
    return Sheet(
        title=Path(data).name if looks_like_path(data) else data,
        facts=f"{counted(document['images'], 'image')} in {classes} class{'' if classes == 1 else 'es'}, "
        f"{' × '.join(sides)} pixels",
        rows=[SheetRow(label, members) for label, members in pictures.items()],
        note=document["note"],
        counts=document["counts"],
    )


def of_preview(recipe: Recipe, rows: Sequence[Row], source: Source, augmenter: Augmenter) -> Sheet:
    """Each of ``rows`` and :data:`COPIES` copies of it, each with its parameters."""
    sheet_rows = []
    with guard.isolate(augmenter):
        for row in rows:
            image = source.image(row)
            params = encode.draw_params(augmenter, image, row.pixels, recipe.seed, range(COPIES))
            copies = encode.apply(augmenter, encode.repeat_source(image, recipe.size, COPIES), params, recipe.size)
            pictures = [Thumbnail(row.label, "source", resize_to_square(image, recipe.size))]
            for each, array in zip(params, copies, strict=True):
                pictures.append(Thumbnail(row.label, lineage.describe_params(each), to_image(array)))
            sheet_rows.append(SheetRow(row.path, pictures))
    facts = f"{counted(len(rows), 'source')}, {COPIES} copies of each at {recipe.size} × {recipe.size} pixels"
    return Sheet(str(recipe.spec), facts, sheet_rows)


def write(sheet: Sheet, path: Path, overwrite: bool = False) -> None:
    """Write the sheet to ``path``, whole or not at all, as an SVG by its ending, else as a PNG.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    write_output(path, render(sheet, "svg" if path.suffix.lower() == ".svg" else "png"), overwrite)


def render(sheet: Sheet, suffix: Literal["svg", "png"]) -> bytes:
    """The sheet as a file. Equal inputs give equal bytes."""
    from matplotlib.figure import Figure as Canvas

    rows, bars = sheet.rows[:MAX_ROWS], min(len(sheet.classes), MAX_BARS)
    columns = max(5, *(len(row.pictures) for row in rows)) if rows else 5
    width = 2 * _MARGIN + columns * (_CELL + _GAP) - _GAP
    height = 2 * _MARGIN + (4 if sheet.note else 3) * _LINE + bars * _BAR + (3 * _LINE if bars else 0)
    height += sum(_row_height(row) + 4 * _LINE for row in rows)
    with plain_style():
        canvas = Canvas(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH))
        axes = canvas.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
        axes.axis("off")
        at = _MARGIN
        _write(axes, _MARGIN, at, shorten(sheet.title, 60), 12.5, weight="bold")
        _write(axes, _MARGIN, at + _LINE + 3, shorten(sheet.facts, 100), 9, "muted")
        at += 2.5 * _LINE
        if sheet.note:
            _write(axes, _MARGIN, at, shorten(sheet.note, 95), 8.5, "warn")
            at += _LINE
        if sheet.counts:
            _draw_bars(axes, sheet, at, width)
            at += bars * _BAR + 2 * _LINE
        for row in rows:
            _draw_row(axes, row, at, width)
            at += _row_height(row) + 4 * _LINE
        data = to_bytes(canvas, suffix)
    if suffix == "svg":
        return f"{svg.for_file(data.decode('utf-8'), _alt(sheet))}<!-- {MARK} -->\n".encode()
    return data


def _draw_bars(axes: Axes, sheet: Sheet, top: float, width: float) -> None:
    """Class distribution: a bar per class, its parts the splits; below them the legend."""
    from matplotlib.patches import Rectangle

    classes = list(sheet.classes.items())
    names = [shorten(label, _LONGEST_NAME) for label, _ in classes[:MAX_BARS]]
    start = _MARGIN + max(24.0, _LETTER * max(map(len, names)) + 7)
    scale = (width - _MARGIN - _NUMBER - start) / max(1, classes[0][1])
    splits = {split: row for split, row in (sheet.counts or {}).items() if any(row.values())}
    for index, (name, (label, total)) in enumerate(zip(names, classes, strict=False)):
        y, left = top + index * _BAR, start
        _write(axes, start - 7, y + _BAR / 2, name, 8.5, ha="right")
        for split, row in splits.items():
            length = scale * row.get(label, 0)
            color, edge = LIGHT[_COLORS.get(split, "series-4")], LIGHT["paper"]
            axes.add_artist(Rectangle((left, y + 2), length, _BAR - 4, facecolor=color, edgecolor=edge, linewidth=0.6))
            left += length
        _write(axes, left + 5, y + _BAR / 2, f"{total:,}", 8.5)
    x, y = start, top + len(names) * _BAR + _LINE / 2
    for split in splits if list(splits) != [""] else ():
        axes.add_artist(Rectangle((x, y - 4), 8, 8, facecolor=LIGHT[_COLORS.get(split, "series-4")]))
        _write(axes, x + 12, y, split or "no split yet", 8.5, "muted")
        x += 24 + _LETTER * len(split or "no split yet")
    if hidden := len(classes) - len(names):
        _write(axes, width - _MARGIN, y, f"and {hidden} smaller classes", 8.5, "muted", ha="right")


def _draw_row(axes: Axes, row: SheetRow, top: float, width: float) -> None:
    axes.hlines(top, _MARGIN, width - _MARGIN, color=LIGHT["hairline"], linewidth=0.8)
    _write(axes, _MARGIN, top + _LINE, shorten(row.heading, 70), 9, weight="bold")
    bottom = top + 1.8 * _LINE + _row_height(row)
    for column, picture in enumerate(row.pictures):
        x, image = _MARGIN + column * (_CELL + _GAP), picture.image.convert("RGB")
        scale = _CELL / max(image.size)
        across, down = (max(1.0, side * scale) for side in image.size)
        left = x + (_CELL - across) / 2
        axes.imshow(image, extent=(left, left + across, bottom, bottom - down), aspect="auto", interpolation="none")
        for line, text in enumerate(_caption_lines(picture.caption)):
            _write(axes, x + _CELL / 2, bottom + (line + 0.6) * 0.6 * _LINE, text, 6, "muted", ha="center")


def _row_height(row: SheetRow) -> float:
    """The height of the row's tallest picture in its cell."""
    return max(_CELL * min(1.0, each.image.height / each.image.width) for each in row.pictures)


def _caption_lines(text: str) -> list[str]:
    """At most two lines of a picture's width; a word that is too long for one is cut."""
    lines = [""]
    for word in shorten(text, 44).split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > 22:
            lines.append("")
        lines[-1] = f"{lines[-1]} {shorten(word, 22)}".strip()
    return lines[:2]


def _write(
    axes: Axes, x: float, y: float, text: str, points: float, color: str = "ink", ha: str = "left", weight: str = ""
) -> None:
    axes.text(x, y, text, fontsize=points, color=LIGHT[color], ha=ha, va="center", weight=weight or "normal")


def _alt(sheet: Sheet) -> str:
    classes = ", ".join(f"{printable(label)} {count:,}" for label, count in list(sheet.classes.items())[:8])
    return f"{printable(sheet.title)}: {printable(sheet.facts)}{f' ({classes})' if classes else ''}."
