"""The batches of an epoch and the weight of each class in the loss, reproducible from the seed."""

from __future__ import annotations

import hashlib

import torch

from toolbox.training.stages import Stage


def epoch_batches(targets: torch.Tensor, stage: Stage, epoch: int) -> list[torch.Tensor]:
    """The batches of an epoch, as indices. A last batch of one joins the one before it: BatchNorm can't take it.

    Each sample once; with ``balance = "sampler"`` as many draws with replacement, each class equally likely. The order
    follows from the stage's seed and name and from ``epoch``.
    """
    generator = torch.Generator().manual_seed(derive_seed(stage.seed, stage.name, epoch))
    count = len(targets)
    if stage.settings.balance == "sampler":
        rarity = 1 / torch.bincount(targets)[targets].float()
        samples = torch.multinomial(rarity, count, replacement=True, generator=generator)
    else:
        samples = torch.randperm(count, generator=generator)
    batches = list(torch.split(samples, stage.settings.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def count_draws(samples: torch.Tensor) -> torch.Tensor:
    """For each of an epoch's ``samples``, in their order, how often it was drawn before: int64 ``[N]``."""
    order = torch.argsort(samples, stable=True)
    ordered = samples[order]
    places = torch.arange(len(samples))
    starts = torch.cat([torch.ones(1, dtype=torch.bool), ordered[1:] != ordered[:-1]])
    draws = torch.empty_like(samples)
    draws[order] = places - torch.cummax(torch.where(starts, places, 0), 0).values
    return draws


def class_weights(targets: torch.Tensor, stage: Stage) -> torch.Tensor:
    """The weight of each class in the loss: float32 ``[classes]``.

    1, or with ``balance = "weights"`` N / (K · count), as scikit-learn's "balanced": 1 on average over the samples. A
    class without samples has weight 1.
    """
    counts = torch.bincount(targets)
    if stage.settings.balance != "weights":
        return torch.ones(len(counts))
    return torch.where(counts > 0, len(targets) / ((counts > 0).sum() * counts.clamp(min=1)), 1.0)


def derive_seed(*parts: object) -> int:
    """A seed for torch (63 bits) derived from ``parts`` by SHA-256."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
