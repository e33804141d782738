"""What an experiment is: everything that bears on its figures, without the seed.

Runs of one experiment differ in their seed alone: together they are an arm of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolbox.runs.record import RunRecord
from toolbox.settings.layers import flattened
from toolbox.settings.schema import execution_settings


def identity(record: RunRecord) -> dict[str, Any]:
    """The experiment of a run by name: all settings, and what they led to in its workspace."""
    # The recipe's name is a hash of its seed, too.
    recipe = record.augmented_recipe and record.augmented_recipe.model_dump(mode="json", exclude={"name", "seed"})
    ignored = {"seed", *execution_settings()}
    settings = flattened("run.json", record.settings.model_dump(mode="json"))
    return {
        "kind": record.kind,
        "model": record.model,
        **{name: value for name, value in settings.items() if name not in ignored},
        "input": record.request.model_dump(mode="json"),
        "mean": record.mean,
        "std": record.std,
        "weights": record.weights,
        "train_on": record.train_on,
        "augmented set": recipe,
        "data.fingerprint": record.data.fingerprint,
        "data.split_fingerprint": record.data.split_fingerprint,
        "leaky": record.leaky,
    }


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The names in which two identities differ: those of settings, and what :func:`identity` adds."""
    return [name for name in {**a, **b} if a.get(name) != b.get(name)]
