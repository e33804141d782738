"""Brightness, contrast, saturation, hue, blur and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from toolbox.api.augmenter import ImageInfo, Params
from toolbox_kornia.heavy import values
from toolbox_kornia.heavy.recipe import Recipe, complete_params
from toolbox_kornia.heavy.warp import Images

if TYPE_CHECKING:
    import torch

_NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, "blur": 0.0, "noise": 0.0, "seed": 0.0}
_LEAST_BLUR = 0.1
"""Pixels; a Gaussian narrower than this has nothing outside its middle pixel."""

_YIQ = np.array([values.LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""From red, green and blue to luma and the two axes of colour of NTSC."""

_LUMA_ROWS = np.tile(values.LUMA, (3, 1))


class Colour(Recipe):
    """Brightness, contrast, saturation, hue, blur and noise, in this order; nothing moves.

    Factors are uniform in 1 ± their range, the hue's angle is uniform within ± its range, blur and noise have
    strengths uniform from 0 to their range. A range of 0 leaves that out; saturation and hue do nothing to a grey
    picture, which stays grey.

    brightness multiplies. contrast moves values away from the picture's mean grey or towards it. saturation moves
    colours away from their own grey or towards it. hue turns colours about the grey axis and keeps their brightness.
    These four are one matrix, applied in one go and rounded once. blur is a Gaussian whose deviation is given in
    pixels of the copy. noise is Gaussian (in 256 steps, up to 2.9 deviations), its own in each channel, drawn as a
    seed.

    Source: the first four are those of torchvision's ColorJitter, after Krizhevsky, Sutskever, Hinton, NeurIPS 2012,
    and Howard, arXiv:1312.5402; as matrices, Haeberli, "Matrix operations for image processing", 1993; the
    hue turns in the YIQ space, not in HSV. Computed by OpenCV, for tensors by torch and kornia.
    """

    tolerance: ClassVar[float] = 1.0
    neutral: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("brightness", "contrast", "saturation", "hue", "blur", "noise"), 0
    )
    moves = False

    def __init__(
        self,
        *,
        brightness: Annotated[float, Field(ge=0, le=1, description="factors are 1 ± this")] = 0.2,
        contrast: Annotated[float, Field(ge=0, le=1, description="factors are 1 ± this")] = 0.2,
        saturation: Annotated[float, Field(ge=0, le=1, description="factors are 1 ± this; 0 is grey")] = 0.2,
        hue: Annotated[float, Field(ge=0, le=180, description="largest turn to either side, in degrees")] = 10.0,
        blur: Annotated[
            float, Field(ge=0, le=10, description="largest deviation of the Gaussian, in pixels of the copy")
        ] = 1.0,
        noise: Annotated[
            float, Field(ge=0, le=0.5, description="largest deviation of the noise; 1 is from black to white")
        ] = 0.02,
    ) -> None:
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.blur = blur
        self.noise = noise
        self._reach = max(1, math.ceil(3 * blur))

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """Factors brightness, contrast, saturation; hue in degrees; blur in pixels; noise of 1, and its seed.

        Every one is drawn whatever the ranges and the channels, so that changing one leaves the others as they were.
        """
        return {
            "brightness": rng.uniform(1 - self.brightness, 1 + self.brightness),
            "contrast": rng.uniform(1 - self.contrast, 1 + self.contrast),
            "saturation": rng.uniform(1 - self.saturation, 1 + self.saturation),
            "hue": rng.uniform(-self.hue, self.hue),
            "blur": rng.uniform(0, self.blur),
            "noise": rng.uniform(0, self.noise),
            "seed": int(rng.integers(2**32)),
        }

    def retouch(self, image: Images, params: Params) -> Images:
        """See :class:`.recipe.Recipe`."""
        numbers = complete_params(params, _NEUTRAL)
        matrix = colour_matrix(numbers, values.means(image))
        if matrix is not None:
            image = values.apply_color_matrix(image, matrix)
        if numbers["blur"] >= _LEAST_BLUR:
            image = values.gaussian_blur(image, numbers["blur"], self._reach)
        if numbers["noise"] > 0:
            image = values.add_noise(image, numbers["noise"] * 255, int(numbers["seed"]))
        return image

    def retouch_tensor(self, images: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """See :class:`.recipe.Recipe`."""
        import torch

        from toolbox_kornia.heavy import values_tensor

        numbers = [complete_params(each, _NEUTRAL) for each in params]
        sums = images.sum(dim=(2, 3), dtype=torch.int64).cpu().numpy()
        means = sums / (images.shape[2] * images.shape[3] * 255)
        matrices = [colour_matrix(each, mean) for each, mean in zip(numbers, means, strict=True)]
        unchanged = np.eye(images.shape[1], images.shape[1] + 1)
        images = values_tensor.apply_color_matrix(images, np.stack([unchanged if m is None else m for m in matrices]))
        blurred = [number for number, each in enumerate(numbers) if each["blur"] >= _LEAST_BLUR]
        if blurred:
            images[blurred] = values_tensor.gaussian_blur(
                images[blurred], [numbers[number]["blur"] for number in blurred], self._reach
            )
        deviations = [each["noise"] * 255 for each in numbers]
        if any(deviations):
            images = values_tensor.add_noise(images, deviations, [int(each["seed"]) for each in numbers])
        return images


def colour_matrix(numbers: dict[str, float], mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Brightness, contrast, saturation and hue as one matrix; ``None`` where they do nothing.

    Parameters
    ----------
    wanted: the four by their names.
    mean: the picture's mean value of each of C channels, 0..1.

    Returns
    -------
    ``[C, C + 1]``: output channels from input channels and 1, in 0..1.
    """
    channels = len(mean)
    factor, contrast = numbers["brightness"], numbers["contrast"]
    grey = factor * float(values.LUMA @ mean if channels == 3 else mean[0])
    matrix = np.eye(channels, channels + 1) * factor * contrast
    matrix[:, -1] = (1 - contrast) * grey
    if channels == 3:
        colours = _LUMA_ROWS + numbers["saturation"] * (np.eye(3) - _LUMA_ROWS)
        matrix = hue_turn(numbers["hue"]) @ colours @ matrix
    return None if np.allclose(matrix, np.eye(channels, channels + 1), rtol=0, atol=1e-12) else matrix


def hue_turn(degrees: float) -> npt.NDArray[np.float64]:
    """Colours turned about the grey axis, in the plane of I and Q, at constant luma: ``[3, 3]``."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(np.linalg.inv(_YIQ) @ turn @ _YIQ)
