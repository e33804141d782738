"""The forward pass of timm's models in three steps.

Each family's steps are the lines of its ``forward_features`` and ``forward_head``, cut where the last block begins.
They hold on to the module and look up its layers at each call, so that they follow it through training mode, frozen
layers and new weights. Whether they give what the module gives is not taken on trust: see :func:`exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from timm.models import VGG, ConvNeXt, EfficientNet, MobileNetV3, ResNet, VisionTransformer
from torch import Tensor, nn

from toolbox.api.model import Stages
from toolbox_timm.heavy.parts import TimmModule, find_classifiers, vgg_boundary

Step = Callable[[Tensor], Tensor]


def find_stages(module: TimmModule) -> Stages:
    """The steps of ``module``. Of a family that is not known here, the trunk step does nothing (it is an
    ``nn.Identity``) and the last one everything before the classifier."""
    for family, steps in _FAMILIES.items():
        # A subclass with a forward pass of its own is another family.
        if getattr(type(module), "forward_features", None) is vars(family)["forward_features"]:
            trunk, last = steps(module)
            break
    else:
        trunk, last = nn.Identity(), module.forward_features

    if len(find_classifiers(module)) > 1:
        return _averaged(module, trunk, last)

    def pooled(x: Tensor) -> Tensor:
        return cast(Tensor, module.forward_head(last(x), pre_logits=True))

    def classified(x: Tensor) -> Tensor:
        classifier = module.get_classifier()
        if isinstance(classifier, nn.Conv2d):  # a linear layer in disguise
            x = x.reshape(len(x), -1, 1, 1)
        return cast(Tensor, classifier(x).flatten(1))

    return Stages(trunk, pooled, classified)


def _averaged(module: TimmModule, trunk: Step, last: Step) -> Stages:
    """The steps of a module that averages the logits of several classifiers; features are what these are given."""

    def features(x: Tensor) -> Tensor:
        after = last(x)
        return torch.stack(capture_inputs(find_classifiers(module), lambda: module.forward_head(after)), 1)

    def classified(x: Tensor) -> Tensor:
        classifiers = find_classifiers(module)
        logits = [classifier(x[:, index]) for index, classifier in enumerate(classifiers)]
        return cast(Tensor, sum(logits[1:], start=logits[0]) / len(logits))

    return Stages(trunk, features, classified)


def capture_inputs(layers: Sequence[nn.Module], call: Callable[[], object]) -> list[Tensor]:
    """The input of each of ``layers`` while ``call`` runs, which calls each once and in this order."""
    captured: list[Tensor] = []
    hooks = [layer.register_forward_pre_hook(lambda _, arguments: captured.append(arguments[0])) for layer in layers]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return captured


def exact(stages: Stages, module: nn.Module, images: Tensor, logits: Tensor) -> bool:
    """Whether the three steps make of ``images`` what ``module`` does, which is ``logits``: to the bit.

    In evaluation mode; leaves ``module`` in training mode.
    """
    module.eval()
    try:
        with torch.no_grad():
            return torch.equal(stages.head(stages.last(stages.trunk(images))), logits)
    except Exception:  # an unknown architecture's code: whatever it raises, it does not fit
        return False
    finally:
        module.train()


def _resnet(module: TimmModule) -> tuple[Step, Step]:
    def trunk(x: Tensor) -> Tensor:
        x = module.maxpool(module.act1(module.bn1(module.conv1(x))))
        return cast(Tensor, module.layer3(module.layer2(module.layer1(x))))

    return trunk, lambda x: module.layer4(x)


def _efficientnet(module: TimmModule) -> tuple[Step, Step]:
    return (
        lambda x: module.blocks[:-1](module.bn1(module.conv_stem(x))),
        lambda x: module.bn2(module.conv_head(module.blocks[-1](x))),
    )


def _mobilenetv3(module: TimmModule) -> tuple[Step, Step]:
    return lambda x: module.blocks[:-1](module.bn1(module.conv_stem(x))), lambda x: module.blocks[-1](x)


def _vgg(module: TimmModule) -> tuple[Step, Step]:
    boundary = vgg_boundary(module)
    return lambda x: module.features[:boundary](x), lambda x: module.features[boundary:](x)


def _vision_transformer(module: TimmModule) -> tuple[Step, Step]:
    def trunk(x: Tensor) -> Tensor:
        x = module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(x))))
        return cast(Tensor, module.blocks[:-1](x))

    return trunk, lambda x: module.norm(module.blocks[-1](x))


def _convnext(module: TimmModule) -> tuple[Step, Step]:
    return lambda x: module.stages[:-1](module.stem(x)), lambda x: module.norm_pre(module.stages[-1](x))


_FAMILIES: dict[type, Callable[[TimmModule], tuple[Step, Step]]] = {
    ResNet: _resnet,
    EfficientNet: _efficientnet,
    MobileNetV3: _mobilenetv3,
    VGG: _vgg,
    VisionTransformer: _vision_transformer,
    ConvNeXt: _convnext,
}
