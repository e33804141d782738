"""Freezing to the bit: parameters, and the buffers of BatchNorm with them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import nn


def freeze_all_but(module: nn.Module, trainable: Collection[str], batch_norm: str = "train") -> None:
    """Require gradients of the parameters named in ``trainable`` and of no other, and set the modes to match."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trainable)
    set_training_mode(module, batch_norm)


def set_training_mode(module: nn.Module, batch_norm: str = "train") -> None:
    """Training mode for submodules whose parameters all require gradients, evaluation mode elsewhere.

    ``module.train()`` would let a frozen BatchNorm update its statistics. With ``batch_norm="frozen"`` BatchNorm layers
    keep their statistics even where their weights are trained.
    """
    module.eval()
    _train_where_trainable(module)
    if batch_norm == "frozen":
        for child in module.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                child.eval()


def _train_where_trainable(module: nn.Module) -> None:
    parameters = list(module.parameters())
    if parameters and all(parameter.requires_grad for parameter in parameters):
        module.train()
        return
    for child in module.children():
        _train_where_trainable(child)


def hash_frozen(module: nn.Module) -> str:
    """SHA-256 over every parameter that requires no gradient and every buffer of a submodule in evaluation mode."""
    tensors = {name: parameter for name, parameter in module.named_parameters() if not parameter.requires_grad}
    buffers: dict[str, torch.Tensor] = {}
    for prefix, child in module.named_modules():
        if not child.training:
            buffers.update(child.named_buffers(prefix, recurse=False))
    return _hash(tensors | buffers)


def hash_parameters(module: nn.Module, names: Collection[str]) -> str:
    """SHA-256 over the parameters ``names``, and the buffers of all submodules but those with another parameter."""
    parameters = dict(module.named_parameters())
    others = {name.rpartition(".")[0] for name in parameters if name not in names}
    buffers = {name: buffer for name, buffer in module.named_buffers() if name.rpartition(".")[0] not in others}
    return _hash({name: parameters[name] for name in names} | buffers)


def hash_code(model: object) -> str:
    """SHA-256 over the Python files of the package that defines the class of ``model``."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    path = Path(package.__file__ or "")
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _hash(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        # Viewed as bytes because NumPy has no bfloat16.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
