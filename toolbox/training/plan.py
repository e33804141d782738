"""What a training would do, without doing it (``--dry-run``)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from toolbox.api.progress import SilentReporter
from toolbox.cache.folder import scratch_folder
from toolbox.training.activation_cache import load_pixels
from toolbox.training.session import Experiment, Session
from toolbox.training.stages import Stage, plan_stages, unfrozen_parameters


def plan(experiment: Experiment) -> dict[str, Any]:
    """What a training would do, an upper bound of its time (no early stop), and its disk space.

    Time and disk are extrapolated from one batch.
    """
    with scratch_folder() as folder:
        session = Session(experiment, folder, SilentReporter())
        data, request = session.data, session.model.request
        rows = data.rows[: experiment.settings.training.batch_size]
        batch = load_pixels(session, rows, data.source, "a probe").batch(torch.arange(len(rows)))
        stages = plan_stages(experiment.settings, experiment.finetune)
        seconds, activation_bytes = _probe(session, batch, stages)
        pixel_bytes = len(data.rows) * request.size**2 * request.channels
        return {
            "model": str(experiment.spec),
            "parameters": sum(parameter.numel() for parameter in session.built.module.parameters()),
            "weights": session.built.weights,
            "train_on": data.kind,
            "train_images": len(data.rows),
            "size": request.size,
            "device": str(session.device),
            "stages": [stage.to_dict() for stage in stages],
            "seconds": round(seconds * len(data.rows), 1),
            "bytes": pixel_bytes + activation_bytes * len(data.rows),
        }


def _probe(session: Session, batch: torch.Tensor, stages: list[Stage]) -> tuple[float, int]:
    """Seconds that all stages take per training image, and bytes of activations cached for it."""
    module, steps = session.built.module, session.built.stages
    module.eval()
    if not session.experiment.finetune or steps is None or session.data.kind == "online":
        epochs = sum(_epochs(stage, session) for stage in stages)
        return _time(lambda: _backward(module(batch))) / len(batch) * epochs, 0
    with torch.no_grad():
        seconds = _time(lambda: module(batch))
        trunk_output = steps.trunk(batch)
        cached_bytes = steps.last(trunk_output)[0].numel() * 4
    unfrozen = unfrozen_parameters(session.built.parts, session.settings.last.unfreeze)
    if unfrozen & session.built.parts.trunk:
        seconds += _time(lambda: _backward(module(batch))) * _epochs(stages[-1], session)
    elif unfrozen:
        cached_bytes += trunk_output[0].numel() * 4
        seconds += _time(lambda: _backward(steps.head(steps.last(trunk_output)))) * _epochs(stages[-1], session)
    limit = session.settings.training.cache_gb * 1e9
    return seconds / len(batch), cached_bytes if cached_bytes * len(session.data.rows) < limit else 0


def _epochs(stage: Stage, session: Session) -> float:
    """Epochs that a stage takes at most, whole or not."""
    steps_per_epoch = math.ceil(len(session.data.rows) / stage.settings.batch_size)
    return stage.count_steps(steps_per_epoch) / steps_per_epoch


def _backward(logits: torch.Tensor) -> None:
    logits.sum().backward()  # type: ignore[no-untyped-call]


def _time(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes on its second call."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
