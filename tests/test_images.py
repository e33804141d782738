"""The one reader: right pixels from every kind of file, and a reason for every file it refuses."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolbox.api.images import UnreadableImage, as_array, decode, read_file, resize_to_square

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_lossless_rgb_is_read_as_it_is() -> None:
    assert np.array_equal(np.asarray(decode(encoded(PHOTO, "PNG")).image), np.asarray(PHOTO))


@pytest.mark.parametrize(
    ("image", "kind", "mode"),
    [
        (PHOTO.convert("L"), "PNG", "L"),
        (PHOTO.convert("1"), "PNG", "L"),
        (PHOTO.convert("CMYK"), "JPEG", "RGB"),
        (PHOTO.convert("P"), "PNG", "RGB"),
        (PHOTO.convert("RGBA"), "PNG", "RGB"),
        (PHOTO.convert("LA"), "PNG", "L"),
        (PHOTO, "WEBP", "RGB"),
        (PHOTO, "BMP", "RGB"),
        (PHOTO, "TIFF", "RGB"),
    ],
)
def test_every_mode_becomes_grey_or_rgb(image: Image.Image, kind: str, mode: str) -> None:
    assert decode(encoded(image, kind)).image.mode == mode


def test_a_16_bit_ramp_keeps_its_levels() -> None:
    ramp = Image.fromarray(np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64))
    decoded = decode(encoded(ramp, "PNG"))
    assert decoded.image.mode == "L" and len(np.unique(np.asarray(decoded.image))) >= 200
    assert "0 to 4095" in decoded.note


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert decode(encoded(clear, "PNG")).image.getpixel((0, 0)) == (255, 255, 255)


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(PHOTO, "JPEG", quality=95, exif=exif)).image
    assert turned.size == (48, 64)
    plain = decode(encoded(PHOTO, "JPEG", quality=95)).image
    assert np.array_equal(np.asarray(turned), np.asarray(plain.transpose(Image.Transpose.ROTATE_270)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_read_and_noted(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    decoded = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True))
    assert "first of 2 frames" in decoded.note
    pixel = decoded.image.getpixel((0, 0))
    assert isinstance(pixel, tuple) and pixel[0] > 200 > pixel[2]


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 14_000, 14_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


JPEG = encoded(PHOTO, "JPEG", quality=90)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (JPEG[: len(JPEG) // 2], "can't be decoded"),
        (JPEG[: len(JPEG) * 95 // 100], "can't be decoded"),
        (b"hello, I am text", "no image in a format"),
        (bomb(), "claims too many pixels"),
        (encoded(PHOTO, "PNG")[:200], "can't be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no image in a format"),
    ],
)
def test_what_is_no_whole_image_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name, reason in (
        ("empty.jpg", "empty"),
        ("pipe.jpg", "not a regular"),
        ("loop.jpg", "read"),
        ("gone.jpg", "read"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            read_file(tmp_path / name)


def test_squashed_maps_the_whole_picture_and_leaves_a_fitting_one_alone() -> None:
    assert resize_to_square(PHOTO, 32).size == (32, 32)
    square = PHOTO.resize((32, 32))
    assert resize_to_square(square, 32) is square


def test_as_array_gives_the_channels_that_are_asked_for() -> None:
    assert as_array(PHOTO).shape == (48, 64, 3)
    assert as_array(PHOTO, 1).shape == as_array(PHOTO.convert("L")).shape == (48, 64, 1)
    assert as_array(PHOTO.convert("L"), 3).shape == (48, 64, 3)
