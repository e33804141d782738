"""The changes of :mod:`toolbox_kornia.heavy.values` for uint8 tensors ``[N, C, H, W]`` on any device.

Sums are written out term by term: what a convolution or a matrix product gives in its last bits depends on the size
of the batch, and a copy must not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from toolbox_kornia.heavy import values


def add_noise(images: torch.Tensor, deviations: Sequence[float], seeds: Sequence[int]) -> torch.Tensor:
    """See :func:`.values.add_noise`: the same noise, drawn on the CPU."""
    fields = noise_like(images, seeds, images.shape[1:], channels_last=True)
    return levels(images.float() + fields * column(deviations, images))


def noise_like(
    images: torch.Tensor, seeds: Sequence[int], shape: Sequence[int], channels_last: bool = False
) -> torch.Tensor:
    """Standard Gaussian noise, float32 ``[N, *shape]`` on the device of ``images``, one field for each seed."""
    first, *sides = shape
    if channels_last:
        fields = np.stack([values.noise(seed, *sides, first).transpose(2, 0, 1) for seed in seeds])
    else:
        fields = np.stack([values.noise(seed, *shape) for seed in seeds])
    steps = torch.from_numpy(np.ascontiguousarray(fields)).to(images.device).long()
    return torch.from_numpy(values.GAUSSIAN).to(images.device)[steps]


def gaussian_blur(images: torch.Tensor, sigmas: Sequence[float], reach: int) -> torch.Tensor:
    """See :func:`.values.gaussian_blur`; a sigma for each image."""
    height, width = images.shape[2:]
    squares = torch.arange(-reach, reach + 1, device=images.device) ** 2
    weights = torch.exp(-squares / (2 * column(sigmas, images)[:, 0] ** 2))
    weights = (weights / weights.sum(dim=2, keepdim=True))[:, :, :, None, None]
    # kornia's "reflect" mirrors about the pixels' centre, OpenCV's about their edge: so both by hand.
    smooth = pad_mirrored(images.float(), reach)
    taps = range(2 * reach + 1)
    smooth = sum_of(weights[:, :, tap] * smooth[:, :, tap : tap + height] for tap in taps)
    return levels(sum_of(weights[:, :, tap] * smooth[:, :, :, tap : tap + width] for tap in taps))


def pad_mirrored(images: torch.Tensor, reach: int) -> torch.Tensor:
    """``images`` with ``reach`` pixels more on each side: their mirror image about the pixels' edge."""
    for dimension in (2, 3):
        side = images.shape[dimension]
        at = torch.arange(-reach, side + reach, device=images.device) % (2 * side)
        images = images.index_select(dimension, torch.minimum(at, 2 * side - 1 - at))
    return images


def apply_color_matrix(images: torch.Tensor, matrices: npt.NDArray[np.float64]) -> torch.Tensor:
    """See :func:`.values.apply_color_matrix`; ``matrices`` are ``[N, C, C + 1]``."""
    weights = torch.from_numpy(matrices.astype(np.float32)).to(images.device)
    channels = range(images.shape[1])
    products = sum_of(weights[:, :, channel, None, None] * images[:, channel, None].float() for channel in channels)
    return levels(products + weights[:, :, -1:, None] * 255)


def apply_tables(images: torch.Tensor, tables: npt.NDArray[np.uint8]) -> torch.Tensor:
    """See :func:`.values.apply_tables`; ``tables`` are uint8 ``[N, C, 256]``."""
    lookup = torch.from_numpy(tables).to(images.device)
    return torch.gather(lookup, 2, images.flatten(2).long()).reshape(images.shape)


def histograms(images: torch.Tensor) -> npt.NDArray[np.int64]:
    """See :func:`.values.histograms`: int64 ``[N, C, 256]``."""
    count, channels = images.shape[:2]
    counts = torch.zeros(count, channels, 256, dtype=torch.int64, device=images.device)
    flat = images.flatten(2).long()
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    result: npt.NDArray[np.int64] = counts.cpu().numpy()
    return result


def sharpen(images: torch.Tensor, factors: Sequence[float]) -> torch.Tensor:
    """See :func:`.values.sharpen`; a factor for each image."""
    if min(images.shape[2:]) < 3:
        return images
    inner = images[:, :, 1:-1, 1:-1].float()
    height, width = inner.shape[2:]
    near = [(row, left) for row in range(3) for left in range(3)]
    smooth = sum_of(images[:, :, row : row + height, left : left + width].float() for row, left in near)
    smooth = (smooth + 4 * inner) / 13
    factor = column(factors, images)
    result = images.clone()
    result[:, :, 1:-1, 1:-1] = levels(factor * inner + (1 - factor) * smooth)
    return result


def sum_of(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum, from left to right."""
    return functools.reduce(torch.Tensor.add, terms)


def column(numbers: Sequence[float], images: torch.Tensor) -> torch.Tensor:
    """A number for each image: float32 ``[N, 1, 1, 1]`` on the device of ``images``."""
    return torch.tensor(numbers, dtype=torch.float32, device=images.device).reshape(-1, 1, 1, 1)


def levels(images: torch.Tensor) -> torch.Tensor:
    """Float levels as uint8: to the nearest within 0..255."""
    return images.round().clamp(0, 255).to(torch.uint8)
