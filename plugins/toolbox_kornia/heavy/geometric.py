"""What recipes that only move pixels have in common: everything but the draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toolbox.plugin.protocols import Affine, Augmenter, Params
from toolbox_kornia.heavy.geometry import Matrix, Steps, pixel_matrix
from toolbox_kornia.heavy.warp import Border, Images, Interpolation, warp

if TYPE_CHECKING:
    import torch

_CHANNELS = (1, 3)


class Geometric(Augmenter):
    """A recipe whose parameters are those of :class:`toolbox_kornia.heavy.geometry.Steps`.

    All steps act in the output square: first the source is squashed to it, whatever its shape, and then moved,
    as Keras does. Steps and resize are one matrix, and pixels are sampled once.
    """

    tolerance: ClassVar[float] = 0.5

    def __init__(self, border: Border, interpolation: Interpolation) -> None:
        self.border = border
        self.interpolation = interpolation

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        """Copies of ``images`` by ``params``, one each; see :class:`toolbox.plugin.protocols.Augmenter`.

        There is no filter against aliasing: a source much larger than ``size`` must have been smoothed.

        Raises
        ------
        ValueError: ``images`` is no uint8 ``[N, H, W, C]`` with C of 1 or 3, there are not N ``params``, or
            ``size`` is less than 1.
        UsageError: ``params`` that no recipe of this kind can have drawn.
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images must be a uint8 array [N, H, W, C], not {_described(images)}")
        count, height, width, channels = images.shape
        _check(count, height, width, channels, params, size)
        return warp(images, _matrices(params, height, width, size), size, self.border, self.interpolation)

    def affine(self, params: Params) -> Affine | None:
        """See :class:`toolbox.plugin.protocols.Augmenter`.

        Raises
        ------
        UsageError: as :meth:`apply`.
        """
        a, b, c, d, e, f = Steps.of(params).matrix()[:2].ravel().tolist()
        return Affine((a, b, c, d, e, f), self.border, self.interpolation)

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """:meth:`apply` for a uint8 tensor ``[N, C, H, W]`` on any device; the result stays there.

        Raises
        ------
        ValueError, UsageError: as :meth:`apply`.
        """
        import torch

        if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"images must be a uint8 tensor [N, C, H, W], not {_described(images)}")
        count, channels, height, width = images.shape
        _check(count, height, width, channels, params, size)
        if count == 0:
            return images.new_empty((0, channels, size, size))
        from toolbox_kornia.heavy.warp_tensor import warp_tensor

        return warp_tensor(images, _matrices(params, height, width, size), size, self.border, self.interpolation)


def _matrices(params: Sequence[Params], height: int, width: int, size: int) -> list[Matrix]:
    return [pixel_matrix(Steps.of(each).matrix(), height, width, size) for each in params]


def _check(count: int, height: int, width: int, channels: int, params: Sequence[Params], size: int) -> None:
    if channels not in _CHANNELS:
        raise ValueError(f"images must have 1 or 3 channels, not {channels}")
    if height < 1 or width < 1:
        raise ValueError(f"images of {width} x {height} pixels have none")
    if len(params) != count:
        raise ValueError(f"{count} images need as many params, not {len(params)}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}")


def _described(images: object) -> str:
    shape, dtype = getattr(images, "shape", None), getattr(images, "dtype", None)
    return type(images).__name__ if shape is None else f"{dtype} {list(shape)}"
