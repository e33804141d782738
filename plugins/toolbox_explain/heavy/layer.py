"""Finds the layer that Grad-CAM looks at: the last one that still knows where in the image it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from toolbox.api.model import BuiltModel

ENOUGH = 4
"""Places a side from which on a map tells of places; a coarser one is taken only where there is no such map."""

Order = Literal["channels first", "channels last", "tokens"]


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a square map of ``side`` × ``side`` places.

    ``order``: the output is ``[N, C, side, side]``, ``[N, side, side, C]``, or a row of tokens ``[N, extra + side²,
    C]`` of which the ``extra`` first ones (a class token) are of no place.
    """

    name: str
    module: nn.Module
    order: Order
    side: int
    extra: int = 0

    def as_map(self, output: Tensor) -> Tensor:
        """``output`` as ``[N, C, side, side]``."""
        if self.order == "tokens":
            return output[:, self.extra :].transpose(1, 2).reshape(len(output), -1, self.side, self.side)
        return output if self.order == "channels first" else output.permute(0, 3, 1, 2)

    def put_back(self, output: Tensor, as_map: Tensor) -> Tensor:
        """``output`` with what :meth:`as_map` took out of it."""
        if self.order == "tokens":
            return torch.cat([output[:, : self.extra], as_map.flatten(2).transpose(1, 2)], 1)
        return as_map if self.order == "channels first" else as_map.permute(0, 2, 3, 1)

    @contextmanager
    def seen(self) -> Iterator[nn.Module]:
        """A layer that the map passes through, channels first, while the block runs."""
        view = nn.Identity()
        hook = self.module.register_forward_hook(
            lambda module, given, output: self.put_back(output, view(self.as_map(output)))
        )
        try:
            yield view
        finally:
            hook.remove()


def find(built: BuiltModel, inputs: Tensor) -> Layer | None:
    """The last layer of trunk and last block with a map on which the answers to ``inputs`` depend; ``None``: no such.

    It is found by trying, since no two families name it alike. That the answer depends on the places matters for a
    vision transformer that reads its class token: after the last attention, no other token does anything. A map of
    fewer than :data:`ENOUGH` places a side (small pictures) gives way to the last one before it that has as many.
    ``inputs``: float ``[N, channels, H, W]`` with N of at least 2.
    """
    called, score = _called(built, inputs)
    names = list(called)
    gradients = torch.autograd.grad(score, [called[name] for name in names], allow_unused=True)
    modules = dict(built.module.named_modules())
    widths = [output.shape[2] for output in called.values() if output.ndim == 3]
    coarser = None
    for name, gradient in zip(reversed(names), reversed(gradients), strict=True):
        layer = _layer(name, modules[name], called[name], len(inputs), widths[-1] if widths else 0)
        if layer and gradient is not None and bool(layer.as_map(gradient).any()):
            if layer.side >= ENOUGH:
                return layer
            coarser = coarser or layer
    return coarser


def _called(built: BuiltModel, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What the layers of trunk and last block give, in the order of their last calls, and the sum of all answers."""
    body = built.parts.trunk | built.parts.last
    called: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, object, object], None]:
        def keep(module: nn.Module, given: object, output: object) -> None:
            called.pop(name, None)
            if isinstance(output, Tensor) and output.requires_grad:
                called[name] = output

        return keep

    hooks = []
    for name, module in built.module.named_modules():
        own = {f"{name}.{inner}" for inner, _ in module.named_parameters()}
        if name and own and own <= body:
            hooks.append(module.register_forward_hook(keeper(name)))
    try:
        with torch.enable_grad():
            score = built.module(inputs.clone().requires_grad_()).max(1).values.sum()
    finally:
        for hook in hooks:
            hook.remove()
    return called, score


def _layer(name: str, module: nn.Module, output: Tensor, count: int, width: int) -> Layer | None:
    """``module`` as a layer with a map, if its ``output`` is one. ``width``: of the tokens that a block passes on."""
    shape = output.shape
    if len(shape) not in (3, 4) or shape[0] != count:
        return None
    if len(shape) == 4:
        if shape[2] == shape[3] > 1:
            return Layer(name, module, "channels first", shape[2])
        return Layer(name, module, "channels last", shape[1]) if shape[1] == shape[2] > 1 else None
    # Inside an attention there are wider rows: queries, keys and values side by side.
    side = math.isqrt(shape[1])
    return Layer(name, module, "tokens", side, shape[1] - side**2) if side > 1 and shape[2] == width else None
