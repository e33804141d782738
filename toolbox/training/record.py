"""Writes a training into its run folder: record, weights, predictions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from toolbox.data.audit.leaked import find_leaked
from toolbox.data.manifest import Row
from toolbox.files import atomic, fingerprint
from toolbox.models.checks import guard_forward
from toolbox.models.precision import Forward
from toolbox.runs.folder import MODEL, PREDICTIONS, Run
from toolbox.runs.identity import differences, identity
from toolbox.runs.predictions import Predictions
from toolbox.runs.record import DataRecord, ModelRecord, RecipeRecord, RunRecord
from toolbox.settings import environment
from toolbox.settings.schema import known_names
from toolbox.training import loop
from toolbox.training.activation_cache import load_pixels
from toolbox.training.inputs import Inputs
from toolbox.training.session import Session

_WORDS = {
    "model": "the model",
    "kind": "the kind of training",
    "input": "what the model is built for",
    "weights": "the weights it starts from",
    "precision": "the precision",
    "mean": "the normalization",
    "std": "the normalization",
    "data.fingerprint": "the data or their split",
    "data.split_fingerprint": "the data or their split",
    "train_on": "the images it trains on",
    "training_fingerprint": "the images it trains on",
    "augmented set": "the augmented set",
    "leaky": "whether it is leaky",
}
"""What must not change when a run is resumed or repeated, in words for messages."""


def describe(session: Session) -> RunRecord:
    """The record of a training at its start: everything needed to repeat it."""
    experiment, request, built = session.experiment, session.model.request, session.built
    recipe = session.data.recipe
    counts = Counter(row.label for row in session.data.rows)
    return RunRecord(
        status="running",
        command=experiment.command,
        kind="finetune" if experiment.finetune else "train",
        model=str(experiment.spec),
        config=_resolve_settings(session),
        request=ModelRecord(**asdict(request)),
        weights=built.weights,
        mean=list(built.mean),
        std=list(built.std),
        parameters=sum(parameter.numel() for parameter in built.module.parameters()),
        train_on=session.data.kind,
        augmented_set=session.data.set_name,
        augmented_recipe=RecipeRecord(**recipe.document()) if recipe else None,
        training_files={label: counts[label] for label in session.manifest.classes},
        training_fingerprint=_fingerprint(session.data.rows),
        data=DataRecord(
            spec=experiment.split.source.spec,
            note=experiment.split.source.dataset.note,
            fingerprint=session.manifest.fingerprint,
            split_fingerprint=session.manifest.split_fingerprint,
            classes=list(session.manifest.classes),
            counts=session.manifest.counts(),
            quarantined=len(experiment.split.quarantined),
        ),
        leaky=experiment.leaky,
        leaks=dict(experiment.leaks),
        seed=session.settings.seed,
        device=str(session.device),
        threads=torch.get_num_threads(),
        precision=session.precision,
        processes=environment.world_size(),
        versions=environment.versions(),
    )


def _resolve_settings(session: Session) -> dict[str, Any]:
    """The settings, with values that depend on the machine or the current folder made explicit."""
    config = session.settings.model_dump(mode="json")
    config["data"] = session.experiment.split.source.spec
    config["device"] = session.device.type
    config["threads"] = torch.get_num_threads()
    for section, key in (("training", "weights"), ("training", "weights_dir"), ("split", "extend")):
        if config[section][key]:
            config[section][key] = str(Path(config[section][key]).expanduser().resolve())
    return config


def changes(before: RunRecord, now: RunRecord) -> list[str]:
    """The differences between two records that can change a bit of the result, in words for messages."""
    names = differences(_everything(before), _everything(now))
    settings = sorted(set(names) & set(known_names()))
    words = {_WORDS[name] for name in names if name not in settings}
    return sorted([*words, *([f"the settings ({', '.join(settings)})"] if settings else [])])


def _everything(record: RunRecord) -> dict[str, Any]:
    return {
        **identity(record),
        "seed": record.seed,
        "device": record.settings.device,
        "threads": record.settings.threads,
        "precision": record.precision,
        "training_fingerprint": record.training_fingerprint,
    }


def save_model(session: Session, run: Run) -> str:
    """Write ``model.safetensors`` and return its SHA-256."""
    request = session.model.request
    state = {name: value.detach().cpu().contiguous() for name, value in session.built.module.state_dict().items()}
    about = {
        "architecture": str(session.experiment.spec),
        "mean": session.built.mean,
        "std": session.built.std,
        "size": request.size,
    }
    # safetensors writes its metadata in random order: with one entry, equal runs have equal files.
    data = save(state, {"toolbox": json.dumps(about)})
    atomic.write_bytes(run.path / MODEL, data)
    return fingerprint.of_bytes(data)


def save_predictions(session: Session, run: Run, held_out_pass: tuple[Forward, Inputs] | None = None) -> None:
    """Write predictions for validation and test; for the training images only if there is neither.

    ``held_out_pass``: the cached activations of the held-out samples, and the forward pass from there to logits. Not
    used if the training computed in less than single precision.
    """
    data, module = session.data, session.built.module
    rows, source = data.held_out, data.held_out_source
    if not rows:
        rows, source = session.manifest.rows, session.experiment.split.source
    if held_out_pass is None or session.precision != "float32":
        forward = guard_forward(module, module, len(session.manifest.classes))
        held_out_pass = forward, load_pixels(session, rows, source, "evaluation images")
    logits = loop.predict_logits(module, *held_out_pass, session.settings.training.batch_size)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    samples = (
        [*data.rows, *data.held_out]
        if session.data.kind == "augmented" and session.settings.split.protocol != "split-then-augment"
        else session.manifest.rows
    )
    leaked = find_leaked(samples, session.manifest, session.experiment.comparison)
    Predictions.of_rows(rows, session.manifest.classes, probabilities, leaked).write(run.path / PREDICTIONS)


def _fingerprint(rows: Iterable[Row]) -> str:
    return fingerprint.of_rows((row.id, row.label, row.pixels) for row in rows)
