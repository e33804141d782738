"""The one resampling, for arrays in memory.

kornia's native half (``kornia_rs``) samples uint8 directly and needs no torch, but it knows neither borders
(outside is black, and the outermost half pixel too) nor, in version 0.2, any sampling but the bilinear one
(it interpolates whatever it is told). So the source is padded by the border's rule as far as the copy reaches.
Nearest and bicubic sampling are OpenCV's; its cubic is the same as torch's (Keys 1981, with a = -0.75). What neither
can do goes the way of tensors, :mod:`toolbox_kornia.heavy.warp_tensor`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from kornia_rs import imgproc

from toolbox.plugin.protocols import Border as Border
from toolbox.plugin.protocols import Interpolation as Interpolation
from toolbox_kornia.heavy.geometry import Matrix, overshoot, translated

Images = npt.NDArray[np.uint8]

_BORDERS: dict[Border, int] = {
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}
_BY_OPENCV: dict[Interpolation, int] = {"bicubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_LONGEST = 32_000
"""Pixels of a side up to which OpenCV warps; it counts them in 16 bits."""

_NOTHING = np.eye(3)
_SAFE = 0.25
"""Pixels from the outermost centres within which single precision may take an inner point for an outer one."""

_MOST_PADDED = 16
"""Times its own area that a source may be padded to; copies that reach further are sampled as tensors."""


def warp(images: Images, matrices: list[Matrix], size: int, border: Border, interpolation: Interpolation) -> Images:
    """Sample each image once by its own matrix.

    Parameters
    ----------
    images: uint8 ``[N, H, W, C]`` with C of 1 or 3; any strides, read only will do. One source broadcast to N
        (stride 0) is padded once for all.
    matrices: N of :func:`toolbox_kornia.heavy.geometry.pixel_matrix`.
    size: side of the output in pixels.
    border: what lies outside the source: its mirror image about the pixels' edge (``d c b a | a b c d``), its
        outermost pixels, or black.
    interpolation: between pixels; bicubic may leave the range of its neighbours, and is clipped to 0..255.

    Returns
    -------
    uint8 ``[N, size, size, C]``, rounded to nearest. An image's result does not depend on the others.
    """
    count, height, width, channels = images.shape
    result = np.empty((count, size, size, channels), dtype=np.uint8)
    one_source = images.strides[0] == 0
    padded: dict[tuple[int, int], Images] = {}
    for image, matrix, out in zip(images, matrices, result, strict=True):
        if not one_source:
            padded.clear()
        if height == width == size and np.allclose(matrix, _NOTHING, rtol=0, atol=1e-9):
            out[:] = image
            continue
        if interpolation in _BY_OPENCV and max(height, width, size) <= _LONGEST:
            _warp_by_opencv(image, matrix, border, interpolation, out)
            continue
        margins = _margins(matrix, height, width, size)
        if interpolation != "bilinear" or _padded_area(margins, height, width) > _MOST_PADDED:
            out[:] = _warp_as_tensor(image, matrix, size, border, interpolation)
            continue
        if margins not in padded:
            padded[margins] = _pad(image, margins, border)
        forward = translated(matrix, *margins)[:2].ravel().tolist()
        imgproc.warp_affine(padded[margins], forward, (size, size), "bilinear", out)
    return result


def _warp_by_opencv(image: Images, matrix: Matrix, border: Border, interpolation: Interpolation, out: Images) -> None:
    side = len(out)
    flags, mode = _BY_OPENCV[interpolation], _BORDERS[border]
    warped = cv2.warpAffine(np.ascontiguousarray(image), matrix[:2], (side, side), flags=flags, borderMode=mode)
    out[:] = warped.reshape(out.shape)


def _margins(matrix: Matrix, height: int, width: int, size: int) -> tuple[int, int]:
    """Rows and columns to pad on either side: what the copy needs, in whole quarters of the source's side.

    By quarters, so that the copies of one source share a few paddings; by the copy's own need, so that it does
    not depend on its batch.
    """
    vertical, horizontal = overshoot(matrix, height, width, size)
    return _in_quarters(vertical, height), _in_quarters(horizontal, width)


def _in_quarters(outside: float, side: int) -> int:
    if outside <= -_SAFE:
        return 0
    quarter = math.ceil(side / 4)
    # One pixel more, because interpolation looks at the next one.
    return quarter * math.ceil((outside + 1) / quarter)


def _padded_area(margins: tuple[int, int], height: int, width: int) -> float:
    return (1 + 2 * margins[0] / height) * (1 + 2 * margins[1] / width)


def _pad(image: Images, margins: tuple[int, int], border: Border) -> Images:
    rows, columns = margins
    contiguous = np.ascontiguousarray(image)
    if not rows and not columns:
        return contiguous
    # numpy's pad gives the same and takes four times as long.
    padded = cv2.copyMakeBorder(contiguous, rows, rows, columns, columns, _BORDERS[border])
    return np.asarray(padded, np.uint8).reshape(*padded.shape[:2], image.shape[2])


def _warp_as_tensor(image: Images, matrix: Matrix, size: int, border: Border, interpolation: Interpolation) -> Images:
    import torch

    from toolbox_kornia.heavy.warp_tensor import warp_tensor

    # A copy: torch takes neither negative strides nor, without a warning, read-only memory.
    tensor = torch.from_numpy(np.array(image.transpose(2, 0, 1)[np.newaxis], order="C"))
    warped: Images = warp_tensor(tensor, [matrix], size, border, interpolation)[0].permute(1, 2, 0).numpy()
    return warped
