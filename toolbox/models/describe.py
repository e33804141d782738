"""What to know about a model before training it, without its weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from toolbox.api.model import Model, ModelRequest
from toolbox.models.build import ModelConfig, build_model
from toolbox.plugin.spec import Spec


def outline(spec: Spec, model: Model) -> dict[str, Any]:
    """Input, normalization, and the modules of trunk, last block and head of a two-class ``model``.

    ``blocks``: the modules of each block of trunk and last block, in order from the input; empty if unknown.
    """
    request = ModelRequest(classes=2, channels=model.channels, size=model.size)
    built = build_model(ModelConfig(spec, model, request))
    sizes = {name: parameter.numel() for name, parameter in built.module.named_parameters()}
    parts = {
        part: {"modules": _smallest_cover(names, sizes), "parameters": sum(sizes[name] for name in names)}
        for part, names in (("trunk", built.parts.trunk), ("last", built.parts.last), ("head", built.parts.head))
    }
    return {
        "size": request.size,
        "channels": request.channels,
        "mean": list(built.mean),
        "std": list(built.std),
        "weights": model.weights_name,
        "blocks": [_smallest_cover(names, sizes) for names in built.parts.blocks],
        **parts,
    }


def _smallest_cover(names: frozenset[str], everything: Collection[str]) -> list[str]:
    """The fewest modules (or single parameters) that hold ``names`` and nothing else of ``everything``."""
    others = set(everything) - names
    mixed = {"", *(prefix for name in others for prefix in _prefixes(name))}
    cover = {next(prefix for prefix in _prefixes(name) if prefix not in mixed) for name in names}
    return sorted(cover, key=lambda name: [part.zfill(5) if part.isdecimal() else part for part in name.split(".")])


def _prefixes(name: str) -> list[str]:
    """``a``, ``a.b``, ``a.b.c`` for ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
