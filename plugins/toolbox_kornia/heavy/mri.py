"""What may differ between two scans of one head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import cv2
import numpy as np
from pydantic import Field

from toolbox.api.augmenter import ImageInfo, Params
from toolbox_kornia.heavy import values
from toolbox_kornia.heavy.geometry import Matrix, Steps
from toolbox_kornia.heavy.recipe import Recipe, complete_params
from toolbox_kornia.heavy.studies import BorderParameter, InterpolationParameter
from toolbox_kornia.heavy.warp import Images

if TYPE_CHECKING:
    import torch

_GEOMETRIC = ("rotation", "shift_x", "shift_y", "zoom")
_FIELD = ("bias_x", "bias_y", "bias_xx", "bias_xy", "bias_yy")
_NEUTRAL = {
    **dict.fromkeys(_GEOMETRIC, 0.0),
    "zoom": 1.0,
    "gamma": 1.0,
    **dict.fromkeys(_FIELD, 0.0),
    "ghosting": 0.0,
    "ghosts": 2.0,
    "ghosts_vertical": 0.0,
    "noise": 0.0,
    "seed": 0.0,
}
_CENTER = 0.02
"""Share of the lines of k-space, those in the middle, that ghosting leaves alone, as in TorchIO."""


class Mri(Recipe):
    """What may differ between two scans of one head: position, contrast, coil, motion and noise. No flip.

    In the order in which they come about: a small rotation, shift and zoom (uniform within their ranges; the parts
    from outside are black, unless border says otherwise); gamma, another contrast between tissues (values in 0..1 to
    the power exp(u), u uniform in ±gamma); a bias field, the coil's uneven sensitivity (exp of a polynomial of second
    order over -1..1, its five coefficients uniform in ±bias, with a mean of 1); ghosting, from motion between two
    lines of k-space (every nth line is weakened by a share uniform in 0..ghosting, n from 2 to 6, along either axis);
    Rician noise (the magnitude of a complex Gaussian noise whose deviation is uniform in 0..noise, 1 being white).
    Black stays black in all but the last two, which leave a background of a few grey levels, as scanners do. The
    channels of a picture get the same, so that grey stays grey.

    Source: Pérez-García, Sparks, Ourselin, "TorchIO", Computer Methods and Programs in Biomedicine 208 (2021), whose
    RandomAffine, RandomGamma, RandomBiasField, RandomGhosting and RandomNoise these follow, milder and in two
    dimensions; bias field: Van Leemput et al., IEEE TMI 18(10), 1999; noise: Gudbjartsson, Patz, "The Rician
    distribution of noisy MRI data", Magnetic Resonance in Medicine 34(6), 1995. The default ranges are this toolbox's
    choice.
    """

    tolerance: ClassVar[float] = 1.0
    neutral: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("rotation", "shift", "zoom", "gamma", "bias", "ghosting", "noise"), 0
    )

    def __init__(
        self,
        *,
        rotation: Annotated[float, Field(ge=0, le=180, description="largest angle to either side, in degrees")] = 5.0,
        shift: Annotated[float, Field(ge=0, le=0.5, description="largest shift, as a fraction of the side")] = 0.03,
        zoom: Annotated[float, Field(ge=0, le=0.75, description="zoom factors are 1 ± this")] = 0.05,
        gamma: Annotated[
            float, Field(ge=0, le=2, description="largest natural logarithm of the exponent, to either side")
        ] = 0.25,
        bias: Annotated[
            float, Field(ge=0, le=2, description="largest coefficient of the bias field, to either side")
        ] = 0.25,
        ghosting: Annotated[
            float, Field(ge=0, le=1, description="largest share by which every nth line of k-space is weakened")
        ] = 0.3,
        noise: Annotated[
            float, Field(ge=0, le=0.5, description="largest deviation of the noise; 1 is from black to white")
        ] = 0.02,
        border: BorderParameter = "constant",
        interpolation: InterpolationParameter = "bilinear",
    ) -> None:
        super().__init__(border, interpolation)
        self.rotation = rotation
        self.shift = shift
        self.zoom = zoom
        self.gamma = gamma
        self.bias = bias
        self.ghosting = ghosting
        self.noise = noise

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """The steps of :class:`.geometry.Steps`, gamma (the exponent), the field's coefficients, ghosts and noise.

        Every one is drawn whatever the ranges, so that changing one range leaves the other draws as they were.
        """
        return {
            "rotation": rng.uniform(-self.rotation, self.rotation),
            "shift_x": rng.uniform(-self.shift, self.shift),
            "shift_y": rng.uniform(-self.shift, self.shift),
            "zoom": rng.uniform(1 - self.zoom, 1 + self.zoom),
            "gamma": math.exp(rng.uniform(-self.gamma, self.gamma)),
            **{name: rng.uniform(-self.bias, self.bias) for name in _FIELD},
            "ghosting": rng.uniform(0, self.ghosting),
            "ghosts": int(rng.integers(2, 7)),
            "ghosts_vertical": bool(rng.random() < 0.5),
            "noise": rng.uniform(0, self.noise),
            "seed": int(rng.integers(2**32)),
        }

    def matrix(self, params: Params) -> Matrix:
        """See :class:`.recipe.Recipe`."""
        return Steps.of({name: value for name, value in params.items() if name in _GEOMETRIC}).matrix()

    def retouch(self, image: Images, params: Params) -> Images:
        """See :class:`.recipe.Recipe`."""
        numbers = complete_params(params, _NEUTRAL)
        if not _changes(numbers):
            return image
        height, width, _ = image.shape
        grey = image[:, :, :1] if _is_grey(image) else image
        # There are but 256 levels to raise to a power.
        levels = np.linspace(0, 1, 256, dtype=np.float32) ** np.float32(numbers["gamma"])
        scan = np.stack([cv2.LUT(np.ascontiguousarray(channel), levels) for channel in np.moveaxis(grey, 2, 0)])
        vertical, horizontal = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
        scan = _add_bias_and_ghosting(np, scan, numbers, vertical[:, None], horizontal[None])
        if numbers["noise"] > 0:
            field = values.gaussian(int(numbers["seed"]), 2 * height, width) * np.float32(numbers["noise"])
            scan = np.sqrt((scan + field[:height]) ** 2 + field[height:] ** 2)
        result = np.rint(np.clip(scan * np.float32(255), 0, 255)).astype(np.uint8).transpose(1, 2, 0)
        return np.broadcast_to(result, image.shape)

    def retouch_tensor(self, images: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """See :class:`.recipe.Recipe`."""
        import torch

        from toolbox_kornia.heavy import values_tensor

        height, width = images.shape[2:]
        vertical = torch.linspace(-1, 1, height, device=images.device)[:, None]
        horizontal = torch.linspace(-1, 1, width, device=images.device)[None]
        result = images.clone()
        for number, each in enumerate(params):
            numbers = complete_params(each, _NEUTRAL)
            if not _changes(numbers):
                continue
            scan = (images[number].float() / 255) ** numbers["gamma"]
            scan = _add_bias_and_ghosting(torch, scan, numbers, vertical, horizontal)
            if numbers["noise"] > 0:
                field = values_tensor.noise_like(images, [int(numbers["seed"])], (2, height, width))[0]
                scan = torch.hypot(scan + numbers["noise"] * field[0], numbers["noise"] * field[1])
            result[number] = values_tensor.levels(scan * 255)
        return result


def _changes(numbers: dict[str, float]) -> bool:
    """Whether a copy's values are changed at all."""
    return numbers["gamma"] != 1 or any(numbers[name] for name in (*_FIELD, "ghosting", "noise"))


def _is_grey(image: Images) -> bool:
    """Whether all channels are the same, and one is enough to compute."""
    return image.shape[2] == 3 and np.array_equal(image[:, :, :2], image[:, :, 1:])


def _add_bias_and_ghosting(xp: Any, scan: Any, numbers: dict[str, float], vertical: Any, horizontal: Any) -> Any:
    """``scan`` (float32 ``[C, H, W]`` in 0..1) with bias field and ghosts.

    ``xp`` is numpy or torch, whose functions used here have the same names; ``vertical`` and ``horizontal`` are
    the field's coordinates, ``[H, 1]`` and ``[1, W]``.
    """
    x, y, xx, xy, yy = (numbers[name] for name in _FIELD)
    if x or y or xx or xy or yy:
        # As factors of rows and columns as far as possible: an exponential of each pixel takes longest.
        rows, columns = xp.exp(y * vertical + yy * vertical**2), xp.exp(x * horizontal + xx * horizontal**2)
        field = xp.exp(xy * vertical * horizontal) * rows * columns
        scan = scan * (field / field.mean())
    if numbers["ghosting"] > 0:
        scan = _add_ghosting(
            xp, scan, numbers["ghosting"], int(numbers["ghosts"]), 1 if numbers["ghosts_vertical"] else 2
        )
    if xp is np:
        return scan.astype(np.float32)
    return scan.float()


def _add_ghosting(xp: Any, scan: Any, share: float, every: int, axis: int) -> Any:
    """``scan`` with every ``every``-th line of k-space along ``axis`` weakened by ``share``, the middle ones not."""
    side = scan.shape[axis]
    spectrum = xp.fft.rfft(scan, None, axis)
    weights = np.ones(spectrum.shape[axis], np.float32)
    weights[::every] = 1 - share
    weights[: math.ceil(_CENTER * side / 2)] = 1
    shape = [1, 1, 1]
    shape[axis] = -1
    weights = weights.reshape(shape)
    if xp is not np:
        weights = xp.from_numpy(weights).to(scan.device)
    return abs(xp.fft.irfft(spectrum * weights, side, axis))
