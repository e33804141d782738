"""The one resampling of pictures in memory, by OpenCV. Open to every plugin.

OpenCV 5 samples uint8 in single precision and rounds to nearest (earlier versions know only a 32nd of a pixel), with
every border and interpolation there is here. Measured against kornia-rs on one core, 375 x 500 RGB to 224 x 224:
0.17 ms against 0.19 ms, and half a grey level off at most, against one and a half. A source is padded by its border's
rule, once for many copies, as points outside it take twice the time of points within.

Pixels are counted from 0 with integers at their centres, as kornia, OpenCV and ``scipy.ndimage`` do; a square of
``side`` pixels covers -1/2 to side - 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from toolbox.plugin.protocols import Affine, Border, Interpolation

Images = npt.NDArray[np.uint8]
Rows = tuple[float, float, float, float, float, float]
"""The first two rows of an affine matrix: ``x' = a x + b y + c``, ``y' = d x + e y + f``."""

_REACH: dict[Interpolation, int] = {"nearest": 1, "bilinear": 1, "bicubic": 2}
"""Pixels to either side that an interpolation looks at."""

_SAFE = 0.25
"""Pixels by which single precision may take an inner point for an outer one, and more."""

_MOST_PADDED = 4
"""Times its own area that a source may be padded to; copies that reach further are rare."""


def inverse(rows: Rows) -> Rows:
    """The map that leads back.

    Raises
    ------
    ValueError: nothing leads back, as all points fall on a line.
    """
    a, b, c, d, e, f = rows
    area = a * e - b * d
    if not math.isfinite(area) or area == 0:
        raise ValueError(f"an affine map that can't be inverted: {rows}")
    a, b, d, e = e / area, -b / area, -d / area, a / area
    return a, b, -(a * c + b * f), d, e, -(d * c + e * f)


def back_to_pixels(affine: Affine, height: float, width: float, side: float) -> Rows:
    """From pixels of the square to pixels of the source.

    None need be whole: a plane of colours at half the resolution of an odd picture ends half-way.
    """
    a, b, c, d, e, f = inverse(affine.matrix)
    first = 0.5 / side - 0.5
    return (
        width * a / side,
        width * b / side,
        width * ((a + b) * first + c + 0.5) - 0.5,
        height * d / side,
        height * e / side,
        height * ((d + e) * first + f + 0.5) - 0.5,
    )


class Sampler:
    """One picture (uint8 ``[H, W, C]``, any strides) to be sampled many times.

    ``black``: what a constant border is in these values (128 for a plane of colour differences).
    """

    def __init__(self, image: Images, black: int = 0) -> None:
        self._image = np.ascontiguousarray(image)
        self._black = (black,) * 4
        self._padded: dict[tuple[int, int, Border], Images] = {}

    def __call__(self, back: Rows, size: int, border: Border, interpolation: Interpolation) -> Images:
        """The square of ``size`` pixels whose points lie at ``back`` in the source: uint8 ``[size, size, C]``.

        ``border``: what lies outside is the picture's mirror image about the pixels' edge (``d c b a | a b c d``),
        its outermost pixels, or black. ``bicubic`` is the cubic convolution with a = -0.75, as torch's.
        """
        import cv2

        flag, mode = _cv2_names()[interpolation], _cv2_names()[border]
        height, width, channels = self._image.shape
        down, across = _margins(back, height, width, size, _REACH[interpolation])
        if border == "constant" or (1 + 2 * down / height) * (1 + 2 * across / width) > _MOST_PADDED:
            down = across = 0
        source = self._padded.get((down, across, border))
        if source is None:
            source = self._image
            if down or across:
                source = np.asarray(cv2.copyMakeBorder(source, down, down, across, across, mode), np.uint8)
            self._padded[down, across, border] = source
        a, b, c, d, e, f = back
        matrix = np.array(((a, b, c + across), (d, e, f + down)))
        out = cv2.warpAffine(source, matrix, (size, size), flags=flag, borderMode=mode, borderValue=self._black)
        return np.asarray(out, np.uint8).reshape(size, size, channels)


@cache
def _cv2_names() -> dict[str, int]:
    """OpenCV's numbers for interpolations (matrices lead back) and borders."""
    import cv2

    return {
        "nearest": cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        "bilinear": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        "bicubic": cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        "reflect": cv2.BORDER_REFLECT,
        "replicate": cv2.BORDER_REPLICATE,
        "constant": cv2.BORDER_CONSTANT,
    }


def warp(images: Images, affines: Sequence[Affine], size: int) -> Images:
    """Sample each image once by its own map, the resize to the square included.

    Parameters
    ----------
    images: uint8 ``[N, H, W, C]`` with C of 1 to 4; any strides, read only will do. One source broadcast to N
        (stride 0) is padded once for all.
    affines: N maps.
    size: side of the output in pixels.

    Returns
    -------
    uint8 ``[N, size, size, C]``, rounded to nearest. An image's result does not depend on the others.
    """
    count, height, width, channels = images.shape
    result = np.empty((count, size, size, channels), dtype=np.uint8)
    sampler = Sampler(images[0]) if count else None
    for number, (image, affine) in enumerate(zip(images, affines, strict=True)):
        if sampler is None or (number and images.strides[0]):
            sampler = Sampler(image)
        back = back_to_pixels(affine, height, width, size)
        result[number] = sampler(back, size, affine.border, affine.interpolation)
    return result


def _margins(back: Rows, height: int, width: int, size: int, reach: int) -> tuple[int, int]:
    """Rows and columns to pad on either side: what the copy needs, in whole quarters of the source's side.

    By quarters, so that the copies of one source share a few paddings; by the copy's own need, so that it does
    not depend on its batch. An affine map takes a square's extremes to its corners, so that four points tell.
    """
    a, b, c, d, e, f = back
    last = size - 1
    left, right = c + last * (min(a, 0) + min(b, 0)), c + last * (max(a, 0) + max(b, 0))
    top, bottom = f + last * (min(d, 0) + min(e, 0)), f + last * (max(d, 0) + max(e, 0))
    return (
        _in_quarters(max(-top, bottom - (height - 1)), height, reach),
        _in_quarters(max(-left, right - (width - 1)), width, reach),
    )


def _in_quarters(outside: float, side: int, reach: int) -> int:
    if outside + reach - 1 <= -_SAFE:
        return 0
    quarter = math.ceil(side / 4)
    return quarter * math.ceil((outside + reach) / quarter)
