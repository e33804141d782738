"""The one reader for every image in the program.

It decodes fully (a header's promise is not enough), applies the EXIF orientation, and gives 8-bit grey (``L``)
or ``RGB``, whatever the file held. What it can't read it refuses with a reason; it never substitutes or repairs.
"""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from toolbox.api.warp import resize

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Formats that are read, by Pillow's names; further decoders would only add attack surface."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"}
)
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded (a decompression bomb claims more)."""

_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339

MAX_BYTES = 512 * 1024 * 1024


class UnreadableImage(ValueError):
    """A file that is no whole, acceptable image; the text is the reason that ``quarantine.csv`` states."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture as the program sees it: ``image`` in mode ``L`` or ``RGB``, and what was special about it.

    ``mode`` is the file's own mode; ``note`` tells of what was left out (further frames) or windowed.
    """

    image: Image.Image
    mode: str
    note: str = ""


def read_file(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises
    ------
    UnreadableImage: it is missing, no regular file, empty, or larger than :data:`MAX_BYTES`.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise UnreadableImage("not a regular file")
        if info.st_size == 0:
            raise UnreadableImage("the file is empty")
        if info.st_size > MAX_BYTES:
            raise UnreadableImage(f"the file is larger than {MAX_BYTES // 1024**2} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"can't be read: {error.strerror or error}") from error


def decode(data: bytes) -> DecodedImage:
    """The picture in ``data``.

    Raises
    ------
    UnreadableImage: not one of :data:`FORMATS`, cut off, damaged, or too large.
    """
    # A library that is imported beside us may have switched Pillow to filling cut-off pictures with grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise _bomb(f"{opened.width} × {opened.height}")
            frames = getattr(opened, "n_frames", 1)
            opened.seek(0)
            raw_mode = _raw_mode(opened)
            opened.load()
            mode = opened.mode
            upright, turned = _upright(opened)
            tagged = _as_its_tags_say(upright, opened)
            own = tagged is not opened and tagged.mode in ("L", "RGB")  # a copy already: no other is needed
            image, note = (tagged, "") if own else to_grey_or_rgb(tagged)
            notes = [turned, note]
            if ";16" in raw_mode and mode in ("RGB", "RGBA", "RGBX"):
                image = image.convert("L") if raw_mode.startswith("LA") else image
                notes.append("16 bits a channel: the upper 8 are read")
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise _bomb("too many") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage(f"no image in a format that is read here ({', '.join(FORMATS)})") from error
    except Exception as error:  # decoders raise anything on hostile input
        raise UnreadableImage(f"can't be decoded: {type(error).__name__}: {error}") from error
    if frames > 1:
        notes.append(f"the first of {frames} frames")
    return DecodedImage(image, mode, "; ".join(filter(None, notes)))


def to_grey_or_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """``image`` as 8-bit ``L`` (if it is grey) or ``RGB``, and a note of what was lost on the way.

    Transparency is laid over white. Greyscale beyond 8 bits is windowed by the picture's own range, since
    dropping low bytes would leave a 12-bit scan 16 levels.
    """
    if image.mode in ("L", "RGB"):
        return image.copy(), ""
    if image.mode == "1":
        return image.convert("L"), ""
    if image.mode.startswith(("I", "F")):
        return _windowed(np.asarray(image, dtype=np.float64))
    if image.mode == "La":  # Pillow converts it to its sibling only
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        grey = image.mode == "LA"
        layer = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        return (flat.convert("L") if grey else flat), "transparency laid over white"
    return image.convert("RGB"), ""


def as_array(image: Image.Image, channels: int | None = None) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """``image`` as uint8 ``[H, W, C]``, C as in the picture or ``channels`` (1 or 3)."""
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


def to_image(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    """uint8 ``[H, W, C]`` as an image of mode ``L`` or ``RGB``."""
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def resize_to_square(image: Image.Image, size: int) -> Image.Image:
    """``image`` on a square of ``size`` pixels, filtered against aliasing; its aspect ratio is not kept.

    The one way from a picture to what a network sees: training, prediction and augmented copies share it (see
    :func:`toolbox.api.warp.prefilter`), so that a copy that nothing moves is its source. Nothing is cut off.
    """
    if image.size == (size, size):
        return image
    return to_image(resize(as_array(image), size))


def _bomb(pixels: str) -> UnreadableImage:
    return UnreadableImage(f"claims {pixels} pixels; the limit is {MAX_PIXELS // 10**6} million")


def _upright(opened: ImageFile.ImageFile) -> tuple[Image.Image, str]:
    """The picture turned as its EXIF orientation says, and a note where the EXIF block is damaged.

    The pixels are whole all the same, so that the picture is read, as it lies.
    """
    try:
        return ImageOps.exif_transpose(opened), ""
    except Exception as error:  # the parser raises anything on damaged blocks
        return opened, f"damaged EXIF data, orientation not applied ({type(error).__name__})"


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the pixels stand in the file (``RGB;16B``), by Pillow's names; empty where the decoder doesn't say."""
    arguments = image.tile[0].args if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _as_its_tags_say(image: Image.Image, opened: ImageFile.ImageFile) -> Image.Image:
    """``image`` by what Pillow leaves out of a TIFF's tags: 8-bit grey with a sign, deep grey with white at 0."""
    tags = getattr(opened, "tag_v2", {}) if opened.format == "TIFF" else {}
    signed, white_at_zero = tags.get(_SAMPLE_FORMAT) in (2, (2,)), tags.get(_PHOTOMETRIC) == 0
    if image.mode == "L" and signed:
        return Image.fromarray(np.asarray(image).view(np.int8).astype(np.float32))
    if image.mode.startswith(("I", "F")) and white_at_zero:
        return Image.fromarray(0 - np.asarray(image, dtype=np.float32))
    return image


def _windowed(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[Image.Image, str]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise UnreadableImage("holds no finite value")
    low, high = float(finite.min()), float(finite.max())
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (255.0 / max(high - low, 1e-12))
    grey = Image.fromarray(np.rint(np.clip(scaled, 0, 255)).astype(np.uint8))
    return grey, f"greyscale {low:g} to {high:g} windowed to 0 to 255"
