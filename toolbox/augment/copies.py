"""From one source to its copies: draw, apply, encode. Depends on the key alone, not on what came before."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

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


def filtered(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """``image`` without what a side of ``size`` pixels can't hold, so that one bilinear resampling won't alias.

    uint8 ``[H, W, C]``. Gaussian with a standard deviation of half the reduction less one, an axis at a time (as
    scikit-image's ``resize`` and kornia's do); OpenCV's, whose 8-bit arithmetic is the same on every machine.
    """
    array = as_array(image)
    across, down = (max(0.0, (side / size - 1) / 2) for side in image.size)
    if not across and not down:
        return array
    import cv2

    # A deviation of 0 would mean "from the kernel's size"; a kernel of 1 does nothing along that axis.
    kernel = tuple(2 * int(np.ceil(3 * sigma)) + 1 for sigma in (across, down))
    smooth = cv2.GaussianBlur(array, kernel, max(across, 1e-6), sigmaY=max(down, 1e-6), borderType=cv2.BORDER_REFLECT)
    return np.asarray(smooth, dtype=np.uint8).reshape(array.shape)


def files(
    augmenter: Augmenter, image: Image.Image, params: Sequence[Params], recipe: Recipe, batch_size: int
) -> Iterator[bytes]:
    """The encoded copies of one source, one for each of ``params``, made ``batch_size`` at a time.

    Equal parameters give equal bytes (a flip without an angle, say), which are made once.
    """
    array = filtered(image, recipe.size)
    keys = [json.dumps(each, sort_keys=True) for each in params]
    made: dict[str, bytes] = {}
    repeated = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    for start in range(0, len(params), batch_size):
        chosen = dict(zip(keys[start : start + batch_size], params[start : start + batch_size], strict=True))
        fresh = {key: each for key, each in chosen.items() if key not in made}
        if fresh:
            stacked = np.broadcast_to(array, (len(fresh), *array.shape))
            copies = augmenter.apply(stacked, list(fresh.values()), recipe.size)
            made.update({key: encode(copy, recipe) for key, copy in zip(fresh, copies, strict=True)})
        for key in keys[start : start + batch_size]:
            yield made[key] if key in repeated else made.pop(key)


def stacked(image: Image.Image, size: int, count: int) -> npt.NDArray[np.uint8]:
    """``image``, filtered for ``size``, ``count`` times over without being copied: uint8 ``[count, H, W, C]``."""
    array = filtered(image, size)
    return np.broadcast_to(array, (count, *array.shape))


def picture(array: npt.NDArray[np.uint8]) -> Image.Image:
    """uint8 ``[H, W, C]`` as an image of mode ``L`` or ``RGB``."""
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def resized(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """The source itself as a file of the set: uint8 ``[size, size, C]``."""
    return as_array(squashed(image, size))


def encode(array: npt.NDArray[np.uint8], recipe: Recipe) -> bytes:
    """``array`` (uint8 ``[H, W, C]``) as a file. In memory first: saving to a full disk may cut a JPEG silently.

    JPEGs have their colours at half the resolution (4:2:0), by libjpeg-turbo.
    """
    if recipe.format == "jpeg" and array.shape[2] == 3:
        from kornia_rs import io as kornia_io

        return bytes(kornia_io.encode_image_jpegturbo(np.ascontiguousarray(array), recipe.quality))
    image = picture(array)
    buffer = io.BytesIO()
    if recipe.format == "png":
        image.save(buffer, "PNG", compress_level=3)
    elif recipe.format == "webp":
        image.save(buffer, "WEBP", quality=recipe.quality, method=2)
    else:
        image.save(buffer, "JPEG", quality=recipe.quality)
    return buffer.getvalue()
