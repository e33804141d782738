"""A module of timm for a task: image size, channels, head, parts and stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers.classifier import ClassifierHead
from timm.models import VGG, get_arch_name, is_model_in_modules
from torch import Tensor, nn

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.heads import DenseHead, HeadPlan, parse_head
from toolbox.api.model import BuiltModel, ModelRequest
from toolbox.api.quiet import quiet
from toolbox_timm.heavy.hub import configuration
from toolbox_timm.heavy.parts import TimmModule, find_classifiers, find_parts, trunk_blocks
from toolbox_timm.heavy.stages import capture_inputs, exact, find_stages


def build(architecture: str, request: ModelRequest, weights: Mapping[str, Any], origin: str) -> BuiltModel:
    """``architecture`` for ``request``.

    ``weights``: the entries of timm's pretrained configuration that name the weights to load (``file`` or
    ``state_dict``), empty for random ones; ``origin``: what to say of them.

    Raises
    ------
    WeightsUnavailable: the weights can't be read or don't fit.
    UsageError: the architecture can't take the image size, the channels or the head.
    """
    head = parse_head(request.head)
    module = _create_module(architecture, request, weights, origin)
    images = torch.rand(1, request.channels, request.size, request.size, generator=torch.Generator().manual_seed(0))
    blocks = trunk_blocks(module)
    if isinstance(module, VGG):
        _drop_dense_layers(module, request.classes)
    if head is None:
        _init_classifier_near_zero(module)
    try:
        logits = _run(module, images)
    except Exception as error:  # architectures refuse what they can't take in many ways
        raise _input_error(architecture, request, error) from error
    if logits.shape != (1, request.classes):
        raise UsageError(f"{architecture} is no classifier: for one image it gives {tuple(logits.shape)}")
    if head is not None:
        logits = _replace_head(module, architecture, head, request, images)
    stages = find_stages(module)
    settings = module.pretrained_cfg
    return BuiltModel(
        module=module,
        parts=find_parts(module, blocks, architecture),
        mean=_per_channel(settings["mean"], request.channels),
        std=_per_channel(settings["std"], request.channels),
        weights=origin if weights else "random",
        stages=stages if exact(stages, module, images, logits) else None,
    )


def _create_module(architecture: str, request: ModelRequest, weights: Mapping[str, Any], origin: str) -> TimmModule:
    settings = configuration(architecture)
    options: dict[str, Any] = {"num_classes": request.classes, "in_chans": request.channels}
    if settings.fixed_input_size and tuple(settings.input_size[-2:]) != (request.size, request.size):
        options["img_size"] = request.size
    if not weights and is_model_in_modules(get_arch_name(architecture), ["vgg"]):
        options["mlp_ratio"] = 1 / 4096  # the two dense layers of 100 million weights are thrown away anyway
    try:
        with quiet("timm", "huggingface_hub"):
            module: TimmModule = timm.create_model(
                architecture, pretrained=bool(weights), pretrained_cfg_overlay=dict(weights), **options
            )
    except (AssertionError, TypeError, ValueError) as error:
        raise _input_error(architecture, request, error) from error
    except Exception as error:  # damaged files raise anything
        if not weights:
            raise _input_error(architecture, request, error) from error
        raise WeightsUnavailable(
            f"{origin} can't be loaded into {architecture}: {_one_line(error)}",
            "If the file is damaged, delete it from the hub's cache (see HF_HOME) and try again.",
        ) from error
    module.pretrained_cfg.pop("state_dict", None)  # a second copy of the weights
    if weights and request.classes == settings.num_classes:
        module.reset_classifier(request.classes)  # timm kept ImageNet's; a new task gets a new one
    return module


def _drop_dense_layers(module: TimmModule, classes: int) -> None:
    """A classifier right on the convolutions' 512 channels, as timm's own pruning leaves a VGG."""
    module.pre_logits = nn.Identity()
    module.head = ClassifierHead(module.num_features, classes)
    module.head_hidden_size = module.num_features
    module.num_classes = classes


def _init_classifier_near_zero(module: TimmModule) -> None:
    """Initial weights near zero for the new classifier, as in linear evaluation (big_vision, MoCo).

    Some architectures draw them for a thousand classes trained from scratch (EfficientNet: uniform up to ±0.7 for
    two classes); on a frozen trunk that noise never goes away: 92 instead of 97 of 100 cats-and-dogs test photos.
    """
    layers = [layer for classifier in find_classifiers(module) for layer in classifier.modules()]
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _replace_head(
    module: TimmModule, architecture: str, head: HeadPlan, request: ModelRequest, images: Tensor
) -> Tensor:
    """A dense head in the place of the classifier, on pooled features or all of them; the logits it gives.

    Where several classifiers are averaged, each gets one, on what it was given.
    """
    classifiers = find_classifiers(module)
    names = [name for name, layer in module.named_modules() if any(layer is classifier for classifier in classifiers)]
    try:
        if len(names) == 1:
            module.reset_classifier(0, *([] if head.pooled else [""]))
            features = [_run(module, images)]
        else:
            features = capture_inputs(classifiers, lambda: _run(module, images))
        for name, inputs in zip(names, features, strict=True):
            module.set_submodule(name, DenseHead(inputs[0].numel(), head.hidden, request.classes))
        module.num_classes = request.classes
        logits = _run(module, images)
    except Exception as error:
        raise _head_error(architecture, request, _one_line(error)) from error
    if not names or logits.shape != (1, request.classes):
        raise _head_error(architecture, request, "timm does not let its classifier be replaced")
    return logits


def _run(module: nn.Module, images: Tensor) -> Tensor:
    """What ``module`` gives for ``images``, in evaluation mode."""
    module.eval()
    try:
        with torch.no_grad():  # not inference mode: some architectures keep what they computed
            output = module(images)
    finally:
        module.train()
    if not isinstance(output, Tensor):
        raise TypeError(f"it gives a {type(output).__name__}, not logits")
    return output


def _head_error(architecture: str, request: ModelRequest, reason: str) -> UsageError:
    return UsageError(f"{architecture} can't have the head {request.head!r}: {reason}", "Set head.type to linear.")


def _input_error(architecture: str, request: ModelRequest, error: Exception) -> UsageError:
    return UsageError(
        f"{architecture} can't take {request.channels} x {request.size} x {request.size} images: {_one_line(error)}",
        f"Set training.size; its own is {configuration(architecture).input_size[-1]}.",
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value a channel; where their number differs, the average for each."""
    values = tuple(float(value) for value in values)
    return values if len(values) == channels else (sum(values) / len(values),) * channels
