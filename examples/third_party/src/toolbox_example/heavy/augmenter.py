"""The ``erase`` augmenter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from toolbox.api.augmenter import Affine, Augmenter, ImageInfo, Params
from toolbox.api.warp import warp

if TYPE_CHECKING:
    import torch

Images = npt.NDArray[np.uint8]
SQUASHED = Affine((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), border="replicate")
"""The source on the square of the copy, and nothing else."""


class Erase(Augmenter):
    """Random erasing: with some probability, a rectangle of a copy is blanked.

    Its area is uniform from 0 to ``area`` of the picture, its shape log-uniform from 1:3 to 3:1, and it lies within the
    picture. A network then can't rely on one place alone.

    Source: Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation", AAAI 2020 (arXiv:1708.04896), whose
    rectangles hold noise and cover 2 to 40 % in half of the images.
    """

    neutral: ClassVar[Mapping[str, Any]] = {"probability": 0}

    def __init__(
        self,
        *,
        probability: Annotated[float, Field(ge=0, le=1, description="of a copy to lose a rectangle")] = 0.5,
        area: Annotated[float, Field(gt=0, le=0.6, description="largest share of the picture that is blanked")] = 0.4,
        fill: Annotated[Literal["mean", "black"], Field(description="the picture's own mean, or black")] = "mean",
    ) -> None:
        self.probability = probability
        self.area = area
        self.fill = fill

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """The rectangle's left, top, right and bottom as fractions of the sides; all 0 for none."""
        erase, shape = rng.random() < self.probability, math.exp(rng.uniform(-math.log(3), math.log(3)))
        area = rng.uniform(0, self.area)
        width, height = min(1.0, math.sqrt(area * shape)), min(1.0, math.sqrt(area / shape))
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        if not erase:
            return {"left": 0.0, "top": 0.0, "right": 0.0, "bottom": 0.0}
        return {"left": left, "top": top, "right": left + width, "bottom": top + height}

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        copies = warp(images, [SQUASHED] * len(params), size)
        for copy, each in zip(copies, params, strict=True):
            rows, columns = _rectangle(each, size)
            mean = np.rint(copy.reshape(-1, copy.shape[2]).mean(0))
            copy[rows, columns] = mean if self.fill == "mean" else 0
        return copies

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        import torch

        values = torch.nn.functional.interpolate(images.float(), (size, size), mode="bilinear", align_corners=False)
        copies = values.round().to(torch.uint8)
        means = copies.float().mean((2, 3), keepdim=True).round().to(torch.uint8)
        for copy, mean, each in zip(copies, means, params, strict=True):
            rows, columns = _rectangle(each, size)
            copy[:, rows, columns] = mean if self.fill == "mean" else 0
        return copies


def _rectangle(params: Params, size: int) -> tuple[slice, slice]:
    """The rows and columns that are blanked."""
    left, top, right, bottom = (round(float(params[name]) * size) for name in ("left", "top", "right", "bottom"))
    return slice(top, bottom), slice(left, right)
