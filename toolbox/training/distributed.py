"""Several processes that train one model, started by ``torchrun --nproc-per-node N -m toolbox …``.

A batch is divided among them and the gradients are summed, so that a step is that of one process with the whole
batch, up to the order of sums. The first process alone writes. Every process decodes, caches and validates all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

from toolbox import environment

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """This process's place, from 0, among so many. With one process nothing here does anything."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, indices: torch.Tensor) -> tuple[torch.Tensor, float]:
        """This process's part of a batch, and what its loss counts (0: there was nothing left for it)."""
        mine = indices[self.rank :: self.size]
        return (mine, 1.0) if len(mine) else (indices[:1], 0.0)

    def total(self, *values: torch.Tensor) -> list[torch.Tensor]:
        """Each of ``values`` (scalars on the device), summed over the processes."""
        if self.size == 1:
            return list(values)
        together = torch.stack([value.detach().float() for value in values])
        distributed.all_reduce(together)
        return list(together)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let each process have the sum of all their gradients."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def stop_together(self, wish: bool, device: torch.device) -> None:
        """Raise KeyboardInterrupt in each process if the user stopped any of them."""
        if self.size > 1 and self.total(torch.tensor(float(wish), device=device))[0] > 0:
            raise KeyboardInterrupt

    def agreed(self, value: Callable[[], T]) -> T:
        """What ``value`` gives in the first process, for all."""
        if self.size == 1:
            return value()
        box = [value() if self.first else None]
        distributed.broadcast_object_list(box)
        result: T = box[0]  # type: ignore[assignment]
        return result


ALONE = Team()


@contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """The team that torchrun started, or one of one; processes part when the block ends well."""
    rank, size = environment.process()
    if size == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(rank, size)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def share_statistics(module: nn.Module, device: torch.device) -> bool:
    """Let BatchNorm layers of ``module`` see the whole batch where torch can do that (CUDA); whether they do.

    ``True`` for a module without any.
    """
    layers = [name for name, layer in module.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if device.type == "cuda":
        for name in layers:
            layer = module.get_submodule(name)
            module.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(layer))  # type: ignore[no-untyped-call]
        return True
    return not layers
