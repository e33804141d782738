"""Optimisers, and the learning rate of every step as a function of the step alone: there is no state to lose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from toolbox.training.stages import Stage

_SCALE = "scale"
"""The key under which a parameter group keeps its share of the learning rate."""


def factor(stage: Stage, step: int, per_epoch: int) -> float:
    """What the learning rate is multiplied by at ``step`` of a stage (from 0), with ``per_epoch`` steps an epoch.

    With ``epoch`` from 0:

    - constant: 1
    - exponential: (1 - decay)^epoch. Keras' ExponentialDecay with decay_rate = 1 - decay, in a staircase.
    - inverse-time: 1 / (1 + decay · step). What ``decay`` of Keras' SGD means: study B's is 0.002.
    - cosine: (1 + cos(π · epoch / epochs)) / 2. Loshchilov and Hutter, "SGDR", 2017, without restarts.
    - step: step_factor^floor(epoch / step_epochs)

    Warm-up multiplies any of them by (step + 1) / W over its W steps. Goyal et al., "Accurate, large minibatch SGD",
    2017.
    """
    warm = stage.warmup_epochs * per_epoch + stage.warmup_steps
    rise = min(1.0, (step + 1) / warm) if warm else 1.0
    return rise * _FACTORS[stage.schedule](stage, step, step // per_epoch)


_FACTORS: dict[str, Callable[[Stage, int, int], float]] = {
    "constant": lambda stage, step, epoch: 1.0,
    "exponential": lambda stage, step, epoch: (1 - stage.decay) ** epoch,
    "inverse-time": lambda stage, step, epoch: 1 / (1 + stage.decay * step),
    "cosine": lambda stage, step, epoch: (1 + math.cos(math.pi * epoch / max(1, stage.epochs))) / 2,
    "step": lambda stage, step, epoch: stage.step_factor ** (epoch // stage.step_epochs),
}


def make_optimizer(module: nn.Module, stage: Stage, scales: Mapping[str, float] | None = None) -> torch.optim.Optimizer:
    """The stage's optimiser over the parameters of ``module`` that take gradients.

    ``scales``: what each one's learning rate is multiplied by, by name; 1 where it says nothing.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((scales or {}).get(name, 1.0), []).append(parameter)
    # The nearest to the head first: its rate is the one that is told.
    parameters = [
        {"params": groups[scale], "lr": stage.lr * scale, _SCALE: scale} for scale in sorted(groups, reverse=True)
    ]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, stage.lr, stage.momentum, weight_decay=stage.weight_decay, nesterov=stage.nesterov
        )
    kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, stage.lr, weight_decay=stage.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, stage: Stage, step: int, per_epoch: int) -> float:
    """Set the learning rates for ``step`` (see :func:`factor`); the stage's own, before any group's share."""
    rate = stage.lr * factor(stage, step, per_epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate * group[_SCALE]
    return rate
