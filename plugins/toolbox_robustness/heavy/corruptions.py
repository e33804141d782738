"""Image corruptions, each in five severities.

Strengths of blur, noise, brightness and JPEG are those of ImageNet-C (Hendrycks and Dietterich, "Benchmarking neural
network robustness to common corruptions and perturbations", ICLR 2019), made for 224 pixels; a blur's is scaled with
the side. ``darkness`` is negative brightness; the angles are this plugin's choice.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]
Kind = Literal["blur", "noise", "brightness", "darkness", "rotation", "jpeg"]


@dataclass(frozen=True)
class Corruption:
    """``apply(image, strength, rng)``: uint8 ``[H, W, C]``, H = W, to the same; ``strengths`` by severity."""

    apply: Callable[[Array, float, np.random.Generator], Array]
    strengths: Sequence[float]
    unit: str

    def words(self, severity: int) -> str:
        """Describe the strength."""
        return self.unit.format(self.strengths[severity - 1]).replace("-", "−").replace("%", " %")


def _blur(image: Array, sigma: float, rng: np.random.Generator) -> Array:
    sigma_pixels = sigma * len(image) / 224
    return _with_channels(cv2.GaussianBlur(image, (0, 0), sigma_pixels, borderType=cv2.BORDER_REFLECT))


def _noise(image: Array, deviation: float, rng: np.random.Generator) -> Array:
    grey = bool((image == image[:, :, :1]).all())  # a grey picture in three channels stays grey
    return _to_levels(image + rng.normal(0, deviation * 255, (*image.shape[:2], 1 if grey else image.shape[2])))


def _brighten(image: Array, share: float, rng: np.random.Generator) -> Array:
    return _to_levels(image + share * 255)


def _rotate(image: Array, degrees: float, rng: np.random.Generator) -> Array:
    side = len(image)
    centre = ((side - 1) / 2, (side - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, degrees if rng.random() < 0.5 else -degrees, 1)
    rotated = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return _with_channels(rotated)


def _jpeg(image: Array, quality: float, rng: np.random.Generator) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "JPEG", quality=int(quality))
    return _with_channels(np.asarray(Image.open(buffer), dtype=np.uint8))


def _to_levels(values: npt.NDArray[np.floating]) -> Array:
    levels: Array = np.rint(values.clip(0, 255)).astype(np.uint8)
    return levels


def _with_channels(image: npt.NDArray[np.generic]) -> Array:
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


CORRUPTIONS: dict[Kind, Corruption] = {
    "blur": Corruption(_blur, (1, 2, 3, 4, 6), "Gaussian, σ {:g} of 224 px"),
    "noise": Corruption(_noise, (0.08, 0.12, 0.18, 0.26, 0.38), "Gaussian, σ {:.0%} of range"),
    "brightness": Corruption(_brighten, (0.1, 0.2, 0.3, 0.4, 0.5), "+{:.0%} of range"),
    "darkness": Corruption(_brighten, (-0.1, -0.2, -0.3, -0.4, -0.5), "{:.0%} of range"),
    "rotation": Corruption(_rotate, (5, 10, 15, 20, 30), "{:g}° to either side"),
    "jpeg": Corruption(_jpeg, (25, 18, 15, 10, 7), "quality {:g}"),
}
