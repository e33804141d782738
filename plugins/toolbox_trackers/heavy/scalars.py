"""What both trackers call the figures of an epoch and of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NAMES = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "lr": "lr",
}


def of_epoch(line: Mapping[str, Any]) -> dict[str, float]:
    """The scalars of a line of ``metrics.jsonl``; what is not there is left out."""
    return {name: float(line[key]) for key, name in NAMES.items() if _known(line.get(key))}


def of_evaluation(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The values of ``evaluation.json``'s metrics, and the ends of their intervals."""
    scalars = {}
    for name, metric in evaluation["metrics"].items():
        for key, ending in (("value", ""), ("low", "/low"), ("high", "/high")):
            if _known(metric[key]):
                scalars[f"{evaluation['split']}/{name}{ending}"] = float(metric[key])
    return scalars


def _known(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
