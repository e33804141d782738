"""What this plugin's recipes have in common: everything but what they draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toolbox.api.augmenter import Affine, Augmenter, Params, Scalar
from toolbox.api.errors import UsageError, closest
from toolbox_kornia.heavy.geometry import Matrix, Steps, pixel_matrix
from toolbox_kornia.heavy.warp import Border, Images, Interpolation, warp

if TYPE_CHECKING:
    import torch

_CHANNELS = (1, 3)


class Recipe(Augmenter):
    """Moves pixels, then changes their values.

    All moving is one matrix, in which the resize is contained, and pixels are sampled once. It happens in the
    output square: first the source is squashed to it, whatever its shape, and then moved, as Keras does. The values
    are changed after that, at the output's size. A subclass draws, and overrides what it needs of :meth:`matrix`,
    :meth:`retouch` and :meth:`retouch_tensor`.

    Attributes
    ----------
    moves: whether copies are moved at all; what does not move them has no border and no interpolation of its own.
    """

    moves: bool = True

    def __init__(self, border: Border = "reflect", interpolation: Interpolation = "bilinear") -> None:
        self.border = border
        self.interpolation = interpolation

    def matrix(self, params: Params) -> Matrix:
        """How ``params`` move a picture: float64 ``[3, 3]`` in the unit frame, see :mod:`.geometry`.

        Raises
        ------
        UsageError: ``params`` that no recipe of this kind can have drawn.
        """
        return np.eye(3)

    def retouch(self, image: Images, params: Params) -> Images:
        """The values of one copy, uint8 ``[size, size, C]``; ``image`` may be changed."""
        return image

    def retouch_tensor(self, images: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """:meth:`retouch` for uint8 ``[N, C, size, size]``; a copy's result does not depend on the others."""
        return images

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        """Copies of ``images`` by ``params``, one each; see :class:`toolbox.api.augmenter.Augmenter`.

        There is no filter against aliasing: a source much larger than ``size`` must have been smoothed.

        Raises
        ------
        ValueError: ``images`` is no uint8 ``[N, H, W, C]`` with C of 1 or 3, there are not N ``params``, or
            ``size`` is less than 1.
        UsageError: ``params`` that no recipe of this kind can have drawn.
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images must be a uint8 array [N, H, W, C], not {_describe(images)}")
        count, height, width, channels = images.shape
        _check(count, height, width, channels, params, size)
        matrices = [pixel_matrix(self.matrix(each), height, width, size) for each in params]
        copies = warp(images, matrices, size, self.border, self.interpolation)
        for copy, each in zip(copies, params, strict=True):
            retouched = self.retouch(copy, each)
            if retouched is not copy:
                copy[:] = retouched
        return copies

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """:meth:`apply` for a uint8 tensor ``[N, C, H, W]`` on any device; the result stays there.

        Raises
        ------
        ValueError, UsageError: as :meth:`apply`.
        """
        import torch

        if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"images must be a uint8 tensor [N, C, H, W], not {_describe(images)}")
        count, channels, height, width = images.shape
        _check(count, height, width, channels, params, size)
        if count == 0:
            return images.new_empty((0, channels, size, size))
        from toolbox_kornia.heavy.warp_tensor import warp_tensor

        matrices = [pixel_matrix(self.matrix(each), height, width, size) for each in params]
        with torch.no_grad():
            copies = warp_tensor(images, matrices, size, self.border, self.interpolation)
            return self.retouch_tensor(copies, params)


class Geometric(Recipe):
    """A recipe that only moves pixels, by the parameters of :class:`toolbox_kornia.heavy.geometry.Steps`."""

    tolerance: ClassVar[float] = 0.5

    def matrix(self, params: Params) -> Matrix:
        """See :class:`Recipe`."""
        return Steps.of(params).matrix()

    def affine(self, params: Params) -> Affine | None:
        """See :class:`toolbox.api.augmenter.Augmenter`.

        Raises
        ------
        UsageError: as :meth:`apply`.
        """
        a, b, c, d, e, f = self.matrix(params)[:2].ravel().tolist()
        return Affine((a, b, c, d, e, f), self.border, self.interpolation)


def complete_params(params: Mapping[str, Scalar], neutral: Mapping[str, float]) -> dict[str, float]:
    """``params`` as numbers, with those of ``nothing`` (the names and what each is where it does nothing) for the rest.

    Raises
    ------
    UsageError: an unknown name, or a value that is no finite number.
    """
    for name, value in params.items():
        if name not in neutral:
            raise UsageError(f"no parameter is called {name!r}", closest(name, neutral))
        if isinstance(value, str) or not math.isfinite(value):
            raise UsageError(f"the parameter {name!r} can't be {value!r}", "Give a finite number.")
    return {**neutral, **params}  # type: ignore[dict-item]  # checked above, one by one


def _check(count: int, height: int, width: int, channels: int, params: Sequence[Params], size: int) -> None:
    if channels not in _CHANNELS:
        raise ValueError(f"images must have 1 or 3 channels, not {channels}")
    if height < 1 or width < 1:
        raise ValueError(f"images of {width} x {height} pixels have none")
    if len(params) != count:
        raise ValueError(f"{count} images need as many params, not {len(params)}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}")


def _describe(images: object) -> str:
    shape, dtype = getattr(images, "shape", None), getattr(images, "dtype", None)
    return type(images).__name__ if shape is None else f"{dtype} {list(shape)}"
