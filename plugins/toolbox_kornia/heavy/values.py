"""Changes of values, for arrays in memory: uint8 ``[H, W, C]`` with C of 1 or 3. Tensors: `values_tensor`."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from toolbox_kornia.heavy.warp import Images

Table = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in what the eye takes for brightness (ITU-R BT.601)."""

SHARPEN = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
"""Pillow's smoothing kernel (``ImageFilter.SMOOTH``), by which sharpness is measured."""


def _gaussian_steps() -> Floats:
    """The 256 quantiles of the normal distribution in the middle of as many equal shares, with a deviation of 1."""
    from statistics import NormalDist

    steps = np.array([NormalDist().inv_cdf((share + 0.5) / 256) for share in range(256)])
    return np.asarray(steps / steps.std(), np.float32)


GAUSSIAN = _gaussian_steps()


def noise(seed: int, *shape: int) -> Images:
    """The field of noise that ``seed`` stands for: uint8, evenly distributed, the same on every machine.

    :data:`GAUSSIAN` makes Gaussian noise of it, cut off at 2.9 deviations. Random bytes are drawn five times as
    fast as normal deviates, and go to a device as they are.
    """
    bits = np.random.Generator(np.random.SFC64(seed))
    return np.frombuffer(bits.bytes(int(np.prod(shape))), np.uint8).reshape(shape)


def add_noise(image: Images, deviation: float, seed: int) -> Images:
    """``image`` with Gaussian noise of ``deviation`` grey levels, of its own in each channel."""
    field = cv2.LUT(noise(seed, *image.shape), GAUSSIAN * np.float32(deviation))
    return _as(image, cv2.add(image, field.reshape(image.shape), dtype=cv2.CV_8U))


def gaussian_blur(image: Images, sigma: float, reach: int) -> Images:
    """``image`` through a Gaussian of ``sigma`` pixels, cut off ``reach`` pixels from its middle."""
    side = 2 * reach + 1
    return _as(image, cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT))


def apply_color_matrix(image: Images, matrix: npt.NDArray[np.float64]) -> Images:
    """Each pixel's colour through ``matrix``, ``[C, C + 1]``: output channels from input channels and 255."""
    scaled = matrix * ([1.0] * image.shape[2] + [255.0])
    if image.shape[2] == 1:
        levels = np.arange(256) * scaled[0, 0] + scaled[0, 1]
        return apply_tables(image, np.rint(np.clip(levels, 0, 255)).astype(np.uint8)[np.newaxis])
    return _as(image, cv2.transform(image, scaled.astype(np.float32)))


def apply_tables(image: Images, tables: Table) -> Images:
    """Each level replaced by what stands in its channel's table: ``tables`` are uint8 ``[C, 256]``."""
    return _as(image, cv2.LUT(image, np.ascontiguousarray(tables.T)[np.newaxis]))


def histograms(image: Images) -> npt.NDArray[np.int64]:
    """How many pixels of each level each channel has: int64 ``[C, 256]``."""
    channels = range(image.shape[2])
    counts = [cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel() for channel in channels]
    return np.stack(counts).astype(np.int64)


def means(image: Images) -> npt.NDArray[np.float64]:
    """Each channel's mean value, 0..1: float64 ``[C]``."""
    pixels = image.shape[0] * image.shape[1]
    return np.asarray(np.array(cv2.sumElems(image)[: image.shape[2]]) / (pixels * 255))


def gaussian(seed: int, *shape: int) -> Floats:
    """:func:`noise` as Gaussian deviations: float32 ``shape``, of which OpenCV takes two dimensions."""
    return np.asarray(cv2.LUT(noise(seed, *shape), GAUSSIAN), np.float32).reshape(shape)


def sharpen(image: Images, factor: float) -> Images:
    """Between the smoothed image (``factor`` 0) and itself (1), or beyond. The outermost pixels stay, as in Pillow."""
    if min(image.shape[:2]) < 3:
        return image
    filtered = cv2.filter2D(image, -1, sharpen_kernel(factor), borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
    image[1:-1, 1:-1] = filtered[1:-1, 1:-1]
    return image


def sharpen_kernel(factor: float) -> npt.NDArray[np.float64]:
    """The kernel of :func:`sharpen`, ``[3, 3]``."""
    kernel = (1 - factor) * SHARPEN
    kernel[1, 1] += factor
    return kernel


def _as(image: Images, result: npt.ArrayLike) -> Images:
    """``result`` with the channel that OpenCV drops where there is but one."""
    return np.asarray(result, np.uint8).reshape(image.shape)
