"""Geometric steps and the resize as one matrix. Pure numpy.

Two frames. The **unit frame** is the output square: its centre is 0, its sides run from -1/2 to 1/2, x to the
right and y downwards; every step acts there, so that it means the same whatever the source's size and shape.
A **pixel frame** counts pixels from 0 with integers at the pixels' centres (0, 0 is the centre of the top left
pixel, whose corner is at -1/2, -1/2), as kornia, OpenCV and ``scipy.ndimage`` do. With both, a resize maps edges
onto edges (the half-pixel convention), and a resize to the same size moves nothing.

All matrices are float64 ``[3, 3]``, act on columns ``(x, y, 1)`` and lead **forward**, from source to output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from toolbox.api.augmenter import Scalar
from toolbox.api.errors import UsageError, closest

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What is done to a picture: rotated, then shifted, sheared, zoomed, and flipped, about the square's centre.

    The order is that of Keras's ``ImageDataGenerator``. Defaults do nothing.

    Attributes
    ----------
    rotation: degrees, positive is counter-clockwise as displayed.
    shift_x, shift_y: fractions of the side, positive is to the right and downwards.
    shear: degrees, of Keras's shear: y grows by ``tan(shear) * x`` (positive lowers the right edge) and
        x is stretched by ``1 / cos(shear)``. Within ±90.
    zoom: factor of both axes; above 1 magnifies, below 1 shows more than the picture. Positive.
    zoom_x, zoom_y: further factors of one axis each. Positive.
    flip: mirror left and right.
    """

    rotation: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    shear: float = 0.0
    zoom: float = 1.0
    zoom_x: float = 1.0
    zoom_y: float = 1.0
    flip: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Scalar]) -> Steps:
        """Steps by their names; those that are not named do nothing.

        Raises
        ------
        UsageError: an unknown name, or a value that is none (a text, an infinite rotation, a zoom of 0).
        """
        known = {field.name for field in fields(cls)}
        for name, value in params.items():
            if name not in known:
                raise UsageError(f"no geometric step is called {name!r}", closest(name, known))
            if isinstance(value, str) or not math.isfinite(value):
                raise UsageError(f"the geometric step {name!r} can't be {value!r}", "Give a finite number.")
            if name.startswith("zoom") and value <= 0:
                raise UsageError(f"the geometric step {name!r} can't be {value!r}", "Give a positive factor.")
        return cls(**params)  # type: ignore[arg-type]  # checked above, one by one

    def matrix(self) -> Matrix:
        """All steps as one matrix in the unit frame."""
        turn, slant = math.radians(self.rotation), math.radians(self.shear)
        cos, sin, tan = math.cos(turn), math.sin(turn), math.tan(slant)
        x, y = (cos, sin, self.shift_x), (-sin, cos, self.shift_y)  # rotated, then shifted
        across = (-1.0 if self.flip else 1.0) * self.zoom * self.zoom_x / math.cos(slant)
        down = self.zoom * self.zoom_y
        # Written out: the product of five matrices takes five times as long, and every copy has one.
        return affine(
            (across * x[0], across * x[1], across * x[2]),
            (down * (tan * x[0] + y[0]), down * (tan * x[1] + y[1]), down * (tan * x[2] + y[2])),
        )


def pixel_matrix(steps: Matrix, height: int, width: int, size: int) -> Matrix:
    """``steps`` (unit frame) with the resize: source pixels of ``height`` x ``width`` to pixels of the square."""
    from_source = affine((1 / width, 0.0, 0.5 / width - 0.5), (0.0, 1 / height, 0.5 / height - 0.5))
    to_output = affine((size, 0.0, size / 2 - 0.5), (0.0, size, size / 2 - 0.5))
    return to_output @ steps @ from_source


def affine(x: tuple[float, float, float], y: tuple[float, float, float]) -> Matrix:
    """The matrix whose first two rows are ``x`` and ``y``."""
    return np.array([x, y, (0.0, 0.0, 1.0)])
