"""Data-parallel training: several processes, started by ``torchrun --nproc-per-node N -m toolbox …``.

Each batch is divided among the processes and the gradients are summed, so a step equals that of one process with the
whole batch, up to the order of floating-point sums. Only the first process writes files. Every process decodes,
caches and validates all data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

from toolbox.settings import environment

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """This process's ``rank`` (from 0) among ``size`` processes. With one process every method is a no-op."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def shard(self, indices: torch.Tensor) -> tuple[torch.Tensor, float]:
        """This process's part of a batch, and the weight of its loss (0 for a filler: the batch is too small)."""
        own = indices[self.rank :: self.size]
        return (own, 1.0) if len(own) else (indices[:1], 0.0)

    def sum(self, *values: torch.Tensor) -> list[torch.Tensor]:
        """Each of ``values`` (scalars on the device), summed over the processes."""
        if self.size == 1:
            return list(values)
        stacked = torch.stack([value.detach().float() for value in values])
        distributed.all_reduce(stacked)
        return list(stacked)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def raise_if_any_stopped(self, stopped: bool, device: torch.device) -> None:
        """Raise KeyboardInterrupt in every process if the user stopped any of them."""
        if self.size > 1 and self.sum(torch.tensor(float(stopped), device=device))[0] > 0:
            raise KeyboardInterrupt

    def broadcast(self, compute: Callable[[], T]) -> T:
        """The result of ``compute`` in the first process, in every process."""
        if self.size == 1:
            return compute()
        box = [compute() if self.is_first else None]
        distributed.broadcast_object_list(box)
        result: T = box[0]  # type: ignore[assignment]  # filled by the first process
        return result


SINGLE_PROCESS = ProcessGroup()


@contextmanager
def process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that torchrun started, or :data:`SINGLE_PROCESS`; waits for all processes at the end."""
    rank, size = environment.rank(), environment.world_size()
    if size == 1:
        yield SINGLE_PROCESS
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(rank, size)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def sync_batch_norm(module: nn.Module, device: torch.device) -> bool:
    """Let BatchNorm layers use statistics of the whole batch, and return whether they do; torch can only on CUDA.

    ``True`` for a module without BatchNorm.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]  # replaces layers in place
        return True
    return not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules())
