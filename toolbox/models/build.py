"""Builds the model that a run wants, with its weights, and says where they came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from toolbox import environment
from toolbox.api.errors import PluginError, UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest
from toolbox.api.progress import Reporter
from toolbox.models import weights
from toolbox.plugin.spec import Spec
from toolbox.settings.schema import Settings

RANDOM = "random"


@dataclass(frozen=True)
class Wanted:
    """A model by its spec, and what it is to be built for."""

    spec: Spec
    model: Model
    request: ModelRequest


def wanted(spec: Spec, model: Model, settings: Settings, classes: int, finetune: bool) -> Wanted:
    """What ``settings`` say of the model: size, channels, head, and whether pretrained weights are wanted."""
    request = ModelRequest(
        classes=classes,
        channels=model.channels,
        size=settings.training.size or model.size,
        head=settings.head.type if finetune else "linear",
        pretrained=finetune and settings.training.pretrained,
    )
    return Wanted(spec, model, request)


def build(wanted: Wanted, settings: Settings, embedded: bool, reporter: Reporter) -> BuiltModel:
    """The model with its weights: a weight file's, the model's pretrained ones, or random.

    On the embedded dataset, and only there, weights that can't be had become random ones, with a warning.

    Raises
    ------
    WeightsUnavailable: they can't be had, and the data are the user's.
    UsageError: the weight file is not what it should be.
    """
    request = wanted.request
    file = _weight_file(wanted, settings)
    if file is not None:
        built = weights.load_into(_built(wanted, replace(request, pretrained=False)), weights.read(file))
    elif not request.pretrained:
        built = _built(wanted, request)
    else:
        try:
            built = _built(wanted, request)
        except WeightsUnavailable as error:
            if not embedded:
                raise
            reporter.warn(f"{error.message}; on the embedded dataset random weights do instead (weights: random)")
            built = _built(wanted, replace(request, pretrained=False))
    _check_parts(built, wanted)
    return built


def device_of(settings: Settings) -> torch.device:
    """The device that ``settings.device`` names; auto takes CUDA, else Apple's mps, else the CPU.

    Raises
    ------
    UsageError: it is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name: str = settings.device
    if name == "auto":
        name = next(found for found, available in there.items() if available)
    if not there[name]:
        raise UsageError(f"there is no {name} device here", "Use --device auto; see 'toolbox doctor'.")
    # Under torchrun each process has a GPU of its own.
    local = os.environ.get("LOCAL_RANK", "0") if environment.process()[1] > 1 else ""
    return torch.device(f"cuda:{local}" if name == "cuda" and local else name)


def _weight_file(wanted: Wanted, settings: Settings) -> Path | None:
    if settings.training.weights:
        return Path(settings.training.weights)
    if not wanted.request.pretrained:
        return None
    names = [wanted.spec.name, *(str(value) for value in wanted.spec.parameters.values() if isinstance(value, str))]
    return weights.find_in_folder(settings.training.weights_dir, names)


def _built(wanted: Wanted, request: ModelRequest) -> BuiltModel:
    # Initial weights follow from the seed alone, whatever was drawn before.
    torch.manual_seed(torch.initial_seed())
    try:
        return wanted.model.build(request)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{wanted.spec} can't be built for {request}: {reason}") from error


def _check_parts(built: BuiltModel, wanted: Wanted) -> None:
    names = {name for name, _ in built.module.named_parameters()}
    parts = (built.parts.trunk, built.parts.last, built.parts.head)
    if sum(map(len, parts)) != len(names) or set().union(*parts) != names:
        raise PluginError(
            f"the model {wanted.spec.name!r} does not put each parameter into one of trunk, last and head"
        )
    blocks = built.parts.blocks
    if blocks and (sum(map(len, blocks)) + len(built.parts.head) != len(names) or blocks[-1] != built.parts.last):
        raise PluginError(
            f"the blocks of the model {wanted.spec.name!r} don't divide its trunk, with the last block at their end"
        )
    if not built.parts.head:
        raise PluginError(f"the model {wanted.spec.name!r} has no head")
