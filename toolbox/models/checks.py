"""What a model of a plugin must build and return; anything else is refused by name."""

from __future__ import annotations

import torch

from toolbox.api.model import BuiltModel, ModelRequest
from toolbox.models.precision import Forward
from toolbox.plugin import guard


def check_built(model: object, built: object, request: ModelRequest) -> BuiltModel:
    """``built``, if it is what :meth:`toolbox.api.model.Model.build` must return.

    Raises
    ------
    ComponentError: it is not.
    """
    if not isinstance(built, BuiltModel) or not isinstance(built.module, torch.nn.Module):
        guard.refuse(model, guard.a_type(built), "a BuiltModel with a module")
    for name, value in built.module.named_parameters():
        if value.device.type != "cpu" or value.dtype != torch.float32:
            guard.refuse(model, f"{name} as {value.dtype} on {value.device}", "float32 on the CPU")
    if len(built.mean) != request.channels or len(built.std) != request.channels:
        guard.refuse(model, f"{len(built.mean)} means and {len(built.std)} deviations", f"{request.channels} of each")
    _check_parts(model, built)
    return built


def guard_forward(module: torch.nn.Module, forward: Forward, classes: int = 0) -> Forward:
    """``forward``, a pass through ``module`` or a part of it, with its output checked.

    The output must be floating point with a row for each image; with ``classes``, logits ``[N, classes]``.

    Raises (when called)
    --------------------
    ComponentError: it raises anything, or returns something else.
    """

    def run(inputs: torch.Tensor) -> torch.Tensor:
        with guard.guard(module):
            output: object = forward(inputs)
        what, expected = ("logits", [len(inputs), classes]) if classes else ("activations", [len(inputs)])
        if not isinstance(output, torch.Tensor):
            guard.refuse(module, guard.a_type(output), f"a tensor of {what}")
        shape = list(output.shape)
        if (shape if classes else shape[:1]) != expected:
            guard.refuse(module, f"{what} of shape {shape}", f"{expected}" if classes else f"{len(inputs)} rows")
        if not output.is_floating_point():
            guard.refuse(module, f"{what} of type {output.dtype}", "floating point")
        if classes and torch.is_grad_enabled() and not output.requires_grad:
            guard.refuse(module, f"{what} without gradients", f"{what} that depend on its parameters")
        return output

    return run


def _check_parts(model: object, built: BuiltModel) -> None:
    names = {name for name, _ in built.module.named_parameters()}
    parts = (built.parts.trunk, built.parts.last, built.parts.head)
    if sum(map(len, parts)) != len(names) or set().union(*parts) != names:
        guard.refuse(model, "parts that miss or repeat a parameter", "each one in one of trunk, last and head")
    blocks = built.parts.blocks
    if blocks and (sum(map(len, blocks)) + len(built.parts.head) != len(names) or blocks[-1] != built.parts.last):
        guard.refuse(model, "blocks that don't divide its trunk", "blocks in order, with the last block at their end")
    if not built.parts.head:
        guard.refuse(model, "an empty head", "a head with parameters")
