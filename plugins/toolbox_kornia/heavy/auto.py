"""RandAugment and TrivialAugment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from toolbox.api.augmenter import ImageInfo, Params
from toolbox.api.errors import UsageError, closest
from toolbox_kornia.heavy import values
from toolbox_kornia.heavy.geometry import Matrix, Steps, affine
from toolbox_kornia.heavy.recipe import Recipe
from toolbox_kornia.heavy.studies import BorderParameter, InterpolationParameter
from toolbox_kornia.heavy.tables import TABLES
from toolbox_kornia.heavy.warp import Images

if TYPE_CHECKING:
    import torch

STRENGTHS = 30
"""The strongest of the magnitudes 0, 1, 2, … that both papers count in."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation's value at no and at full strength (RandAugment's, and TrivialAugment's wide one).

    ``signed``: the distance from no strength goes to either side.
    """

    none: float = 0.0
    full: float = 0.0
    wide: float = 0.0
    signed: bool = False


_FACTOR = Operation(1.0, 1.9, 1.99, signed=True)
OPERATIONS = {
    "identity": Operation(),
    "auto_contrast": Operation(),
    "equalize": Operation(),
    "rotate": Operation(0.0, 30.0, 135.0, signed=True),
    "solarize": Operation(256.0, 0.0, 0.0),
    "color": _FACTOR,
    "posterize": Operation(8.0, 4.0, 2.0),
    "contrast": _FACTOR,
    "brightness": _FACTOR,
    "sharpness": _FACTOR,
    "shear_x": Operation(0.0, 0.3, 0.99, signed=True),
    "shear_y": Operation(0.0, 0.3, 0.99, signed=True),
    "translate_x": Operation(0.0, 0.1, 32 / 224, signed=True),
    "translate_y": Operation(0.0, 0.1, 32 / 224, signed=True),
}
"""The fourteen of both papers, by kornia's names."""

_MOVES: dict[str, Callable[[float], Matrix]] = {
    "rotate": lambda value: Steps(rotation=value).matrix(),
    "shear_x": lambda value: affine((1.0, value, 0.0), (0.0, 1.0, 0.0)),
    "shear_y": lambda value: affine((1.0, 0.0, 0.0), (value, 1.0, 0.0)),
    "translate_x": lambda value: affine((1.0, 0.0, value), (0.0, 1.0, 0.0)),
    "translate_y": lambda value: affine((1.0, 0.0, 0.0), (0.0, 1.0, value)),
}


class Automatic(Recipe):
    """What the two have in common: copies hold ``op_1``, ``value_1``, ``op_2``, …; every value in its own unit.

    What moves pixels is one matrix and one resampling and comes first; the rest follows in the order drawn.
    """

    tolerance: ClassVar[float] = 1.5

    def matrix(self, params: Params) -> Matrix:
        """See :class:`.recipe.Recipe`."""
        matrix = np.eye(3)
        for name, value in parse_operations(params):
            if name in _MOVES:
                matrix = _MOVES[name](value) @ matrix
        return matrix

    def retouch(self, image: Images, params: Params) -> Images:
        """See :class:`.recipe.Recipe`."""
        for name, value in parse_operations(params):
            if name in TABLES:
                tables = TABLES[name](value, values.histograms(image))
                image = values.apply_tables(image, tables)
            elif name == "color" and image.shape[2] == 3:
                image = values.apply_color_matrix(image, _saturation_matrix(value))
            elif name == "sharpness" and value != 1:
                image = values.sharpen(image, value)
        return image

    def retouch_tensor(self, images: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """See :class:`.recipe.Recipe`."""
        lists = [[each for each in parse_operations(one) if each[0] not in _MOVES] for one in params]
        for place in range(max(map(len, lists))):
            by_name: dict[str, list[int]] = {}
            for number, operations in enumerate(lists):
                if place < len(operations):
                    by_name.setdefault(operations[place][0], []).append(number)
            for name, numbers in by_name.items():
                images[numbers] = _apply_operation(
                    images[numbers], name, [lists[number][place][1] for number in numbers]
                )
        return images


class RandAugment(Automatic):
    """Each copy goes through some operations (2), chosen at random out of 14, all of one magnitude.

    Operations and their values at magnitude 30, between which and no effect the magnitude divides evenly: rotate
    (±30 degrees), shear_x and shear_y (±0.3, the tangent), translate_x and translate_y (±0.1 of the side), brightness,
    contrast, color (saturation) and sharpness (a factor of 1 ± 0.9), posterize (4 of 8 bits), solarize (inverts levels
    from 0 on; from 256 at magnitude 0), and without a magnitude identity, auto_contrast and equalize. Either sign
    comes as often. Operations may repeat. What moves pixels is one resampling and comes first, the rest follows in the
    order drawn. A grey picture has no color among its operations and stays grey.

    Source: Cubuk, Zoph, Shlens, Le, "RandAugment", NeurIPS 2020 (arXiv:1909.13719); operations by kornia's names and
    with its ranges for shifts. Values change as in Pillow, which the paper used.
    """

    neutral: ClassVar[Mapping[str, Any]] = {"ops": 0}

    def __init__(
        self,
        *,
        ops: Annotated[int, Field(ge=0, le=14, description="operations for each copy (the paper's N)")] = 2,
        magnitude: Annotated[float, Field(ge=0, le=30, description="strength of all of them (the paper's M)")] = 9,
        border: BorderParameter = "reflect",
        interpolation: InterpolationParameter = "bilinear",
    ) -> None:
        super().__init__(border, interpolation)
        self.ops = ops
        self.magnitude = magnitude

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """op_1, value_1 and so on: rotations in degrees, shifts as fractions of the side, factors, bits, a level."""
        params: Params = {}
        for place in range(1, self.ops + 1):
            name, operation = _draw_operation(rng, info)
            share = self.magnitude / STRENGTHS
            params |= _to_params(place, name, operation, share * (operation.full - operation.none), rng)
        return params


class TrivialAugment(Automatic):
    """Each copy goes through one operation, chosen at random out of 14, of a random magnitude.

    The magnitude is one of 0, 1, … 30, each as likely. Operations and their values at 30: rotate (±135 degrees),
    shear_x and shear_y (±0.99, the tangent), translate_x and translate_y (±1/7 of the side: 32 pixels of 224),
    brightness, contrast, color (saturation) and sharpness (a factor of 1 ± 0.99), posterize (2 of 8 bits), solarize
    (inverts levels from 0 on; from 256 at magnitude 0), and without a magnitude identity, auto_contrast and equalize.
    Either sign comes as often. A grey picture has no color among its operations and stays grey.

    Source: Müller, Hutter, "TrivialAugment", ICCV 2021 (arXiv:2103.10158), its wide ranges; operations by kornia's
    names. Values change as in Pillow, which the paper used.
    """

    def __init__(
        self, *, border: BorderParameter = "reflect", interpolation: InterpolationParameter = "bilinear"
    ) -> None:
        super().__init__(border, interpolation)

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """op_1 and value_1: a rotation in degrees, a shift as a fraction of the side, a factor, bits, or a level."""
        name, operation = _draw_operation(rng, info)
        share = int(rng.integers(STRENGTHS + 1)) / STRENGTHS
        return _to_params(1, name, operation, share * (operation.wide - operation.none), rng)


def parse_operations(params: Params) -> list[tuple[str, float]]:
    """The operations of a copy with their values, in order.

    Raises
    ------
    UsageError: ``params`` that no recipe of this kind can have drawn.
    """
    operations = []
    for place in range(1, len(params) + 1):
        name = params.get(f"op_{place}")
        if name is None:
            break
        value = params.get(f"value_{place}", 0.0)
        if not isinstance(name, str) or name not in OPERATIONS:
            raise UsageError(f"no operation is called {name!r}", closest(str(name), OPERATIONS))
        if isinstance(value, str) or not math.isfinite(value):
            raise UsageError(f"the value of the operation {name!r} can't be {value!r}", "Give a finite number.")
        operations.append((name, float(value)))
    known = {f"{what}_{place}" for place in range(1, len(operations) + 1) for what in ("op", "value")}
    for key in params:
        if key not in known:
            raise UsageError(f"no parameter is called {key!r}", "A copy holds op_1, value_1, op_2, value_2 and so on.")
    return operations


def _draw_operation(rng: np.random.Generator, info: ImageInfo) -> tuple[str, Operation]:
    names = [name for name in OPERATIONS if info.channels == 3 or name != "color"]
    name = names[int(rng.integers(len(names)))]
    return name, OPERATIONS[name]


def _to_params(place: int, name: str, operation: Operation, distance: float, rng: np.random.Generator) -> Params:
    """The operation as parameters; the sign is drawn whether it is needed or not."""
    negative = bool(rng.integers(2))
    if operation.none == operation.full:
        return {f"op_{place}": name}
    value = operation.none + (-distance if negative and operation.signed else distance)
    return {f"op_{place}": name, f"value_{place}": round(value) if name in ("posterize", "solarize") else value}


def _apply_operation(images: torch.Tensor, name: str, amounts: list[float]) -> torch.Tensor:
    """``images`` (uint8 ``[N, C, H, W]``) through one operation, a value for each."""
    from toolbox_kornia.heavy import values_tensor

    if name in TABLES:
        histograms = values_tensor.histograms(images)
        tables = [TABLES[name](value, one) for value, one in zip(amounts, histograms, strict=True)]
        return values_tensor.apply_tables(images, np.stack(tables))
    if name == "color" and images.shape[1] == 3:
        return values_tensor.apply_color_matrix(images, np.stack([_saturation_matrix(value) for value in amounts]))
    if name == "sharpness":
        return values_tensor.sharpen(images, amounts)
    return images


def _saturation_matrix(factor: float) -> npt.NDArray[np.float64]:
    """Colours moved away from their grey or towards it: ``[3, 4]``."""
    matrix = np.zeros((3, 4))
    matrix[:, :3] = np.tile(values.LUMA, (3, 1)) * (1 - factor) + np.eye(3) * factor
    return matrix
