"""What mixes the images of a batch, and their targets with them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from toolbox.api.augmenter import ImageInfo, MixingAugmenter, Params
from toolbox_kornia.heavy.recipe import complete_params

if TYPE_CHECKING:
    import torch

_NEUTRAL = {"share": 1.0, "shift": 0.0, "x": 0.5, "y": 0.5}

Alpha = Annotated[
    float, Field(gt=0, le=100, description="both parameters of the beta distribution of the shares: 1 is uniform")
]


class _Pairing(MixingAugmenter):
    """Each image of a batch meets the one that stands some places further on: never itself, if there is another."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def draw_batch(self, rng: np.random.Generator, count: int, info: ImageInfo) -> Params:
        """share: how much stays of an image; shift: how many places further on its partner stands; x and y."""
        return {
            "share": float(rng.beta(self.alpha, self.alpha)),
            "shift": int(rng.integers(1, count)) if count > 1 else 0,
            "x": float(rng.random()),
            "y": float(rng.random()),
        }


class Mixup(_Pairing):
    """While training, each image becomes a mixture of itself and another of its batch, and so does its class.

    One share for each batch, drawn from Beta(alpha, alpha), is how much stays of each image and of its class; the
    other of the pair stands a drawn number of places further on in the batch, which was shuffled. Training accuracy
    counts an image for its own class. Only with --train-on online: there are no copies to keep.

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond empirical risk minimization", ICLR 2018
    (arXiv:1710.09412), whose alpha for ImageNet is 0.2.
    """

    def __init__(self, *, alpha: Alpha = 0.2) -> None:
        super().__init__(alpha)

    def mix(self, images: torch.Tensor, targets: torch.Tensor, params: Params) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`toolbox.api.augmenter.MixingAugmenter`."""
        numbers = complete_params(params, _NEUTRAL)
        share, shift = numbers["share"], int(numbers["shift"])
        return _blend(images, shift, share), _blend(targets, shift, share)


class Cutmix(_Pairing):
    """While training, a rectangle of each image is another's of its batch, and the class is as much the other's.

    The rectangle has the images' shape and takes 1 - share of their area, with share from Beta(alpha, alpha), one for
    each batch; its centre is uniform over the image, and what sticks out is cut off. Classes are shared by the area
    that is left of it in pixels. The other of the pair stands a drawn number of places further on in the batch, which
    was shuffled. Training accuracy counts an image for its own class. Only with --train-on online: there are no
    copies to keep.

    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix", ICCV 2019 (arXiv:1905.04899), whose alpha is 1.
    """

    def __init__(self, *, alpha: Alpha = 1.0) -> None:
        super().__init__(alpha)

    def mix(self, images: torch.Tensor, targets: torch.Tensor, params: Params) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`toolbox.api.augmenter.MixingAugmenter`."""
        numbers = complete_params(params, _NEUTRAL)
        height, width = images.shape[2:]
        side = math.sqrt(1 - numbers["share"])
        rows = _span(numbers["y"], side, height)
        columns = _span(numbers["x"], side, width)
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        shift = int(numbers["shift"])
        result = images.clone()
        result[:, :, rows, columns] = images.roll(-shift, 0)[:, :, rows, columns]
        return result, _blend(targets, shift, 1 - area / (height * width))


def _blend(values: torch.Tensor, shift: int, share: float) -> torch.Tensor:
    """``share`` of each of ``values``, and the rest of the one ``shift`` places further on."""
    return values * share + values.roll(-shift, 0) * (1 - share)


def _span(centre: float, share: float, side: int) -> slice:
    """The pixels of ``side`` that a part of ``share`` around ``centre`` covers (both of 1)."""
    half = share * side / 2
    return slice(max(0, round(centre * side - half)), min(side, round(centre * side + half)))
