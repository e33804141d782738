"""Find the layer for Grad-CAM: the last one that keeps spatial positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from toolbox.api.model import BuiltModel

MIN_SIDE = 4
"""Preferred minimum side of a map; a coarser map is used only if no layer has a finer one."""

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
        """``output`` with ``as_map`` in place of its map."""
        if self.order == "tokens":
            return torch.cat([output[:, : self.extra], as_map.flatten(2).transpose(1, 2)], 1)
        return as_map if self.order == "channels first" else as_map.permute(0, 2, 3, 1)

    @contextmanager
    def view(self) -> Iterator[nn.Module]:
        """Yield a module that the map passes through, channels first, while the block runs."""
        view = nn.Identity()
        hook = self.module.register_forward_hook(
            lambda module, arguments, output: self.put_back(output, view(self.as_map(output)))
        )
        try:
            yield view
        finally:
            hook.remove()


def find_map_layer(built: BuiltModel, inputs: Tensor) -> Layer | None:
    """Find the last layer of trunk and last block with a map that the output depends on, or ``None``.

    Layers are tried from the last, since families name them differently. The dependence on positions matters for a
    vision transformer that reads its class token: after the last attention, no other token has an effect. A map
    smaller than :data:`MIN_SIDE` (small images) yields to the last one before it of at least that side.
    ``inputs``: float ``[N, channels, H, W]`` with N of at least 2.
    """
    outputs, score = _record_outputs(built, inputs)
    names = list(outputs)
    gradients = torch.autograd.grad(score, [outputs[name] for name in names], allow_unused=True)
    modules = dict(built.module.named_modules())
    widths = [output.shape[2] for output in outputs.values() if output.ndim == 3]
    coarser = None
    for name, gradient in zip(reversed(names), reversed(gradients), strict=True):
        layer = _layer(name, modules[name], outputs[name], len(inputs), widths[-1] if widths else 0)
        if layer and gradient is not None and bool(layer.as_map(gradient).any()):
            if layer.side >= MIN_SIDE:
                return layer
            coarser = coarser or layer
    return coarser


def _record_outputs(built: BuiltModel, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Record the outputs of the layers of trunk and last block, in call order; also return the sum of top logits."""
    body = built.parts.trunk | built.parts.last
    outputs: dict[str, Tensor] = {}

    def make_hook(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs_: object, output: object) -> None:
            outputs.pop(name, None)
            if isinstance(output, Tensor) and output.requires_grad:
                outputs[name] = output

        return hook

    hooks = []
    for name, module in built.module.named_modules():
        own = {f"{name}.{inner}" for inner, _ in module.named_parameters()}
        if name and own and own <= body:
            hooks.append(module.register_forward_hook(make_hook(name)))
    try:
        with torch.enable_grad():
            score = built.module(inputs.clone().requires_grad_()).max(1).values.sum()
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, score


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
