"""The model ``sketch``. This module imports torch; it is itself imported when the model is used, and not before."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest, Parts, Stages


class SketchModel(Model):
    """Three small blocks of convolutions, pooled; one linear layer as the head."""

    size = 64
    channels = 3

    def __init__(
        self, *, filters: Annotated[int, Field(ge=1, le=512, description="filters of the first block")] = 16
    ) -> None:
        self.filters = filters

    def build(self, request: ModelRequest) -> BuiltModel:
        """The module for a task. The weights are drawn from torch's generator, which the toolbox has seeded."""
        if request.pretrained:
            raise WeightsUnavailable("sketch has no pretrained weights", "Train it from scratch: toolbox train.")
        if request.head != "linear":
            raise UsageError(f"sketch has no head {request.head!r}", "Set head.type to linear.")
        module = Net(request.channels, self.filters, request.classes)
        return BuiltModel(
            module=module,
            # Trunk, last block and head: every parameter in exactly one of them.
            parts=Parts(_names(module, "trunk"), _names(module, "last"), _names(module, "head")),
            mean=(0.5,) * request.channels,
            std=(0.5,) * request.channels,
            stages=Stages(module.trunk, module.last, module.head),
        )


class Net(nn.Module):
    """Float ``[N, channels, H, W]`` to logits ``[N, classes]``."""

    def __init__(self, channels: int, filters: int, classes: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(_block(channels, filters), _block(filters, 2 * filters))
        self.last = nn.Sequential(_block(2 * filters, 4 * filters), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4 * filters, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for ``images``."""
        logits: torch.Tensor = self.head(self.last(self.trunk(images)))
        return logits


def _block(channels: int, filters: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


def _names(module: nn.Module, part: str) -> frozenset[str]:
    return frozenset(name for name, _ in module.named_parameters() if name.startswith(f"{part}."))
