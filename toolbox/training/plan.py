"""What a training would do, without doing it (``--dry-run``)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from toolbox.progress import SilentReporter
from toolbox.training import inputs
from toolbox.training.experiment import Experiment, Session, stages_of
from toolbox.training.material import choose


def plan(experiment: Experiment) -> dict[str, Any]:
    """What a training would do, its time at most (no early stop) and its disk, from a probe of a few images."""
    with inputs.scratch() as folder:
        session = Session(experiment, folder, SilentReporter())
        chosen = choose(experiment.settings, experiment.prepared, experiment.workspace, SilentReporter())
        rows = list(chosen.rows[: experiment.settings.training.batch_size])
        pixels = session.pixels(rows, chosen.source, "a probe")
        batch = pixels.batch(torch.arange(len(rows)))
        targets = torch.zeros(len(rows), dtype=torch.int64, device=session.device)
        seconds = 0.0
        module, parts = session.built.module, session.built.parts
        stages = stages_of(experiment)
        for index, stage in enumerate(stages):
            names = parts.head if stage.name == "head" else parts.last | parts.head
            names = names | parts.trunk if stage.name == "train" else names
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(name in names)
            for _ in range(2):  # the first call pays for warming up
                start = time.perf_counter()
                torch.nn.functional.cross_entropy(module(batch), targets).backward()  # type: ignore[no-untyped-call]
                took = time.perf_counter() - start
            with_cache = session.built.stages is not None and chosen.kind != "online" and stage.name == "head"
            passes = 1 if with_cache and index == 0 else stage.epochs
            seconds += took / len(rows) * len(chosen.rows) * passes
        request = session.wanted.request
        decoded = len(chosen.rows) * request.size**2 * request.channels
        return {
            "model": str(experiment.spec),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "weights": session.built.weights,
            "train_on": chosen.kind,
            "train_images": len(chosen.rows),
            "size": request.size,
            "device": str(session.device),
            "stages": [asdict(stage) for stage in stages],
            "seconds": round(seconds, 1),
            "bytes": int(decoded + experiment.settings.training.cache_gb * 1e9 * (session.built.stages is not None)),
        }
