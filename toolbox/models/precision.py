"""The precision of the forward pass: bf16 where the device gains by it; and ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable

import torch

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.settings.schema import TrainingSettings

Forward = Callable[[torch.Tensor], torch.Tensor]
"""A forward pass, or a part of one."""


def resolve_precision(settings: TrainingSettings, device: torch.device) -> str:
    """``bf16`` or ``float32``: what ``training.precision`` means on ``device``.

    auto is bf16 on CUDA devices with bf16 instructions and on Apple's mps, float32 elsewhere.

    Raises
    ------
    UsageError: bf16 is set on a processor without bf16 instructions.
    """
    if settings.precision == "bf16" and device.type == "cpu" and not cpu_has_bf16():
        raise UsageError(
            "this processor has no bf16 instructions (AVX512-BF16 or AMX): it would be slower",
            "Set training.precision to float32.",
        )
    if settings.precision != "auto":
        return settings.precision
    cuda_has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if cuda_has_bf16 or device.type == "mps" else "float32"


def cast(forward: Forward, precision: str, device: torch.device) -> Forward:
    """``forward`` with autocast if ``precision`` is bf16; it returns float32 in any case."""
    if precision != "bf16":
        return forward

    def forward_in_bf16(inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return forward(inputs).float()

    return forward_in_bf16


def compile_forward(forward: Forward) -> Forward:
    """``forward`` through ``torch.compile``; compiles on the first call.

    Raises (when called)
    --------------------
    EnvironmentFailure: it can't be compiled here (no C++ compiler, a model that torch.compile does not support).
    """
    compiled: Forward = torch.compile(forward)

    def run(inputs: torch.Tensor) -> torch.Tensor:
        try:
            return compiled(inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = " ".join(str(error).split())[:300]
            raise EnvironmentFailure(f"the model can't be compiled: {reason}", "Run without --compile.") from error

    return run


def cpu_has_bf16() -> bool:
    """Whether this processor has bf16 instructions."""
    # torch has no public name for this.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
