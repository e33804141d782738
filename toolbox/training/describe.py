"""Says of a model what a user must know before training it, without its weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolbox.plugin.protocols import Model, ModelRequest
from toolbox.plugin.spec import Spec
from toolbox.progress import SilentReporter
from toolbox.settings.schema import Settings
from toolbox.training import build
from toolbox.training.build import Wanted


def outline(spec: Spec, model: Model) -> dict[str, Any]:
    """Input, normalisation, and the modules of trunk, last block and head of a two-class ``model``."""
    request = ModelRequest(classes=2, channels=model.channels, size=model.size)
    built = build.build(Wanted(spec, model, request), Settings(), False, SilentReporter())
    sizes = {name: parameter.numel() for name, parameter in built.module.named_parameters()}
    parts = {
        part: {"modules": covering(names), "parameters": sum(sizes[name] for name in names)}
        for part, names in (("trunk", built.parts.trunk), ("last", built.parts.last), ("head", built.parts.head))
    }
    return {
        "size": request.size,
        "channels": request.channels,
        "mean": list(built.mean),
        "std": list(built.std),
        "weights": model.weights_name,
        **parts,
    }


def covering(names: Iterable[str]) -> list[str]:
    """The modules that ``names`` (of parameters) belong to, two levels deep: enough to recognise a block."""
    modules: dict[str, None] = {}
    for name in names:
        path = name.split(".")[:-1] or [name]
        modules[".".join(path[:2] if len(path) > 1 and path[1].isdecimal() else path[:1])] = None
    return sorted(modules, key=lambda name: [(part.zfill(5) if part.isdecimal() else part) for part in name.split(".")])
