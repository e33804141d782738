"""The ``small-cnn`` model."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from pydantic import Field

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest, Parts, Stages


class SmallCnn(Model):
    """Three blocks of convolution, BatchNorm, ReLU and pooling, then the head; from scratch, quick on a CPU.

    The last block is the third. Input is scaled to a mean of 0 and a deviation of 1 for values that are uniform.
    There are no pretrained weights.
    """

    size = 32
    channels = 1

    def __init__(
        self, *, width: Annotated[int, Field(ge=1, le=512, description="filters of the first block; then twice")] = 16
    ) -> None:
        self.width = width

    def build(self, request: ModelRequest) -> BuiltModel:
        """See :class:`toolbox.api.model.Model`."""
        if request.pretrained:
            raise WeightsUnavailable("small-cnn has no pretrained weights", "Use 'toolbox train small-cnn'.")
        if request.size < 8:
            raise UsageError(f"small-cnn needs 8 pixels a side, not {request.size}", "Set training.size.")
        from torch import nn

        from toolbox.api.heads import DenseHead, parse_head

        plan = parse_head(request.head)
        blocks, before = [], request.channels
        for after in (self.width, 2 * self.width, 4 * self.width):
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)))
            before = after
        whole = plan is not None and not plan.pooled  # "flatten-N" is a dense layer on all features, not pooled ones
        if not whole:
            blocks[-1].append(nn.AdaptiveAvgPool2d(1))
        features = before * (request.size // 8) ** 2 if whole else before
        head = DenseHead(features, plan.hidden if plan else (), request.classes)
        trunk, last = nn.Sequential(*blocks[:2]), blocks[2]
        module = nn.Sequential(OrderedDict(trunk=trunk, last=last, head=head))
        names = [name for name, _ in module.named_parameters()]

        def of(prefix: str) -> frozenset[str]:
            return frozenset(name for name in names if name.startswith(f"{prefix}."))

        return BuiltModel(
            module=module,
            parts=Parts(of("trunk"), of("last"), of("head"), blocks=(of("trunk.0"), of("trunk.1"), of("last"))),
            mean=(0.5,) * request.channels,
            std=(0.29,) * request.channels,
            stages=Stages(trunk, last, head),
        )
