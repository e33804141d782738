"""A picture beside itself with a heat map on it."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE, _GAP = 224, 4
"""Pixels: the longer side of each of the two, and what lies between them."""

_STRENGTH = 0.6


def beside(image: Image.Image, heat: npt.NDArray[np.float32]) -> Image.Image:
    """``image`` (mode ``L`` or ``RGB``) and, to its right, the same under ``heat``.

    ``heat``: float ``[H, W]`` in [0, 1] over the whole picture, of any size: 0 leaves the picture grey, 1 is bright.
    """
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    plain = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    values = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    colours = matplotlib.colormaps["inferno"](values)[:, :, :3] * 255
    share = _STRENGTH * values[:, :, None]
    # Grey underneath, so that a colour is always the heat's.
    grey = np.asarray(plain.convert("L"), dtype=np.float64)[:, :, None]
    blend = np.rint(grey * (1 - share) + colours * share).astype(np.uint8)
    both = Image.new("RGB", (2 * size[0] + _GAP, size[1]), "white")
    both.paste(plain, (0, 0))
    both.paste(Image.fromarray(blend), (size[0] + _GAP, 0))
    return both
