"""Optimizers, and the learning rate of every step as a function of the step alone: a schedule has no state."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from toolbox.training.stages import Stage

_SCALE = "scale"
"""The key of a parameter group's factor on the learning rate."""


def lr_factor(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """The factor on the learning rate at ``step`` of a stage (counted from 0).

    With ``epoch`` counted from 0:

    - constant: 1
    - exponential: (1 - decay)^epoch. Keras' ExponentialDecay with decay_rate = 1 - decay, in a staircase.
    - inverse-time: 1 / (1 + decay · step). What ``decay`` of Keras' SGD means: study B's is 0.002.
    - cosine: (1 + cos(π · epoch / epochs)) / 2. Loshchilov and Hutter, "SGDR", 2017, without restarts.
    - step: step_factor^floor(epoch / step_epochs)

    Warm-up multiplies any of them by (step + 1) / W over its W steps. Goyal et al., "Accurate, large minibatch SGD",
    2017.
    """
    settings, epoch = stage.settings, step // steps_per_epoch
    epochs = max(1, stage.count_steps(steps_per_epoch) / steps_per_epoch)
    warmup_steps = settings.warmup_epochs * steps_per_epoch + settings.warmup_steps
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    match settings.schedule:
        case "constant":
            return warmup
        case "exponential":
            return warmup * (1 - settings.decay) ** epoch
        case "inverse-time":
            return warmup * (1 / (1 + settings.decay * step))
        case "cosine":
            return warmup * ((1 + math.cos(math.pi * epoch / epochs)) / 2)
        case "step":
            return warmup * settings.step_factor ** (epoch // settings.step_epochs)


def make_optimizer(
    module: nn.Module, stage: Stage, lr_scales: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """The stage's optimizer over the parameters of ``module`` that require gradients.

    ``lr_scales``: factors on the learning rate by parameter name; 1 for any other.
    """
    settings = stage.settings
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((lr_scales or {}).get(name, 1.0), []).append(parameter)
    # The group nearest to the head comes first: its learning rate is the one that metrics and messages state.
    parameters = [
        {"params": groups[scale], "lr": settings.lr * scale, _SCALE: scale} for scale in sorted(groups, reverse=True)
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            settings.lr,
            settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, settings.lr, weight_decay=settings.weight_decay)


def set_lr(optimizer: torch.optim.Optimizer, stage: Stage, step: int, steps_per_epoch: int) -> float:
    """Set the learning rates for ``step`` (see :func:`lr_factor`); returns the stage's, before any group's scale."""
    lr = stage.settings.lr * lr_factor(stage, step, steps_per_epoch)
    for group in optimizer.param_groups:
        group["lr"] = lr * group[_SCALE]
    return lr
