"""Uses a trained model: loads it from its run, and predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from toolbox import runs
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.plugin.protocols import BuiltModel, ModelRequest
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.progress import Reporter, SilentReporter
from toolbox.runs import Run
from toolbox.settings.schema import Settings
from toolbox.training import build, inputs, loop, weights
from toolbox.training.build import Wanted
from toolbox.training.inputs import Pixels


def load_model(run: Run, registry: Registry, device: torch.device) -> BuiltModel:
    """A finished run's model, in evaluation mode.

    Raises
    ------
    UsageError: its files are missing or don't fit together.
    """
    record = run.record
    spec = parse(record["model"])
    request = replace(ModelRequest(**record["request"]), pretrained=False)
    built = build.build(Wanted(spec, registry.model(spec), request), Settings(), False, SilentReporter())
    file = weights.read(run.path / runs.MODEL)
    loaded = weights.load_into(built, file, keep_head=True)
    module = loaded.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.eval()
    return replace(loaded, module=module, mean=tuple(record["mean"]), std=tuple(record["std"]))


def probabilities_for(
    run: Run, rows: Sequence[Row], source: Source, registry: Registry, settings: Settings, reporter: Reporter
) -> npt.NDArray[np.float64]:
    """A run's probabilities for ``rows``: float64 ``[N, classes]``."""
    device = build.device_of(settings)
    built = load_model(run, registry, device)
    request = run.record["request"]
    with inputs.scratch() as folder:
        images = inputs.decoded(rows, source, request["size"], request["channels"], folder, reporter, "images")
        given = Pixels(images, built.mean, built.std, device)
        logits = loop.predict(built.module, built.module, given, settings.training.batch_size)
    result: npt.NDArray[np.float64] = torch.softmax(logits.double(), 1).numpy()
    return result
