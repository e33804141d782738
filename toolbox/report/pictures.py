"""Pictures small enough to stand in a page, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from toolbox.api.evaluator import Gallery
from toolbox.report.inputs import CopyRow, Thumb

MAX_SIDE = 160
"""Pixels; shown at half of it where the screen has two for one."""

GALLERY_SIDE, MAX_GALLERY = 320, 12
"""The same for what evaluators show: pictures that stand beside each other in one."""

MAX_SAMPLES, MAX_SOURCES, MAX_COPIES = 24, 6, 8
"""More pictures tell a reader nothing new and would make a page of many megabytes."""

_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the page embeds it; ``width`` and ``height`` in pixels."""

    uri: str
    width: int
    height: int
    label: str
    caption: str


def embed(thumb: Thumb, side: int = MAX_SIDE) -> Picture:
    """``thumb`` as a JPEG data URI of at most ``side`` pixels a side. The given image is left as it is."""
    image = thumb.image.copy()
    # Before any resampling: 16-bit greys are stretched over their own range, transparency lies on white.
    image = _plain(image)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/jpeg;base64,{data}", image.width, image.height, thumb.label, thumb.caption)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith(("I", "F")):
        grey = image.convert("F")
        low, high = grey.getextrema()
        scale = 255 / (high - low) if high > low else 0.0  # type: ignore[operator]  # one band, so two numbers
        return grey.point(lambda value: value * scale - low * scale).convert("L")  # type: ignore[operator]
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def embed_samples(samples: Sequence[Thumb]) -> list[Picture]:
    """At most :data:`MAX_SAMPLES` of them, taken in turns from the classes so that each is seen."""
    by_class: dict[str, list[Thumb]] = {}
    for thumb in samples:
        by_class.setdefault(thumb.label, []).append(thumb)
    chosen: set[int] = set()
    for turn in range(max(map(len, by_class.values()), default=0)):
        for thumbs in by_class.values():
            if turn < len(thumbs) and len(chosen) < MAX_SAMPLES:
                chosen.add(id(thumbs[turn]))
    return [embed(thumb) for thumb in samples if id(thumb) in chosen]


def embed_gallery(gallery: Gallery) -> list[tuple[Picture, str]]:
    """The first :data:`MAX_GALLERY` pictures of an evaluator's, each with what it shows in words."""
    shown = gallery.pictures[:MAX_GALLERY]
    return [(embed(Thumb("", each.caption, each.image), GALLERY_SIDE), each.alt) for each in shown]


def embed_copies(rows: Iterable[CopyRow]) -> list[tuple[Picture, list[Picture]]]:
    """The first :data:`MAX_SOURCES` sources, each with its first :data:`MAX_COPIES` copies."""
    shown = list(rows)[:MAX_SOURCES]
    return [(embed(row.source), [embed(copy) for copy in row.copies[:MAX_COPIES]]) for row in shown]
