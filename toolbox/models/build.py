"""Builds the model of a run, with its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.models import weights
from toolbox.models.checks import check_built
from toolbox.plugin import guard
from toolbox.plugin.spec import Spec
from toolbox.settings import environment
from toolbox.settings.schema import Settings, TrainingSettings


@dataclass(frozen=True)
class ModelConfig:
    """A model, the spec that names it, what to build it for, and how its head starts (``head.init``)."""

    spec: Spec
    model: Model
    request: ModelRequest
    head_init: str = "default"


def configure_model(spec: Spec, model: Model, settings: Settings, classes: int, finetune: bool) -> ModelConfig:
    """The model for ``classes`` with the size, head and pretrained weights that ``settings`` state."""
    request = ModelRequest(
        classes=classes,
        channels=model.channels,
        size=settings.training.size or model.size,
        head=settings.head.type if finetune else "linear",
        pretrained=finetune and settings.training.pretrained,
    )
    return ModelConfig(spec, model, request, settings.head.init if finetune else "default")


def build_model(
    config: ModelConfig,
    settings: TrainingSettings | None = None,
    *,
    allow_random: bool = False,
    reporter: Reporter | None = None,
) -> BuiltModel:
    """The model with its weights: those of a weight file (``settings``), its pretrained ones, or random ones.

    With ``allow_random``, pretrained weights that are not available become random ones, with a warning.

    Raises
    ------
    WeightsUnavailable: pretrained weights are not available.
    UsageError: the weight file does not fit.
    """
    request, settings = config.request, settings or TrainingSettings()
    without_weights = replace(request, pretrained=False)
    file = _find_weight_file(config, settings)
    if file is not None:
        built = weights.load_weights(_build(config, without_weights, reporter), weights.read_weights(file))
    else:
        try:
            built = _build(config, request, reporter)
        except WeightsUnavailable as error:
            if not allow_random:
                raise
            (reporter or SilentReporter()).warn(
                f"{error.message}; on the embedded dataset random weights do instead (weights: random)"
            )
            built = _build(config, without_weights, reporter)
    if config.head_init == "glorot":
        _init_as_keras(built)
    return replace(
        built,
        mean=_per_channel("mean", settings.mean, built.mean),
        std=_per_channel("std", settings.std, built.std),
    )


def _init_as_keras(built: BuiltModel) -> None:
    """Give the head's layers the initial weights of Keras's Dense: Glorot uniform, biases 0."""
    for name, layer in built.module.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and f"{name}.weight" in built.parts.head:
            torch.nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)


def _per_channel(name: str, values: Sequence[float], own: tuple[float, ...]) -> tuple[float, ...]:
    """The setting ``values`` for as many channels as ``own``, the model's, which it replaces if it is set."""
    if values and len(values) not in (1, len(own)):
        raise UsageError(
            f"training.{name} has {len(values)} values, the model {len(own)} channels", "Give one value, or one each."
        )
    return tuple(values) * (len(own) // len(values)) if values else own


def resolve_device(settings: Settings) -> torch.device:
    """The device that ``settings.device`` names; auto takes CUDA, else Apple's mps, else the CPU.

    Raises
    ------
    UsageError: it is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name: str = settings.device
    if name == "auto":
        name = next(device for device in available if available[device])
    if not available[name]:
        raise UsageError(f"there is no {name} device here", "Use --device auto; see 'toolbox doctor'.")
    # Under torchrun each process has a GPU of its own.
    local = os.environ.get("LOCAL_RANK", "0") if environment.world_size() > 1 else ""
    return torch.device(f"cuda:{local}" if name == "cuda" and local else name)


def _find_weight_file(config: ModelConfig, settings: TrainingSettings) -> Path | None:
    if settings.weights:
        return Path(settings.weights)
    if not config.request.pretrained:
        return None
    name, values = config.spec.name, [value for value in config.spec.parameters.values() if isinstance(value, str)]
    names = [*(f"{name}.{value}" for value in values), name, *values]
    return weights.find_weight_file(settings.weights_dir, names)


def _build(config: ModelConfig, request: ModelRequest, reporter: Reporter | None) -> BuiltModel:
    # Initial weights depend on the seed alone, not on what was drawn before.
    torch.manual_seed(torch.initial_seed())
    with guard.isolate(config.model, reporter, seeds=False), guard.guard(config.model):
        try:
            built = config.model.build(request)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"{config.spec} can't be built for {request}: {reason}") from error
    built = check_built(config.model, built, request)
    guard.set_origin(built.module, guard.origin(config.model))
    return built
