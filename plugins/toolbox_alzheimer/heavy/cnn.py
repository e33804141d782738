"""The three networks of study A."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from toolbox.api.errors import UsageError
from toolbox.api.heads import DenseHead, parse_head
from toolbox.api.model import BuiltModel, ModelRequest, Parts, Stages
from toolbox_alzheimer.model import AlzheimerModel, Init, Variant


@dataclass(frozen=True)
class Plan:
    """A network's shape: for each convolution, whether pooling follows it; units of the dense layers."""

    pooled: tuple[bool, ...]
    dense: tuple[int, ...]


PLANS: dict[Variant, Plan] = {
    "proposed": Plan(pooled=(True, True, True, True), dense=(128, 64)),
    "test-1": Plan(pooled=(True, True), dense=(128,)),
    "test-2": Plan(pooled=(False, True), dense=(128, 64)),
}

WEIGHTS: dict[Init, Callable[[torch.Tensor], object]] = {
    "glorot-uniform": nn.init.xavier_uniform_,
    "glorot-normal": nn.init.xavier_normal_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
}
"""What fills a weight, for every ``init`` but ``pytorch``."""


class AlzheimerCNN(nn.Module):
    """Convolution blocks (``trunk``, then ``last``), then dense layers (``head``).

    Takes float ``[N, channels, H, W]`` in [0, 1], gives logits ``[N, classes]``.
    """

    def __init__(self, trunk: nn.Module, last: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.last = last
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for ``images``."""
        logits: torch.Tensor = self.head(self.last(self.trunk(images)))
        return logits


def build(model: AlzheimerModel, request: ModelRequest) -> BuiltModel:
    """``model`` for ``request``; what is checked before torch is there, :meth:`AlzheimerModel.build` has checked."""
    plan = PLANS[model.variant]
    *trunk, last = _blocks(plan, request.channels, model.filters)
    side = request.size >> sum(plan.pooled)
    dense, pooled = _dense(model, plan, request.head)
    features = model.filters * (1 if pooled else side**2)
    head = DenseHead(features, dense, request.classes, model.dropout)
    if pooled:
        last = nn.Sequential(*last, nn.AdaptiveAvgPool2d(1))
    module = AlzheimerCNN(nn.Sequential(*trunk), last, head)
    if model.init != "pytorch":
        _initialise(module, WEIGHTS[model.init], model.bias)
    return BuiltModel(
        module=module,
        parts=Parts(
            trunk=_names(module, "trunk"),
            last=_names(module, "last"),
            head=_names(module, "head"),
            blocks=(*(_names(module, f"trunk.{index}") for index in range(len(trunk))), _names(module, "last")),
        ),
        mean=(0.0,) * request.channels,
        std=(1.0,) * request.channels,
        stages=Stages(module.trunk, module.last, module.head),
    )


def _blocks(plan: Plan, channels: int, filters: int) -> list[nn.Sequential]:
    widths = pairwise([channels, *[filters] * len(plan.pooled)])
    return [_block(*ends, pooled) for ends, pooled in zip(widths, plan.pooled, strict=True)]


def _block(channels: int, filters: int, pooled: bool) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, kernel_size=3, padding="same")
    # The study has ReLU before the pooling. The maximum and its gradients are the same to the bit, of a quarter of the
    # values.
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.ReLU()) if pooled else nn.Sequential(convolution, nn.ReLU())


def _dense(model: AlzheimerModel, plan: Plan, name: str) -> tuple[Sequence[int], bool]:
    """Units of the dense layers, and whether the features before them are pooled."""
    head = parse_head(name)
    if head is None:
        return plan.dense if model.dense is None else model.dense, False
    if model.dense is not None:
        raise UsageError(
            f"alzheimer-cnn is given dense layers twice: dense={model.dense} and the head {name!r}",
            "Leave out 'dense', or set head.type to linear.",
        )
    return head.hidden, head.pooled


def _initialise(module: nn.Module, fill: Callable[[torch.Tensor], object], bias: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            fill(layer.weight)
            nn.init.constant_(layer.bias, bias)


def _names(module: nn.Module, part: str) -> frozenset[str]:
    return frozenset(name for name, _ in module.named_parameters() if name.startswith(f"{part}."))
