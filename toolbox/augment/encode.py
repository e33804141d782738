"""From one source to its copies: draw, apply, encode. Depends on the key alone, not on what came before."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.images import as_array, resize_to_square, to_image
from toolbox.api.warp import prefilter
from toolbox.augment.planes import Planes
from toolbox.augment.recipe import Recipe
from toolbox.plugin import guard

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.uint8]

_SCALARS = (bool, int, float, str)
SUFFIX = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


def generator(seed: int, pixels: str, copy: int) -> np.random.Generator:
    """The counter-based generator (Philox) of one copy, keyed by seed, the source's pixel hash and copy number."""
    key = hashlib.sha256(f"{seed}/{pixels}/{copy}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], dtype=np.uint64)))


def draw_params(
    augmenter: Augmenter, image: Image.Image, pixels: str, seed: int, copies: Sequence[int]
) -> list[Params]:
    """The parameters of ``copies`` of a source with the pixel hash ``pixels``."""
    info = ImageInfo(image.height, image.width, len(image.getbands()))
    with guard.guard(augmenter):
        params = [augmenter.draw(generator(seed, pixels, copy), info) for copy in copies]
    for each in params:
        if not isinstance(each, dict) or not all(type(value) in _SCALARS for value in each.values()):
            guard.refuse(augmenter, f"the parameters {each!r}", "a dict of str, int, float and bool")
    return params


def apply(augmenter: Augmenter, images: npt.NDArray[np.uint8], params: Sequence[Params], size: int) -> list[Array]:
    """The copies of ``images``: N arrays, uint8 ``[size, size, C]``.

    Raises
    ------
    ComponentError: the augmenter fails, or returns something else.
    """
    with guard.guard(augmenter):
        copies = augmenter.apply(images, params, size)
    expected = (len(images), size, size, images.shape[3])
    if not isinstance(copies, np.ndarray) or copies.shape != expected or copies.dtype != np.uint8:
        returned = f"{getattr(copies, 'dtype', type(copies).__name__)} of shape {np.shape(copies)}"
        guard.refuse(augmenter, returned, f"uint8 of shape {expected}")
    return list(copies)


class CopyEncoder:
    """Makes the copies of one source, ``batch_size`` at a time.

    Equal parameters give equal bytes, which are made once (a flip without an angle: a third of the copies of the
    default recipe).
    """

    def __init__(self, augmenter: Augmenter, image: Image.Image, recipe: Recipe, batch_size: int) -> None:
        self._augmenter = augmenter
        self._recipe = recipe
        self._batch_size = batch_size
        self._array = prefilter(as_array(image), recipe.size)
        self._planes: Planes | None = None

    def files(self, params: Sequence[Params]) -> Iterator[bytes]:
        """The encoded copies, one for each of ``params``."""
        keys = [repr(each) for each in params]  # JSON scalars: tells 1 from True, and every float from every other
        last = {key: place for place, key in enumerate(keys)}
        copies_by_key: dict[str, bytes] = {}
        for start in range(0, len(params), self._batch_size):
            places = range(start, min(start + self._batch_size, len(params)))
            fresh = {keys[place]: params[place] for place in places if keys[place] not in copies_by_key}
            copies_by_key.update(self._encode(fresh))
            for place in places:
                key = keys[place]
                yield copies_by_key[key] if last[key] > place else copies_by_key.pop(key)

    def _encode(self, params: Mapping[str, Params]) -> Iterator[tuple[str, bytes]]:
        """Copies that only move their source by way of JPEG's planes, all others by the augmenter's own."""
        recipe = self._recipe
        found = {key: self._augmenter.affine(each) for key, each in params.items()} if recipe.format == "jpeg" else {}
        moved = {key: affine for key, affine in found.items() if affine is not None}
        if moved:
            self._planes = self._planes or Planes(self._array, recipe.size)
            yield from zip(moved, self._planes.moved(list(moved.values()), recipe.quality), strict=True)
        rest = {key: each for key, each in params.items() if key not in moved}
        if rest:
            same = np.broadcast_to(self._array, (len(rest), *self._array.shape))
            copies = apply(self._augmenter, same, list(rest.values()), recipe.size)
            yield from ((key, encode(copy, recipe)) for key, copy in zip(rest, copies, strict=True))


def repeat_source(image: Image.Image, size: int, count: int) -> npt.NDArray[np.uint8]:
    """``image``, filtered for ``size``, ``count`` times over without being copied: uint8 ``[count, H, W, C]``."""
    array = prefilter(as_array(image), size)
    return np.broadcast_to(array, (count, *array.shape))


def resize_source(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """The source itself as a file of the set: uint8 ``[size, size, C]``."""
    return as_array(resize_to_square(image, size))


def encode(array: npt.NDArray[np.uint8], recipe: Recipe) -> bytes:
    """``array`` (uint8 ``[H, W, C]``) as a file. In memory first: saving to a full disk may cut a JPEG silently.

    JPEGs have their colours at half the resolution (4:2:0), by libjpeg-turbo.
    """
    if recipe.format == "jpeg":
        import simplejpeg

        kind = ("GRAY", "Gray") if array.shape[2] == 1 else ("RGB", "420")
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(array), recipe.quality, *kind))
    buffer = io.BytesIO()
    if recipe.format == "png":
        to_image(array).save(buffer, "PNG", compress_level=3)
    else:
        to_image(array).save(buffer, "WEBP", quality=recipe.quality, method=2)
    return buffer.getvalue()
