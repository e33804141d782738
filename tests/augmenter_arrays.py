"""What tests of augmenters share: draws by seed, noise, and the ways between arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from toolbox.api.augmenter import Augmenter, ImageInfo, Params

Images = npt.NDArray[np.uint8]


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def draws(augmenter: Augmenter, count: int, channels: int = 3) -> list[Params]:
    """Parameters of ``count`` copies of a photo, one for each seed from 0."""
    return [augmenter.draw(generator(seed), ImageInfo(375, 500, channels)) for seed in range(count)]


def noise(*shape: int) -> Images:
    """The hardest picture for a resampling: neighbours have nothing to do with each other."""
    return generator(0).integers(0, 256, shape, dtype=np.uint8)


def as_tensor(images: Images) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def as_array(images: torch.Tensor) -> Images:
    array: Images = images.permute(0, 2, 3, 1).numpy()
    return array


def off(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean absolute difference of a pixel, in grey levels."""
    return float(np.abs(a.astype(float) - b.astype(float)).mean())
