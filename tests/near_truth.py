"""Near-duplicates made from real images, with what is known of them: the material of the audit's measurements."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def variant(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A near-duplicate of ``image``: always re-encoded (JPEG quality 40 to 95), and, each with chance 1/2,
    cropped (up to 5 % of each side), resized (by 0.5 to 2), mirrored, brightened or darkened (up to 10 %)."""
    crop, resize, mirror, brighten = rng.random(4) < 0.5
    if crop:
        width, height = image.size
        left, right = rng.uniform(0, 0.05, 2) * width
        top, bottom = rng.uniform(0, 0.05, 2) * height
        image = image.crop((round(left), round(top), width - round(right), height - round(bottom)))
    if resize:
        factor = math.exp(rng.uniform(math.log(0.5), math.log(2)))
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))
    if mirror:
        image = ImageOps.mirror(image)
    if brighten:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.1))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
    return Image.open(io.BytesIO(buffer.getvalue()))
