"""What a run folder keeps of a training: its record, its weights, its predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from toolbox import environment
from toolbox.data.manifest import Row
from toolbox.files import atomic, fingerprint
from toolbox.models.precision import Forward
from toolbox.runs import folder as runs
from toolbox.runs.folder import Run
from toolbox.training import loop
from toolbox.training.activation_cache import load_pixels
from toolbox.training.inputs import Inputs
from toolbox.training.session import Session

_SAME = {
    "model": "the model",
    "kind": "the kind of training",
    "config": "the settings",
    "request": "what the model is built for",
    "weights": "the weights it starts from",
    "precision": "the precision",
    "mean": "the normalisation",
    "std": "the normalisation",
    "data.fingerprint": "the data or their split",
    "training_fingerprint": "the images it trains on",
    "augmented_recipe": "the augmented set",
}
"""What must be as it was for a run to be gone on with, or done again; and what to call it."""


def describe(session: Session) -> dict[str, Any]:
    """What ``run.json`` says before training begins: all that is needed to do it again."""
    experiment, request, built = session.experiment, session.model.request, session.built
    after = Counter(row.label for row in session.data.rows)
    return {
        "status": "running",
        "command": experiment.command,
        "kind": "finetune" if experiment.finetune else "train",
        "model": str(experiment.spec),
        "config": _settled(session),
        "request": asdict(request),
        "weights": built.weights,
        "mean": list(built.mean),
        "std": list(built.std),
        "parameters": sum(parameter.numel() for parameter in built.module.parameters()),
        "train_on": session.data.kind,
        "augmented_set": session.data.set_name,
        "augmented_recipe": session.data.recipe.document() if session.data.recipe else None,
        "training_files": {label: after[label] for label in session.manifest.classes},
        "training_fingerprint": _fingerprint(session.data.rows),
        "data": {
            "spec": experiment.prepared.source.spec,
            "note": experiment.prepared.source.dataset.note,
            "fingerprint": session.manifest.fingerprint,
            "split_fingerprint": session.manifest.split_fingerprint,
            "classes": list(session.manifest.classes),
            "counts": session.manifest.counts(),
            "quarantined": len(experiment.prepared.quarantined),
        },
        "leaky": experiment.leaky,
        "leaks": dict(experiment.leaks),
        "seed": session.settings.seed,
        "device": str(session.device),
        "threads": torch.get_num_threads(),
        "precision": session.precision,
        "processes": environment.process()[1],
        "versions": environment.versions(),
    }


def _settled(session: Session) -> dict[str, Any]:
    """The settings, with what depends on where and how the command was given made explicit."""
    config = session.settings.model_dump(mode="json")
    config["data"] = session.experiment.prepared.source.spec
    config["device"] = session.device.type
    config["threads"] = torch.get_num_threads()
    for section, key in (("training", "weights"), ("training", "weights_dir"), ("split", "extend")):
        if config[section][key]:
            config[section][key] = str(Path(config[section][key]).expanduser().resolve())
    return config


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs of that which a training's result depends on, between two records; for people."""
    before, now = ({**record, "config": runs.without_onlookers(record["config"])} for record in (before, now))
    found = {said for name, said in _SAME.items() if _get(before, name) != _get(now, name)}
    if "the settings" in found:
        found.remove("the settings")
        found.add(f"the settings ({', '.join(_changed_settings(before['config'], now['config']))})")
    return sorted(found)


def keep_model(session: Session, kept: Run) -> None:
    """Write ``model.safetensors``."""
    request = session.model.request
    state = {name: value.detach().cpu().contiguous() for name, value in session.built.module.state_dict().items()}
    metadata = {
        "architecture": str(session.experiment.spec),
        "mean": ",".join(map(repr, session.built.mean)),
        "std": ",".join(map(repr, session.built.std)),
        "size": str(request.size),
    }
    atomic.write_bytes(kept.path / runs.MODEL, save(state, metadata))


def keep_predictions(session: Session, kept: Run, answer: tuple[Forward, Inputs] | None = None) -> None:
    """Write predictions for validation and test (for training images only where there is neither).

    ``answer``: what of the held-out samples is computed already, and what leads from there to logits. It is not
    used where training computes in less than single precision.
    """
    training, module = session.data, session.built.module
    rows, source = training.held_out, training.held_out_source
    if not rows:
        rows, source = session.manifest.rows, session.experiment.prepared.source
    if answer is None or session.precision != "float32":
        answer = module, load_pixels(session, rows, source, "evaluation images")
    logits = loop.predict_logits(module, *answer, session.settings.training.batch_size)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    fields = [{name: getattr(row, name) for name in runs.ROW_FIELDS} for row in rows]
    runs.write_predictions(kept.path / runs.PREDICTIONS, fields, probabilities, session.manifest.classes)


def _fingerprint(rows: Iterable[Row]) -> str:
    return fingerprint.of_rows((row.id, row.label, row.pixels) for row in rows)


def _get(record: Mapping[str, Any], name: str) -> Any:
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = []
    for section in sorted({*before, *now}):
        old, new = before.get(section), now.get(section)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names += [f"{section}.{key}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        elif old != new:
            names.append(section)
    return names
