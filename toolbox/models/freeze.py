"""What is frozen is frozen to the bit: parameters, and the buffers of BatchNorm with them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import nn


def freeze_all_but(module: nn.Module, trainable: Collection[str], batch_norm: str = "train") -> None:
    """Let gradients flow to the parameters named in ``trainable`` and to no other, and set the mode to match.

    ``module.train()`` would put a frozen BatchNorm back to updating its statistics; so a submodule is put into
    training mode only if all it holds is trained.
    """
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trainable)
    set_training_mode(module, batch_norm)


def set_training_mode(module: nn.Module, batch_norm: str = "train") -> None:
    """Training mode where everything is trained, evaluation mode elsewhere (see :func:`freeze_all_but`).

    With ``batch_norm="frozen"`` BatchNorm layers keep their statistics even where their weights are trained.
    """
    module.eval()
    _train_where_trained(module)
    if batch_norm == "frozen":
        for child in module.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                child.eval()


def _train_where_trained(module: nn.Module) -> None:
    own = list(module.parameters())
    if own and all(parameter.requires_grad for parameter in own):
        module.train()
        return
    for child in module.children():
        _train_where_trained(child)


def frozen_hash(module: nn.Module) -> str:
    """SHA-256 over every parameter that takes no gradient and every buffer of a submodule in evaluation mode."""
    return _hash(_frozen(module))


def hash_of(module: nn.Module, names: Collection[str]) -> str:
    """SHA-256 over the parameters named, and the buffers of all submodules but those that own another parameter."""
    parameters = dict(module.named_parameters())
    others = {name.rpartition(".")[0] for name in parameters if name not in names}
    buffers = {name: buffer for name, buffer in module.named_buffers() if name.rpartition(".")[0] not in others}
    return _hash({name: parameters[name] for name in names} | buffers)


def code_of(model: object) -> str:
    """SHA-256 over the Python files of the package that the class of ``model`` comes from."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    place = Path(package.__file__ or "")
    files = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _hash(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        # A view as bytes: NumPy knows no bfloat16.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _frozen(module: nn.Module) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {
        name: parameter for name, parameter in module.named_parameters() if not parameter.requires_grad
    }
    for prefix, child in module.named_modules():
        if not child.training:
            for name, buffer in child.named_buffers(prefix, recurse=False):
                found[name] = buffer
    return found
