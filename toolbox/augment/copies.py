"""From one source to its copies: draw, apply, encode. Depends on the key alone, not on what came before."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from toolbox.augment.recipe import Recipe
from toolbox.data.images import as_array, squashed
from toolbox.plugin.protocols import Augmenter, ImageInfo, Params

if TYPE_CHECKING:
    import numpy.typing as npt

SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


def generator(seed: int, pixels: str, copy: int) -> np.random.Generator:
    """The counter-based generator (Philox) of one copy, keyed by seed, the source's pixel hash and copy number."""
    key = hashlib.sha256(f"{seed}/{pixels}/{copy}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], dtype=np.uint64)))


def draws(augmenter: Augmenter, image: Image.Image, pixels: str, seed: int, copies: Sequence[int]) -> list[Params]:
    """The parameters of ``copies`` of a source with the pixel hash ``pixels``."""
    info = ImageInfo(image.height, image.width, len(image.getbands()))
    return [augmenter.draw(generator(seed, pixels, copy), info) for copy in copies]


def filtered(image: Image.Image, size: int) -> Image.Image:
    """``image`` without what a side of ``size`` pixels can't hold, so that one bilinear resampling won't alias.

    Gaussian with a standard deviation of half the reduction less one, an axis at a time (as scikit-image's
    ``resize`` and kornia's do).
    """
    sigmas = tuple(max(0.0, (side / size - 1) / 2) for side in image.size)
    return image.filter(ImageFilter.GaussianBlur(sigmas)) if any(sigmas) else image


def make(augmenter: Augmenter, image: Image.Image, params: Sequence[Params], size: int) -> npt.NDArray[np.uint8]:
    """Copies of one source: uint8 ``[N, size, size, C]`` for N ``params``."""
    array = as_array(filtered(image, size))
    stacked = np.broadcast_to(array, (len(params), *array.shape))
    return augmenter.apply(stacked, params, size)


def resized(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """The source itself as a file of the set: uint8 ``[size, size, C]``."""
    return as_array(squashed(image, size))


def encode(array: npt.NDArray[np.uint8], recipe: Recipe) -> bytes:
    """``array`` (uint8 ``[H, W, C]``) as a file. In memory first: saving to a full disk may cut a JPEG silently."""
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    buffer = io.BytesIO()
    if recipe.format == "png":
        image.save(buffer, "PNG", compress_level=3)
    elif recipe.format == "webp":
        image.save(buffer, "WEBP", quality=recipe.quality, method=2)
    else:
        image.save(buffer, "JPEG", quality=recipe.quality)
    return buffer.getvalue()
