"""The augmenter ``sketch``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from toolbox.api.augmenter import Augmenter, ImageInfo, Params

if TYPE_CHECKING:
    import torch

MIDDLE = 127.5


class SketchAugmenter(Augmenter):
    """Copies that are brighter or darker than their source, and of more or less contrast."""

    def __init__(
        self,
        *,
        strength: Annotated[float, Field(ge=0, le=1, description="how far at most; 0 leaves pictures alone")] = 0.2,
    ) -> None:
        self.strength = strength

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """What one copy is made with: plain numbers, so that it can be made again from them."""
        return {
            "brightness": float(rng.uniform(-self.strength, self.strength)),
            "contrast": float(rng.uniform(1 - self.strength, 1 + self.strength)),
        }

    def apply(self, images: npt.NDArray[np.uint8], params: Sequence[Params], size: int) -> npt.NDArray[np.uint8]:
        """Copies of ``images``, uint8 ``[N, H, W, C]``: resized, then changed."""
        copies = np.stack([_resized(image, size) for image in images]).astype(np.float32)
        for copy, each in zip(copies, params, strict=True):
            copy += float(each["brightness"]) * 255 - MIDDLE
            copy *= float(each["contrast"])
            copy += MIDDLE
        return np.rint(np.clip(copies, 0, 255)).astype(np.uint8)

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """The same for uint8 ``[N, C, H, W]``, on the tensor's device."""
        import torch
        from torch.nn.functional import interpolate

        def column(name: str) -> torch.Tensor:
            values = [float(each[name]) for each in params]
            return torch.tensor(values, device=images.device)[:, None, None, None]

        copies = interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
        copies = (copies.round() + column("brightness") * 255 - MIDDLE) * column("contrast") + MIDDLE
        return copies.clamp(0, 255).round().to(torch.uint8)


def _resized(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """``image``, uint8 ``[H, W, C]``, as a square."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    resized = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return resized.reshape(size, size, image.shape[2])
