"""From pixels to what a model takes: the one place with this arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


class Normalize(nn.Module):
    """Maps images, uint8 ``[B, C, H, W]`` in 0..255, to float32 ``(value / 255 - mean) / std``.

    ``mean`` and ``std``: one value per channel, for values in [0, 1].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1) * 255)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The normalized images, channels-last in memory if ``images`` are."""
        return (images.float() - self.mean) / self.std


def to_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Images, uint8 ``[B, H, W, C]``, as a uint8 tensor ``[B, C, H, W]`` on ``device``, channels-last in memory."""
    return torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)
