"""Says of a model what a user must know before training it, without its weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from toolbox.api.model import Model, ModelRequest
from toolbox.api.progress import SilentReporter
from toolbox.models import build
from toolbox.models.build import Wanted
from toolbox.plugin.spec import Spec
from toolbox.settings.schema import Settings


def outline(spec: Spec, model: Model) -> dict[str, Any]:
    """Input, normalisation, and the modules of trunk, last block and head of a two-class ``model``.

    ``blocks``: the modules of each block of trunk and last block, from the input on; empty where it doesn't say.
    """
    request = ModelRequest(classes=2, channels=model.channels, size=model.size)
    built = build.build(Wanted(spec, model, request), Settings(), False, SilentReporter())
    sizes = {name: parameter.numel() for name, parameter in built.module.named_parameters()}
    parts = {
        part: {"modules": covering(names, sizes), "parameters": sum(sizes[name] for name in names)}
        for part, names in (("trunk", built.parts.trunk), ("last", built.parts.last), ("head", built.parts.head))
    }
    return {
        "size": request.size,
        "channels": request.channels,
        "mean": list(built.mean),
        "std": list(built.std),
        "weights": model.weights_name,
        "blocks": [covering(names, sizes) for names in built.parts.blocks],
        **parts,
    }


def covering(names: frozenset[str], everything: Collection[str]) -> list[str]:
    """The fewest modules (or parameters that stand alone) that hold ``names`` and nothing else of ``everything``."""
    others = set(everything) - names
    mixed = {"", *(prefix for name in others for prefix in _prefixes(name))}
    found: dict[str, None] = {}
    for name in names:
        found[next(prefix for prefix in _prefixes(name) if prefix not in mixed)] = None
    return sorted(found, key=lambda name: [part.zfill(5) if part.isdecimal() else part for part in name.split(".")])


def _prefixes(name: str) -> list[str]:
    """``a``, ``a.b``, ``a.b.c`` for ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
