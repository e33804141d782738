"""The one resampling, for arrays in memory: the toolbox's own, by matrices between pixels."""

from __future__ import annotations

import numpy as np

from toolbox.api.augmenter import Border as Border
from toolbox.api.augmenter import Interpolation as Interpolation
from toolbox.api.warp import Images as Images
from toolbox.api.warp import Sampler, inverse
from toolbox_kornia.heavy.geometry import Matrix

_IDENTITY = np.eye(3)


def warp(images: Images, matrices: list[Matrix], size: int, border: Border, interpolation: Interpolation) -> Images:
    """Sample each image once by its own matrix; see :func:`toolbox.api.warp.warp`.

    Parameters
    ----------
    images: uint8 ``[N, H, W, C]`` with C of 1 or 3; any strides, read only will do.
    matrices: N of :func:`toolbox_kornia.heavy.geometry.pixel_matrix`, forward.
    """
    count, height, width, channels = images.shape
    result = np.empty((count, size, size, channels), dtype=np.uint8)
    sampler: Sampler | None = None
    for number, (image, matrix) in enumerate(zip(images, matrices, strict=True)):
        if height == width == size and np.allclose(matrix, _IDENTITY, rtol=0, atol=1e-9):
            result[number] = image  # what only changes values moves nothing
            continue
        if sampler is None or images.strides[0]:
            sampler = Sampler(image)
        a, b, c, d, e, f = matrix[:2].ravel().tolist()
        result[number] = sampler(inverse((a, b, c, d, e, f)), size, border, interpolation)[0]
    return result
