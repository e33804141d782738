"""Files beyond 8 bits a channel, with signs, with palettes or in print colours: right pixels, and a note of losses."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile

from tests.hostile import encoded, photo, png, refused_by_a_full_decode
from toolbox.api.images import UnreadableImage, decode

RAMP = np.linspace(0, 4095, 64 * 64).reshape(64, 64)
"""What a 12-bit scanner gives."""


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(decode(data).image)


def tiff(array: npt.NDArray[np.generic], sample_format: int, photometric: int = 1, extra: Sequence[int] = ()) -> bytes:
    """An uncompressed TIFF of ``array`` (``[H, W]`` or ``[H, W, C]``, little-endian); ``extra``: kinds of alpha."""
    height, width, channels = (*array.shape, 1)[:3]
    data, bits = array.tobytes(), array.dtype.itemsize * 8
    offset, blob = 8 + len(data), b""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8)]
    tags += [(277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(data))]
    for tag, values in ((258, [bits] * channels), (339, [sample_format] * channels), (338, list(extra))):
        if len(values) > 2:
            tags.append((tag, 3, len(values), offset + len(blob)))
            blob += struct.pack(f"<{len(values)}H", *values)
        elif values:
            tags.append((tag, 3, len(values), sum(value << 16 * place for place, value in enumerate(values))))
    directory = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return (
        b"II*\0"
        + struct.pack("<I", offset + len(blob))
        + data
        + blob
        + struct.pack("<H", len(tags))
        + directory
        + bytes(4)
    )


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(RAMP.astype(np.uint16)), "PNG"),
        tiff(RAMP.astype("<u2"), 1),
        tiff((RAMP - 2000).astype("<i2"), 2),
        tiff((RAMP - 2000).astype("<i4"), 2),
        tiff((RAMP * 1e5).astype("<u4"), 1),
        tiff((RAMP / 4095).astype("<f4"), 3),
    ],
    ids=["png-u16", "u16", "i16", "i32", "u32", "f32"],
)
def test_a_deep_ramp_keeps_its_levels_and_its_order(data: bytes) -> None:
    found = pixels(data)
    assert len(np.unique(found)) >= 200 and found[0, 0] == 0 and found[-1, -1] == 255
    assert np.all(np.diff(found.astype(int).ravel()) >= 0)
    assert "windowed to 0 to 255" in decode(data).note


def test_8_bits_with_a_sign_are_not_taken_for_bright() -> None:
    found = pixels(tiff(np.array([[-128, -1, 0, 127]], dtype=np.int8), 2))
    assert found.tolist() == [[0, 127, 128, 255]]


@pytest.mark.parametrize("kind", ["<u1", "<u2"])
def test_white_at_zero_is_white(kind: str) -> None:
    found = pixels(tiff((RAMP / 4095 * np.iinfo(kind).max).astype(kind), 1, photometric=0))
    assert found[0, 0] == 255 and found[-1, -1] == 0


def test_what_is_no_number_is_black_and_does_not_shift_the_window() -> None:
    values = RAMP.astype("<f4")
    values[0, :3] = np.nan, np.inf, -np.inf
    found = pixels(tiff(values, 3))
    assert found[0, :3].tolist() == [0, 255, 0] and len(np.unique(found)) >= 200
    with pytest.raises(UnreadableImage, match="no finite value"):
        decode(tiff(np.full((4, 4), np.nan, "<f4"), 3))


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_16_bit_colour_keeps_its_upper_8_and_says_so(form: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (8, 9, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    decoded = decode(png(9, 8, 16, 2, rows) if form == "png" else tiff(deep.astype("<u2"), 1, photometric=2))
    assert decoded.image.mode == "RGB" and np.array_equal(np.asarray(decoded.image), deep >> 8)
    assert "upper 8" in decoded.note


def test_one_bit_is_black_and_white() -> None:
    board = Image.fromarray((np.indices((8, 8)).sum(0) % 2).astype(bool))
    assert set(np.unique(pixels(encoded(board, "PNG")))) == {0, 255}


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 255, 0), (0, 255, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0,) * 4, (255,) * 3),
    ],
    ids=["red", "green", "black", "paper"],
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_print_colours_are_right_also_where_adobe_inverts_them(
    kind: str, ink: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    data = encoded(Image.new("CMYK", (16, 16), ink), kind)
    assert kind != "JPEG" or b"Adobe" in data
    assert np.abs(pixels(data).astype(int) - colour).max() <= 2


def test_grey_with_transparency_stays_grey_over_white() -> None:
    layer = Image.merge("LA", [Image.new("L", (4, 4), 40), Image.new("L", (4, 4), 0)])
    assert decode(encoded(layer, "PNG")).image.mode == "L" and pixels(encoded(layer, "PNG")).max() == 255
    grey, alpha = np.full((4, 4), 40), np.full((4, 4), 255)
    for kind in (1, 2):  # associated and unassociated alpha
        found = decode(tiff(np.stack([grey, alpha], -1).astype(np.uint8), 1, extra=[kind]))
        assert found.image.mode == "L" and found.image.getpixel((0, 0)) == 40
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.stack([grey * 257, alpha * 257], -1))
    found = decode(png(4, 4, 16, 4, rows))
    assert found.image.mode == "L" and found.image.getpixel((0, 0)) == 40 and "upper 8" in found.note


def test_a_palette_with_a_clear_colour_shows_white_there() -> None:
    stripes = Image.new("P", (4, 1))
    stripes.putpalette([200, 0, 0, 0, 0, 200])
    stripes.putdata([0, 1, 0, 1])
    for kind in ("GIF", "PNG"):
        found = pixels(encoded(stripes, kind, transparency=1))
        assert found[0].tolist() == [[200, 0, 0], [255] * 3] * 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_condemn_a_whole_picture(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = bytearray(exif.tobytes())
    raw[6:10] = b"oops"
    data = encoded(photo(1), kind, exif=bytes(raw))
    assert not refused_by_a_full_decode(data) and decode(data).image.size == (40, 32)


def test_cut_jpegs_are_refused_exactly_where_a_full_decode_refuses_them() -> None:
    data = encoded(photo(2, (200, 160)), "JPEG", quality=90)
    refused = 0
    for cut in [*range(1, 40), *range(40, len(data) - 30, 997)]:
        bad = refused_by_a_full_decode(data[:-cut])
        refused += bad
        try:
            decode(data[:-cut])
        except UnreadableImage:
            assert bad, cut
        else:
            assert not bad, cut
    assert refused > 10, "the cuts were too harmless to show anything"


def test_another_librarys_leave_to_fill_in_what_is_missing_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnreadableImage):
        decode(encoded(photo(3), "JPEG")[:-300])
    with pytest.raises(UnreadableImage):
        decode(encoded(photo(3), "PNG")[:-300])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "data",
    [
        png(14_000, 14_000, 8, 2, b""),
        png(9_000, 12_000, 8, 0, b""),
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
        b"P6 100000 100000 255\n",
        encoded(Image.new("1", (11_000, 10_000)), "TIFF", compression="group4"),
    ],
    ids=["png", "png-below-pillows-limit", "gif", "ppm", "tiff"],
)
def test_bombs_of_every_format_are_refused_before_they_are_decoded(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="the limit is 100 million"):
        decode(data)
