"""What the factory of an augmenter returns: one that makes copies, or one that mixes batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

Scalar = bool | int | float | str
Params = dict[str, Scalar]
"""What one copy was made with: plain JSON scalars, so that a lineage line is enough to make it again."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an augmenter may know of a source when it draws: ``height`` and ``width`` in pixels, ``channels``."""

    height: int
    width: int
    channels: int


Border = Literal["reflect", "replicate", "constant"]
"""What lies outside a picture: its mirror image about the pixels' edge, its outermost pixels, or black."""

Interpolation = Literal["bilinear", "bicubic", "nearest"]
"""Between pixels: a linear mixture of the four around, a cubic one of the sixteen around, or the nearest one."""


@dataclass(frozen=True, slots=True)
class Affine:
    """A copy that is its source moved and sampled once, and nothing else.

    ``matrix`` holds (a, b, c, d, e, f): a point (x, y) of the source goes to (a x + b y + c, d x + e y + f) of the
    copy. Source and copy are both squares whose centre is 0 and whose sides run from -1/2 to 1/2, x to the right and
    y downwards: the resize is no part of it, and it holds for any number of pixels.
    """

    matrix: tuple[float, float, float, float, float, float]
    border: Border = "reflect"
    interpolation: Interpolation = "bilinear"


class Augmenter(ABC):
    """Draws parameters, then applies them. The division makes lineage, replay and batching possible."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """Parameters for one copy: JSON scalars that depend on ``rng`` and ``info`` alone.

        ``rng`` is counter-based and keyed by (seed, the source's pixel hash, copy number). Fields (of noise, of
        displacement) are drawn as a seed for ``apply``, never as a field.
        """

    @abstractmethod
    def apply(self, images: npt.NDArray[np.uint8], params: Sequence[Params], size: int) -> npt.NDArray[np.uint8]:
        """Copies of ``images`` by ``params``, one each.

        ``images``: uint8 ``[N, H, W, C]`` in 0..255 with C of 1 or 3, as the sources are; ``params``: N dicts
        of :meth:`draw`. Returns uint8 ``[N, size, size, C]``. A copy depends on its own image and params alone,
        not on its batch. The aspect ratio is not kept: the whole source is mapped onto the square.
        """

    @abstractmethod
    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """:meth:`apply` for a uint8 tensor ``[N, C, H, W]`` on any device; the result stays on that device.

        Agrees with :meth:`apply` within ``tolerance`` grey levels, a pixel's mean absolute difference.
        """

    def affine(self, params: Params) -> Affine | None:
        """The copy by ``params`` as one affine map, where it is nothing else; ``None`` (the default) where it is more.

        Must agree with :meth:`apply`, within ``tolerance``. Copies that are affine maps are written as JPEG a third
        faster: the toolbox samples the planes that JPEG holds (brightness, and colours at half the resolution), so
        that nothing is converted for each copy.
        """
        return None

    tolerance: ClassVar[float] = 1.0
    """Grey levels (of 255) by which :meth:`apply` and :meth:`apply_tensor` may differ on average."""

    neutral: ClassVar[Mapping[str, Any]] = {}
    """Parameters of the factory with which every copy is its source, resized (``{"rotation": 0}``); empty where no
    parameters are that. The conformance kit holds an augmenter to it."""


class MixingAugmenter(ABC):
    """Mixes the images of a batch, and their targets with them; only while training (``--train-on online``).

    A component of the kind augmenter, as :class:`Augmenter` is, but there are no copies to keep: what an image
    becomes depends on its neighbours.
    """

    @abstractmethod
    def draw_batch(self, rng: np.random.Generator, count: int, info: ImageInfo) -> Params:
        """Parameters for a batch of ``count`` images: JSON scalars that depend on the arguments alone.

        ``rng`` is counter-based and keyed by (seed, epoch, number of the batch).
        """

    @abstractmethod
    def mix(self, images: torch.Tensor, targets: torch.Tensor, params: Params) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch, mixed by ``params``, on the device of ``images``.

        ``images``: float ``[N, C, H, W]``, normalised or not; ``targets``: float ``[N, K]``, rows sum to 1 (one-hot
        as a rule). Returns both, of the same shapes and types; rows of the targets sum to 1 still.
        """
