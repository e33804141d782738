"""Which samples an epoch takes, in which batches, and what each class counts: by key, the same every time."""

from __future__ import annotations

import hashlib

import torch

from toolbox.training.stages import Stage


def order(targets: torch.Tensor, stage: Stage, seed: int, epoch: int) -> list[torch.Tensor]:
    """The batches of an epoch, as indices. A last batch of one joins its neighbour: BatchNorm can't take it.

    Each sample once; with ``stage.balance == "sampler"`` as many draws with replacement, each class as likely.
    """
    generator = torch.Generator().manual_seed(key(seed, stage.name, epoch))
    count = len(targets)
    if stage.balance == "sampler":
        drawn = torch.multinomial(_rarity(targets), count, replacement=True, generator=generator)
    else:
        drawn = torch.randperm(count, generator=generator)
    batches = list(torch.split(drawn, stage.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def class_weights(targets: torch.Tensor, stage: Stage) -> torch.Tensor:
    """What each class counts in the loss: float32 ``[classes]``.

    1, or with ``stage.balance == "weights"`` N / (K · count), as scikit-learn's "balanced": 1 on average over the
    samples. A class without samples counts 1.
    """
    counts = torch.bincount(targets)
    if stage.balance != "weights":
        return torch.ones(len(counts))
    return torch.where(counts > 0, len(targets) / ((counts > 0).sum() * counts.clamp(min=1)), 1.0)


def _rarity(targets: torch.Tensor) -> torch.Tensor:
    """For each sample, one over how many its class has: float32 ``[N]``."""
    return 1 / torch.bincount(targets)[targets].float()


def key(*parts: object) -> int:
    """A seed for torch (63 bits) that follows from ``parts`` by SHA-256."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
