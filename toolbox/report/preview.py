"""A picture of sources and their copies side by side, before any copy is written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import Image

from toolbox.api.augmenter import Augmenter
from toolbox.augment import encode, lineage
from toolbox.augment.recipe import Recipe
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files.atomic import write_bytes
from toolbox.report.drawing.style import STYLE
from toolbox.report.palette import LIGHT
from toolbox.report.wording import shorten

COPIES = 6
"""Copies of each source that are drawn."""

SIDE = 1.25
"""Inches of a picture's side."""


@dataclass(frozen=True, slots=True)
class Family:
    """A source and copies of it, each with what it was made by."""

    name: str
    source: Image.Image
    copies: Sequence[tuple[str, Image.Image]]


def draw_preview(
    recipe: Recipe, rows: Sequence[Row], source: Source, augmenter: Augmenter, count: int, path: Path
) -> None:
    """Draw ``count`` of ``rows``, evenly spaced, and :data:`COPIES` copies of each (PNG, or SVG by the path's ending).

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    chosen = rows[:: max(1, len(rows) // count)][:count]
    families = [_family(row, recipe, source, augmenter) for row in chosen]
    _draw(str(recipe.spec), families, path)


def _family(row: Row, recipe: Recipe, source: Source, augmenter: Augmenter) -> Family:
    image = source.image(row)
    params = encode.draw_params(augmenter, image, row.pixels, recipe.seed, range(COPIES))
    made = augmenter.apply(encode.repeat_source(image, recipe.size, COPIES), params, recipe.size)
    shown = [(lineage.describe_params(each), encode.to_image(array)) for each, array in zip(params, made, strict=True)]
    return Family(row.path, encode.to_image(encode.resize_source(image, recipe.size)), shown)


def _draw(title: str, families: Sequence[Family], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    columns = 1 + max(len(family.copies) for family in families)
    with matplotlib.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(SIDE * columns + 0.2, (SIDE + 0.25) * len(families) + 0.5), layout="constrained")
        figure.patch.set_facecolor(LIGHT["paper"])
        figure.suptitle(shorten(title, 90), color=LIGHT["ink"])
        grid = figure.subplots(len(families), columns, squeeze=False)
        for axes, family in zip(grid, families, strict=True):
            pictures = [(family.name, family.source), *family.copies]
            for place, cell in enumerate(axes):
                cell.set_axis_off()
                if place < len(pictures):
                    text, image = pictures[place]
                    cell.imshow(image, cmap="gray" if image.mode == "L" else None, vmin=0, vmax=255)
                    weight = "bold" if place == 0 else "normal"
                    title = _lines(text) if place else _end(text)
                    cell.set_title(title, fontsize=6.5, color=LIGHT["muted"], fontweight=weight, pad=3)
        buffer = io.BytesIO()
        kind = "svg" if path.suffix.lower() == ".svg" else "png"
        figure.savefig(buffer, format=kind, dpi=150, facecolor=figure.get_facecolor())
    write_bytes(path, buffer.getvalue())


def _end(path: str) -> str:
    """The last two parts of a source's path, one below the other: what names it, within a picture's width."""
    return "\n".join(shorten(part, 22) for part in path.split("/")[-2:])


def _lines(text: str) -> str:
    """At most two lines under a picture's width."""
    words = shorten(text, 52).split(" ")
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 24 and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])
