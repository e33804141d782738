"""The recipes of the two source studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from toolbox.api.augmenter import ImageInfo, Params
from toolbox.api.errors import UsageError
from toolbox_kornia.heavy.recipe import Geometric
from toolbox_kornia.heavy.warp import Border, Interpolation

BorderParameter = Annotated[
    Border,
    Field(
        description="what fills the parts from outside the picture: its mirror image, its outermost pixels "
        "(Keras's 'nearest'), or black"
    ),
]
InterpolationParameter = Annotated[
    Interpolation,
    Field(
        description="between pixels: a linear mixture of the four around, a cubic one of the sixteen around (sharper), "
        "or the nearest one"
    ),
]


class FlipRotateZoom(Geometric):
    """Study B: each copy gets exactly one of horizontal flip, rotation and zoom, each in a third of the copies.

    The angle is uniform within ±rotation; the factor is uniform from zoom_min to zoom_max, the same for both axes,
    and above 1 it magnifies. Rotation and zoom are about the centre of the output square: the source is squashed
    to it first and then moved, as in the study. Copies hold one key: flip, rotation (degrees, positive is
    counter-clockwise as displayed) or zoom. A picture has one mirror image, so that the third of its copies that
    are flipped are all the same.

    Source: Poojary, Raina, Mondal, "Effect of data-augmentation on fine-tuned CNN model performance", IAES IJ-AI
    10(1), 2021. Resampling: OpenCV. The paper names no border; the mirror image makes no edges
    that a network could learn.
    """

    def __init__(
        self,
        *,
        rotation: Annotated[float, Field(ge=0, le=180, description="largest angle to either side, in degrees")] = 30.0,
        zoom_min: Annotated[float, Field(ge=0.25, le=4, description="least zoom, a factor; < 1 shrinks")] = 0.75,
        zoom_max: Annotated[float, Field(ge=0.25, le=4, description="greatest zoom, a factor; > 1 magnifies")] = 1.25,
        border: BorderParameter = "reflect",
        interpolation: InterpolationParameter = "bilinear",
    ) -> None:
        if zoom_min > zoom_max:
            raise UsageError(
                f"flip-rotate-zoom: zoom_min is {zoom_min:g} and zoom_max is {zoom_max:g}", "Exchange the two."
            )
        super().__init__(border, interpolation)
        self.rotation = rotation
        self.zoom_min = zoom_min
        self.zoom_max = zoom_max

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """One of ``{"flip": True}``, ``{"rotation": degrees}`` and ``{"zoom": factor}``; the same for any source."""
        choice = rng.integers(3)
        if choice == 0:
            return {"flip": True}
        if choice == 1:
            return {"rotation": rng.uniform(-self.rotation, self.rotation)}
        return {"zoom": rng.uniform(self.zoom_min, self.zoom_max)}


class Alzheimer(Geometric):
    """Study A: rotation, shift, shear, zoom and horizontal flip together, as Keras's ImageDataGenerator.

    Everything is uniform within its range, and applied to the picture squashed to the output square, about its
    centre, in Keras's order: rotated (positive is counter-clockwise as displayed), shifted (fractions of the side,
    positive is right and down), sheared, zoomed (x and y drawn independently, as Keras does), then flipped with
    probability flip.

    shear is in DEGREES, which is what Keras's shear_range=0.2 means, although papers quote it like a fraction: a
    fifth of a degree moves the edge of a 64-pixel picture by a tenth of a pixel, practically nothing. That is the
    study as it was done. For a shear by the fraction 0.2 set shear=11.3; for 0.2 radians, as in early versions of
    Keras, shear=11.5.

    zoom=0.2 draws factors from 0.8 to 1.2, and above 1 magnifies. Keras divides by its factor instead, which
    magnifies by 0.83 to 1.25.

    Source: AbdulAzeem, Bahgat, Badawy, "A CNN based framework for classification of Alzheimer's disease", Neural
    Computing and Applications 33 (2021). The re-implementation that reported its figures left out zoom and flip:
    zoom=0,flip=0. The border is Keras's default (its 'nearest').
    Resampling: OpenCV.
    """

    neutral: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("rotation", "width_shift", "height_shift", "shear", "zoom", "flip"), 0
    )

    def __init__(
        self,
        *,
        rotation: Annotated[float, Field(ge=0, le=180, description="largest angle to either side, in degrees")] = 15.0,
        width_shift: Annotated[
            float, Field(ge=0, le=1, description="largest shift left and right, as a fraction of the width")
        ] = 0.1,
        height_shift: Annotated[
            float, Field(ge=0, le=1, description="largest shift up and down, as a fraction of the height")
        ] = 0.1,
        shear: Annotated[
            float,
            Field(ge=0, le=60, description="largest shear to either side, in degrees (0.2 is next to nothing)"),
        ] = 0.2,
        zoom: Annotated[
            float, Field(ge=0, le=0.75, description="zoom factors are 1 ± this, for x and y independently")
        ] = 0.2,
        flip: Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")] = 0.5,
        border: BorderParameter = "replicate",
        interpolation: InterpolationParameter = "bilinear",
    ) -> None:
        super().__init__(border, interpolation)
        self.rotation = rotation
        self.width_shift = width_shift
        self.height_shift = height_shift
        self.shear = shear
        self.zoom = zoom
        self.flip = flip

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """rotation and shear in degrees, shift_x and shift_y as fractions, zoom_x and zoom_y as factors, and flip.

        Every one is drawn whatever the ranges, so that changing one range leaves the other draws as they were.
        """
        return {
            "rotation": rng.uniform(-self.rotation, self.rotation),
            "shift_x": rng.uniform(-self.width_shift, self.width_shift),
            "shift_y": rng.uniform(-self.height_shift, self.height_shift),
            "shear": rng.uniform(-self.shear, self.shear),
            "zoom_x": rng.uniform(1 - self.zoom, 1 + self.zoom),
            "zoom_y": rng.uniform(1 - self.zoom, 1 + self.zoom),
            "flip": bool(rng.random() < self.flip),
        }
