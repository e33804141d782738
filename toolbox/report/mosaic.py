"""Samples in a terminal: two pixels a character, an upper and a lower one. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from toolbox.report.inputs import Thumb
from toolbox.report.wording import shorten

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

MAX_ROWS = 12
"""Classes that are shown; a picture holds more."""

_COLUMNS, _GAP, _WIDEST, _NARROWEST = 5, 2, 24, 6
_SHADES = " ░▒▓█"


def mosaic(samples: Mapping[str, Sequence[Thumb]], width: int, colour: bool) -> list[RenderableType]:
    """A row of pictures for each class, with their names, in ``width`` columns.

    Without ``colour`` brightness is told by shaded characters.
    """
    from rich.text import Text

    columns = max(1, min(_COLUMNS, (width + _GAP) // (_NARROWEST + _GAP)))
    side = min(_WIDEST, (width + _GAP) // columns - _GAP)
    things: list[RenderableType] = []
    for label in list(samples)[:MAX_ROWS]:
        thumbs = samples[label][:columns]
        pictures = [list(_lines(thumb.image, side, colour)) for thumb in thumbs]
        things += ["", Text(shorten(label, width), "bold")]
        things += [Text(" " * _GAP).join(line) for line in zip(*pictures, strict=True)]
        things.append(Text((" " * _GAP).join(shorten(thumb.caption, side).ljust(side) for thumb in thumbs), "dim"))
    if len(samples) > MAX_ROWS:
        things.append(Text(f"and {len(samples) - MAX_ROWS} more classes; --picture FILE.png shows more", "dim"))
    return things


def _lines(image: Image.Image, side: int, colour: bool) -> Iterator[Text]:
    """``image`` on a square of ``side`` pixels, in lines of two pixels' height; its proportions are kept."""
    from rich.text import Text

    small = image.convert("RGB" if colour else "L")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small = small if max(small.size) == side else _enlarged(small, side)
    small = small if colour else ImageOps.autocontrast(small).convert("RGB")
    height = side + side % 2
    across, down = (side - small.width) // 2, (height - small.height) // 2
    for y in range(0, height, 2):
        line = Text()
        for x in range(side):
            upper, lower = (_pixel(small, x - across, row - down) for row in (y, y + 1))
            line.append(*(_coloured(upper, lower) if colour else _shaded(upper, lower)))
        yield line


Pixel = tuple[int, int, int] | None


def _pixel(image: Image.Image, x: int, y: int) -> Pixel:
    if not (0 <= x < image.width and 0 <= y < image.height):
        return None
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)  # RGB
    return found[0], found[1], found[2]


def _coloured(upper: Pixel, lower: Pixel) -> tuple[str, str]:
    if upper is None and lower is None:
        return " ", ""
    if upper is None:
        return "▄", f"rgb{lower}".replace(" ", "")
    if lower is None:
        return "▀", f"rgb{upper}".replace(" ", "")
    return "▀", f"rgb{upper} on rgb{lower}".replace(", ", ",")


def _shaded(upper: Pixel, lower: Pixel) -> tuple[str, str]:
    values = [value for pixel in (upper, lower) if pixel is not None for value in pixel]
    return _SHADES[round(sum(values) / len(values) / 255 * (len(_SHADES) - 1))] if values else " ", ""


def _enlarged(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
