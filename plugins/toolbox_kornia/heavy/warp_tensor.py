"""The one resampling, for tensors on any device."""

from __future__ import annotations

import numpy as np
import torch
from kornia.geometry import warp_affine

from toolbox_kornia.heavy.geometry import Matrix
from toolbox_kornia.heavy.warp import Border, Interpolation

_PADDING_MODES: dict[Border, str] = {"reflect": "reflection", "replicate": "border", "constant": "zeros"}


@torch.no_grad()
def warp_tensor(
    images: torch.Tensor, matrices: list[Matrix], size: int, border: Border, interpolation: Interpolation
) -> torch.Tensor:
    """:func:`toolbox_kornia.heavy.warp.warp` for a uint8 tensor ``[N, C, H, W]``, by kornia's ``warp_affine``.

    The result, uint8 ``[N, C, size, size]``, is on the device of ``images``.
    """
    # Single precision is made here, not there: mps has no double.
    forward = torch.from_numpy(np.stack(matrices)[:, :2].astype(np.float32)).to(images.device)
    warped = warp_affine(
        images.float(),
        forward,
        (size, size),
        mode=interpolation,
        padding_mode=_PADDING_MODES[border],
        # Mirrors about the pixels' edge, not their centre; the matrix is in pixels either way.
        align_corners=False,
    )
    result: torch.Tensor = warped.round_().clamp_(0, 255).to(torch.uint8)
    return result
