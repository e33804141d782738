"""A dataset with every kind of file that comes from the wild, good and bad."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from tests.conftest import write_photos


@dataclass(frozen=True)
class Hostile:
    """``root`` is the dataset; ``bad`` are the paths that must be quarantined, ``good`` those that must be used."""

    root: Path
    bad: frozenset[str]
    good: frozenset[str]


def photo(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Noise of its own for each seed, so that no two files look like copies of one another."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refused_by_a_full_decode(data: bytes) -> bool:
    """Pillow's own word, with its default not to fill in what is missing."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return True
    return False


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def build(parent: Path) -> Hostile:
    """The folder ``hostile`` in ``parent``, with whole pictures enough to train on, and something outside it."""
    root = write_photos(parent / "hostile", per_class=16)
    left = root / "left"
    files: dict[str, bytes] = {}
    bad: set[str] = set()

    for number, cut in enumerate((0.5, 0.95, -1, -2, -10)):
        data = encoded(photo(number), "JPEG", quality=90)
        end = cut if cut < 0 else round(len(data) * cut)
        files[f"cut{cut}.jpg"] = data[: int(end)]
    files["empty.jpg"] = b""
    files["text.jpg"] = b"This is no picture.\n"
    files["bomb.png"] = png(14_000, 14_000, 8, 2, b"")
    bad |= {name for name, data in files.items() if name == "bomb.png" or refused_by_a_full_decode(data)}
    assert {"empty.jpg", "text.jpg", "cut0.5.jpg", "cut0.95.jpg"} <= bad

    palette = photo(10).quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.random.default_rng(13).integers(0, 4096, (32, 40)).astype(np.uint16)
    files |= {
        "cmyk.jpg": encoded(photo(11).convert("CMYK"), "JPEG", quality=95),
        "palette.png": encoded(palette, "PNG", transparency=3),
        "rgba.png": encoded(photo(12).convert("RGBA"), "PNG"),
        "deep.png": encoded(Image.fromarray(deep), "PNG"),
        "turned.jpg": encoded(photo(14), "JPEG", quality=95, exif=exif),
        "moving.gif": encoded(photo(15), "GIF", save_all=True, append_images=[photo(16)]),
        "moving.webp": encoded(photo(17), "WEBP", save_all=True, append_images=[photo(18)], lossless=True),
        "n" * 246 + ".png": encoded(photo(19), "PNG"),
        "🐈‍⬛ chat noir.png": encoded(photo(20), "PNG"),
    }
    for name, data in files.items():
        (left / name).write_bytes(data)

    outside = parent / "outside.png"
    photo(21).save(outside)
    (left / "loop.jpg").symlink_to("loop.jpg")
    (left / "up").symlink_to("..", target_is_directory=True)
    (left / "out.png").symlink_to(outside)
    (root / "nothing").mkdir()
    quarantined = {f"left/{name}" for name in bad} | {"left/loop.jpg", "left/up", "left/out.png", "nothing"}
    good = {f"left/{name}" for name in files if name not in bad}
    good |= {f"{label}/{label}-{number:02d}.png" for label in ("left", "right") for number in range(16)}
    return Hostile(root, frozenset(quarantined), frozenset(good))
