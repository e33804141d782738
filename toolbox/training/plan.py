"""What a training would do, without doing it (``--dry-run``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from toolbox.api.progress import SilentReporter
from toolbox.cache.folder import scratch_folder
from toolbox.training.session import Experiment, Session
from toolbox.training.stages import Stage, planned, unfrozen


def plan(experiment: Experiment) -> dict[str, Any]:
    """What a training would do, its time at most (no early stop) and its disk, from a probe of one batch."""
    with scratch_folder() as folder:
        session = Session(experiment, folder, SilentReporter())
        chosen = session.training
        rows = list(chosen.rows[: experiment.settings.training.batch_size])
        batch = session.pixels(rows, chosen.source, "a probe").batch(torch.arange(len(rows)))
        stages = planned(experiment.settings, experiment.finetune)
        seconds, activations = _probe(session, batch, stages)
        request = session.wanted.request
        decoded = len(chosen.rows) * request.size**2 * request.channels
        return {
            "model": str(experiment.spec),
            "parameters": sum(parameter.numel() for parameter in session.built.module.parameters()),
            "weights": session.built.weights,
            "train_on": chosen.kind,
            "train_images": len(chosen.rows),
            "size": request.size,
            "device": str(session.device),
            "stages": [stage.to_dict() for stage in stages],
            "seconds": round(seconds * len(chosen.rows), 1),
            "bytes": decoded + activations * len(chosen.rows),
        }


def _probe(session: Session, batch: torch.Tensor, stages: list[Stage]) -> tuple[float, int]:
    """Seconds that all stages take for each training image, and the bytes of activations kept for it."""
    module, steps = session.built.module, session.built.stages
    module.eval()
    if not session.experiment.finetune or steps is None or session.training.kind == "online":
        passes = sum(stage.settings.epochs for stage in stages)
        return _seconds(lambda: _backward(module(batch))) / len(batch) * passes, 0
    with torch.no_grad():
        seconds = _seconds(lambda: module(batch))
        before = steps.trunk(batch)
        kept = steps.last(before)[0].numel() * 4
    second = unfrozen(session.built.parts, session.settings.last.unfreeze)
    if second & session.built.parts.trunk:
        seconds += _seconds(lambda: _backward(module(batch))) * stages[-1].settings.epochs
    elif second:
        kept += before[0].numel() * 4
        seconds += _seconds(lambda: _backward(steps.head(steps.last(before)))) * stages[-1].settings.epochs
    room = session.settings.training.cache_gb * 1e9
    return seconds / len(batch), kept if kept * len(session.training.rows) < room else 0


def _backward(logits: torch.Tensor) -> None:
    logits.sum().backward()  # type: ignore[no-untyped-call]


def _seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes when it is warm."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
