"""Exports a run's model as one file: safetensors, torch.export or ONNX, verified before it replaces any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from toolbox import __version__
from toolbox.api.errors import EnvironmentFailure, ToolboxError, UsageError, closest
from toolbox.api.model import BuiltModel
from toolbox.api.quiet import quiet
from toolbox.files import atomic, fingerprint
from toolbox.models import predict
from toolbox.models.normalize import Normalize
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import EXPORT, MODEL, Run

SUFFIXES = {"safetensors": ".safetensors", "torch-export": ".pt2", "onnx": ".onnx"}
"""The formats and their file extensions."""

DESCRIPTION = "toolbox.json"
"""The extra file in a ``.pt2`` with what the other formats have as metadata."""

BOUND = 1e-4
"""Largest allowed difference of a logit: absolute, or for logits above 1 relative to the largest."""

_BATCHES = (1, 3)
_ONNX_LIMIT = 2**31 - 2**24  # bytes of weights: protobuf limits a file to 2 GiB, graph included

Compute = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Exported:
    """An exported file. ``difference``: the largest of a logit on random images; ``bound``: the largest allowed."""

    run: str
    format: str
    path: Path
    bytes: int
    difference: float
    bound: float
    description: Mapping[str, Any]


class Deployable(nn.Module):
    """The whole forward pass, from pixels to probabilities.

    Takes uint8 ``[N, C, size, size]``, RGB or gray, 0 to 255; returns logits and probabilities, float32
    ``[N, classes]``.
    """

    def __init__(self, built: BuiltModel) -> None:
        super().__init__()
        self.module = built.module
        self.normalize = Normalize(built.mean, built.std)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and probabilities for ``images``."""
        logits = self.module(self.normalize(images))
        return logits, torch.softmax(logits, 1)


def export(run: Run, form: str, out: Path | None, registry: Registry, overwrite: bool = False) -> Exported:
    """Write the model of ``run`` in the format ``form`` to ``out`` (the run's ``export/`` without it).

    Raises
    ------
    UsageError: an unknown format, an existing file, a run that can't be loaded, or a model too large for ONNX.
    EnvironmentFailure: the packages for ONNX are not installed, or the file can't be written.
    ToolboxError: the model can't be exported, or the exported one gives other logits; nothing is written then.
    """
    if form not in SUFFIXES:
        raise UsageError(f"there is no format {form!r}", closest(form, SUFFIXES) or f"Formats: {', '.join(SUFFIXES)}.")
    if form == "onnx":
        _require_onnx()
    path = _place(run, form, out, overwrite)
    built = predict.load_model(run, registry, torch.device("cpu"))
    built.module.to(memory_format=torch.contiguous_format)
    request = run.record.request
    shape = (request.channels, request.size, request.size)
    description = _description(run, built, form, shape)
    write = {"safetensors": _safetensors, "torch-export": _torch_export, "onnx": _onnx}[form]
    with atomic.replace_file(path) as temporary, quiet("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
        difference, bound = write(built, shape, description, temporary)
    return Exported(run.id, form, path, path.stat().st_size, difference, bound, description)


def _place(run: Run, form: str, out: Path | None, overwrite: bool) -> Path:
    if out is None:
        return run.path / EXPORT / f"model{SUFFIXES[form]}"
    path = out / f"{run.id}{SUFFIXES[form]}" if out.is_dir() else out
    if path.exists() and path.resolve() == (run.path / MODEL).resolve():
        raise UsageError(f"{path} is the run's own", "Choose another file.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} already exists", "Give --force to replace it.")
    return path


def _description(run: Run, built: BuiltModel, form: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """What goes into the file beside the weights."""
    record, colors = run.record, "RGB" if shape[0] == 3 else "grey"  # as earlier versions wrote it
    pixels = f"[batch, {', '.join(map(str, shape))}], {colors}, the whole picture resized bilinearly, antialiased"
    plain = form == "safetensors"
    return {
        "toolbox": __version__,
        "run": run.id,
        "architecture": record.model,
        "head": record.request.head,
        "classes": record.data.classes,
        "input": f"float32 {pixels}, (value / 255 - mean) / std" if plain else f"uint8 {pixels}; normalised inside",
        "size": shape[1],
        "channels": shape[0],
        "mean": list(built.mean),
        "std": list(built.std),
        "data_fingerprint": record.data.fingerprint,
        "split_fingerprint": record.data.split_fingerprint,
        "weights_sha256": fingerprint.of_file(run.path / MODEL),
        "leaky": record.leaky,
    }


def _strings(description: Mapping[str, Any]) -> dict[str, str]:
    """``description`` for formats with string values only: other values as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
    }


def _safetensors(
    built: BuiltModel, shape: tuple[int, int, int], description: Mapping[str, Any], path: Path
) -> tuple[float, float]:
    state = {name: value.detach().contiguous().clone() for name, value in built.module.state_dict().items()}
    save_file(state, path, _strings(description))
    with safe_open(path, framework="pt", device="cpu") as file:
        same = set(file.keys()) == set(state) and all(torch.equal(file.get_tensor(key), state[key]) for key in state)
    if not same:
        raise ToolboxError(f"{path} does not contain what was written", "Check the disk.")
    return 0.0, 0.0


def _torch_export(
    built: BuiltModel, shape: tuple[int, int, int], description: Mapping[str, Any], path: Path
) -> tuple[float, float]:
    whole = Deployable(built).eval()
    program = _translate_errors(
        "torch.export", lambda: torch.export.export(whole, (_images(2, shape),), dynamic_shapes=_DYNAMIC)
    )
    # An open file, because torch wants a name that ends with .pt2, and this is a temporary one.
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={DESCRIPTION: json.dumps(description, ensure_ascii=False)})
    with path.open("rb") as file:
        loaded: Compute = torch.export.load(file).module()
    return _verify(whole, shape, lambda images: loaded(images)[0])


def _onnx(
    built: BuiltModel, shape: tuple[int, int, int], description: Mapping[str, Any], path: Path
) -> tuple[float, float]:
    import onnx
    import onnxruntime

    size = sum(value.numel() * value.element_size() for value in built.module.state_dict().values())
    if size > _ONNX_LIMIT:
        raise UsageError(
            f"{size / 1e9:.1f} GB of weights exceed the 2 GiB limit of an ONNX file",
            "Use --format torch-export, or a smaller head.",
        )
    whole = Deployable(built).eval()

    def convert() -> Any:
        return torch.onnx.export(
            whole,
            (_images(2, shape),),
            dynamo=True,
            dynamic_shapes=_DYNAMIC,
            input_names=["images"],
            output_names=["logits", "probabilities"],
            verbose=False,
        )

    program = _translate_errors("ONNX", convert)
    program.model.metadata_props.update(_strings(description))
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return _verify(
        whole, shape, lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    )


_DYNAMIC = {"images": {0: torch.export.Dim("batch")}}


def _images(count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    pixels = np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)
    return torch.from_numpy(pixels)


def _verify(whole: Deployable, shape: tuple[int, int, int], compute: Compute) -> tuple[float, float]:
    """The largest difference between the logits of ``compute`` and ``whole``, and the allowed one.

    Raises
    ------
    ToolboxError: it is larger, or not finite.
    """
    difference, bound = 0.0, BOUND
    with torch.inference_mode():
        for count in _BATCHES:
            images = _images(count, shape)
            expected = whole(images)[0]
            bound = max(bound, BOUND * float(expected.abs().max()))
            difference = max(difference, float((compute(images).clone() - expected).abs().nan_to_num(torch.inf).max()))
    if not difference <= bound:
        raise ToolboxError(
            f"the exported model's logits differ by {difference:.1e} from the module's (allowed: {bound:.1e})",
            "Nothing was written; try another --format.",
        )
    return difference, bound


def _translate_errors(exporter: str, work: Callable[[], Any]) -> Any:
    """The result of ``work``; any exception becomes a ToolboxError with one line."""
    try:
        return work()
    except Exception as error:  # exporters run any architecture's code and raise anything
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ToolboxError(
            f"{exporter} can't export this model: {reason[:300]}",
            "Use --format safetensors, which supports every model.",
        ) from error


def _require_onnx() -> None:
    try:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        raise EnvironmentFailure(
            f"exporting to ONNX needs onnx, onnxscript and onnxruntime ({error})",
            "Install them: pip install 'vision-toolbox[onnx]'; or use --format torch-export.",
        ) from error
