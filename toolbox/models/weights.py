"""Weight files that users bring: safetensors, or ``.pth``, which is only ever read with ``weights_only``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from toolbox.api.errors import UsageError
from toolbox.api.model import BuiltModel
from toolbox.files.names import safe_name

FOLDER_VARIABLE = "TOOLBOX_WEIGHTS"
"""Environment variable with a folder of weight files, for use without network access."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class WeightFile:
    """What a weight file holds: tensors by name, and its normalization if it states one."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def find_weight_file(folder: str, names: Iterable[str]) -> Path | None:
    """The weight file of the first of ``names`` that has one in ``folder`` or ``$TOOLBOX_WEIGHTS``, if any.

    Raises
    ------
    UsageError: the folder does not exist.
    """
    for text in (folder, os.environ.get(FOLDER_VARIABLE, "")):
        if not text:
            continue
        if not Path(text).is_dir():
            hint = f"Check training.weights_dir and ${FOLDER_VARIABLE}."
            raise UsageError(f"there is no folder of weights {text}", hint)
        for name in names:
            for suffix in SUFFIXES:
                path = Path(text) / f"{safe_name(name)}{suffix}"
                if path.is_file():
                    return path
    return None


def read_weights(path: Path) -> WeightFile:
    """The tensors of ``path``.

    Raises
    ------
    UsageError: it is missing or damaged, or holds anything but tensors by name.
    """
    if not path.is_file():
        raise UsageError(f"there is no weight file {path}", "Check --weights.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling hostile or damaged bytes raises anything
        reason = " ".join(str(error).split())[:200]
        hint = "Only files of plain tensors are read."
        raise UsageError(f"{path} can't be read as weights: {reason}", hint) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise UsageError(f"{path} does not hold tensors by name")
    return WeightFile(path, {str(key): value for key, value in loaded.items()})


def load_weights(built: BuiltModel, file: WeightFile, keep_head: bool = False) -> BuiltModel:
    """``built`` with the tensors of ``file``; those of the head may be missing or of another shape.

    A model for one channel accepts the weights of one for three (see :func:`_for_channels`). With ``keep_head`` the
    head is loaded too and must fit; otherwise it keeps its initial weights, as a new task starts with a new head.

    Raises
    ------
    UsageError: a tensor of trunk or last block is missing or has another shape.
    """
    state = built.module.state_dict()
    head = built.parts.head
    loaded: dict[str, torch.Tensor] = {}
    for name, own in state.items():
        tensor = _for_channels(file.tensors.get(name), own)
        if name in head and not keep_head:
            continue
        if tensor is not None and tensor.shape == own.shape:
            loaded[name] = tensor
        elif (name in head and not keep_head) or name.endswith("num_batches_tracked"):
            continue
        elif tensor is None:
            raise UsageError(f"{file.path} lacks the tensor {name!r}", "Are these weights of another architecture?")
        else:
            raise UsageError(
                f"{file.path}: {name!r} has the shape {tuple(tensor.shape)}, the model has {tuple(own.shape)}",
                "Are these weights of another architecture?",
            )
    built.module.load_state_dict({**state, **loaded})
    channels = len(built.mean)
    return replace(
        built,
        weights=f"file: {file.path.name}",
        mean=_fit_channels(file.mean, channels) or built.mean,
        std=_fit_channels(file.std, channels) or built.std,
    )


def _for_channels(tensor: torch.Tensor | None, own: torch.Tensor) -> torch.Tensor | None:
    """A first convolution's weights for RGB, summed over the channels if the model takes one channel.

    The sum equals its output for a gray image in three equal channels; timm does the same.
    """
    if tensor is None or own.dim() != 4 or own.shape[1] != 1 or tensor.shape != (own.shape[0], 3, *own.shape[2:]):
        return tensor
    return tensor.float().sum(1, keepdim=True).to(tensor.dtype)


def _read_safetensors(path: Path) -> WeightFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping, it has keys()
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read as safetensors: {error}") from error
    return WeightFile(path, tensors, _floats(metadata, "mean", path), _floats(metadata, "std", path))


def _floats(metadata: Mapping[str, str], key: str, path: Path) -> tuple[float, ...]:
    text = metadata.get(key, "").strip("[]() ")
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"{path}: its metadata {key!r} is {text!r}, not numbers with commas") from error
    if key == "std" and any(value <= 0 for value in values):
        raise UsageError(f"{path}: its metadata 'std' is {text!r}; it must be above 0")
    return values


def _fit_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """``values`` for ``channels``: a single channel gets the mean of all."""
    if not values or len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels
