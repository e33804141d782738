"""First-party plugin: architectures of timm, with ImageNet weights."""

from collections.abc import Iterator

from toolbox.api.components import ModelComponent
from toolbox.api.hooks import hookimpl


@hookimpl
def toolbox_models() -> Iterator[ModelComponent]:
    """Three models by name, and any other of timm's by its architecture."""
    yield ModelComponent(
        name="vgg16",
        summary="VGG-16 with ImageNet weights from the hub; one of study B's two models",
        factory="toolbox_timm.models:vgg16",
        example="toolbox finetune vgg16 --unfreeze-last --head flatten-4096",
    )
    yield ModelComponent(
        name="resnet50",
        summary="ResNet-50 with ImageNet weights from the hub; one of study B's two models",
        factory="toolbox_timm.models:resnet50",
        example="toolbox finetune resnet50 --unfreeze-last",
    )
    yield ModelComponent(
        name="efficientnet-lite0",
        summary="EfficientNet-Lite0 with ImageNet weights that are installed with it: needs no network",
        factory="toolbox_timm.models:efficientnet_lite0",
        example="toolbox finetune efficientnet-lite0 --unfreeze 2",
    )
    yield ModelComponent(
        name="timm",
        summary="any classifier of timm by its name, as in timm:arch=convnext_tiny",
        factory="toolbox_timm.models:timm_model",
        example="toolbox finetune timm:arch=convnext_atto --unfreeze-last",
    )
