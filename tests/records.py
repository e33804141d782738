"""The least that ``run.json`` and ``evaluation.json`` may hold, for runs whose predictions alone matter."""

from __future__ import annotations

from typing import Any


def record(**changes: Any) -> dict[str, Any]:
    """``run.json`` of a finished run; ``changes`` by key."""
    data = {"spec": "", "note": "", "fingerprint": "", "split_fingerprint": "", "classes": ["a", "b"], "counts": {}}
    return {
        "status": "finished",
        "command": "",
        "kind": "train",
        "model": "m",
        "config": {},
        "request": {"classes": 2, "channels": 3, "size": 32, "head": "linear", "pretrained": False},
        "weights": "random",
        "mean": [0.0],
        "std": [1.0],
        "train_on": "originals",
        "augmented_set": "",
        "augmented_recipe": None,
        "data": {**data, "quarantined": 0},
        "leaky": False,
        "seed": 0,
        "device": "cpu",
        "versions": {},
        **changes,
    }


def evaluation(**changes: Any) -> dict[str, Any]:
    """``evaluation.json``; ``changes`` by key."""
    empty: dict[str, Any] = {"metrics": {}, "classes": ["a", "b"], "tables": [], "figures": [], "note": ""}
    told = {"run": "", "model": "m", "split": "test", "held_out": True, "n": 0, "leaky": False, "weights": "random"}
    return {**told, **empty, "train_on": "originals", **changes}
