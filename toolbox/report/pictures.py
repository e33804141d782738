"""Pictures small enough to stand in a page, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from PIL import Image

from toolbox.api.evaluator import Gallery

MAX_SIDE = 160
"""Pixels; shown at half of it where the screen has two for one."""

GALLERY_SIDE, MAX_GALLERY = 320, 12
"""The same for what evaluators show: pictures that stand beside each other in one."""

MAX_SAMPLES, MAX_SOURCES, MAX_COPIES = 24, 6, 8
"""More pictures tell a reader nothing new and would make a page of many megabytes."""

_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture with its class (``label``) and a ``caption``. Of any size and mode; pages and sheets shrink it."""

    label: str
    caption: str
    image: Image.Image


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A picture as a page holds it; ``width`` and ``height`` in pixels."""

    uri: str
    width: int
    height: int
    label: str
    caption: str


def embed(thumbnail: Thumbnail, side: int = MAX_SIDE) -> EmbeddedPicture:
    """``thumbnail`` as a JPEG data URI of at most ``side`` pixels a side. The image itself is left as it is."""
    # Before any resampling: 16-bit greys are stretched over their own range, transparency lies on white.
    image = _plain(thumbnail.image.copy())
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return EmbeddedPicture(uri, image.width, image.height, thumbnail.label, thumbnail.caption)


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


def embed_samples(samples: Sequence[Thumbnail]) -> list[EmbeddedPicture]:
    """At most :data:`MAX_SAMPLES` of them, taken in turns from the classes so that each is seen."""
    by_class: dict[str, list[Thumbnail]] = {}
    for each in samples:
        by_class.setdefault(each.label, []).append(each)
    in_turns = [each for turn in zip_longest(*by_class.values()) for each in turn if each is not None]
    shown = set(map(id, in_turns[:MAX_SAMPLES]))
    return [embed(each) for each in samples if id(each) in shown]


def embed_gallery(gallery: Gallery) -> list[tuple[EmbeddedPicture, str]]:
    """The first :data:`MAX_GALLERY` pictures of an evaluator's, each with what it shows in words."""
    shown = gallery.pictures[:MAX_GALLERY]
    return [(embed(Thumbnail("", each.caption, each.image), GALLERY_SIDE), each.alt) for each in shown]


def embed_copies(rows: Sequence[Sequence[Thumbnail]]) -> list[list[EmbeddedPicture]]:
    """The first :data:`MAX_SOURCES` rows, each a source and its first :data:`MAX_COPIES` copies."""
    return [[embed(each) for each in row[: 1 + MAX_COPIES]] for row in rows[:MAX_SOURCES]]
