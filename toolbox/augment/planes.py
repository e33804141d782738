"""A source as JPEG holds it, for copies that only move it: brightness, and two colours at half the resolution (4:2:0).

Sampling these planes and encoding them as they are takes a third less time than sampling RGB and converting each
copy. Measured on one core, 375 x 500 to 224 x 224: 0.10 + 0.06 ms against 0.17 + 0.08 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from toolbox.api.augmenter import Affine
from toolbox.api.warp import Images, Sampler, back_to_pixels, halved, smooth


class Planes:
    """A picture, filtered for copies of ``size`` pixels, to be moved and encoded many times.

    ``image``: uint8 ``[H, W, C]``, grey or RGB. Colours are averaged over two by two pixels of the source, and
    smoothed by as much as averaging over two by two pixels of the copy, which JPEG does otherwise, would smooth more:
    the variances of the kernels are equal.
    """

    def __init__(self, image: Images, size: int) -> None:
        self._size = size
        self._height, self._width, channels = image.shape
        grey, *colours = [image] if channels == 1 else _planes(image, size)
        self._grey = Sampler(grey)
        self._colours = Sampler(*colours, black=128) if colours else None

    def moved(self, affines: Sequence[Affine], quality: int) -> Iterator[bytes]:
        """The JPEG file of each of ``affines``."""
        import simplejpeg

        half = (self._size + 1) // 2
        for affine in affines:
            how = (affine.border, affine.interpolation)
            back = back_to_pixels(affine, self._height, self._width, self._size)
            (grey,) = self._grey(back, self._size, *how)
            blue, red = self._colours(halved(back), half, *how) if self._colours else (None, None)
            planes = (None if plane is None else plane[:, :, 0] for plane in (grey, blue, red))
            yield simplejpeg.encode_jpeg_yuv_planes(*planes, quality)


def _planes(image: Images, size: int) -> list[Images]:
    """Brightness ``[H, W, 1]``, and blue and red difference ``[ceil(H/2), ceil(W/2), 1]``, by JFIF's formula."""
    import cv2

    height, width, _ = image.shape
    grey, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    # In source pixels: (reduction / 2)² of the copy's averaging and 1/6 of the sampling at full resolution, less 1/4
    # of the source's averaging and 4/6 of the sampling at half the resolution; a quarter of it in pixels of the plane.
    across, down = (math.sqrt(max(0.0, (side / size) ** 2 / 4 - 0.75)) / 2 for side in (width, height))
    half = ((width + 1) // 2, (height + 1) // 2)

    def to_half(plane: cv2.typing.MatLike) -> Images:
        # To an even side, as JPEG does it; OpenCV averages whole pixels twenty times as fast as parts.
        even = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        small = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
        return smooth(np.asarray(small, np.uint8)[:, :, np.newaxis], across, down)

    return [np.asarray(grey, np.uint8)[:, :, np.newaxis], to_half(blue), to_half(red)]
