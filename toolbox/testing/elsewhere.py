"""Run as ``python -m toolbox.testing.elsewhere``: what a component is like in a process that knows nothing yet.

Takes a JSON object on stdin (``what``, ``plugin`` as name and module, ``kind``, ``spec``) and prints one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import metadata
from typing import Any

from toolbox.plugin.registry import GROUP, Registry

SAMPLES = 2000
"""Samples of a dataset that are looked at."""

KEYS = 8
"""Copies whose parameters are drawn."""


def main() -> None:
    """Answer what stdin asks."""
    asked = json.load(sys.stdin)
    point = metadata.EntryPoint(name=asked["plugin"][0], value=asked["plugin"][1], group=GROUP)
    if asked["what"] == "registration":
        before = set(sys.modules)
        Registry([point])
        answer: dict[str, Any] = {"modules": sorted(set(sys.modules) - before)}
    else:
        others = [each for each in metadata.entry_points(group=GROUP) if each.name != point.name]
        registry = Registry([*others, point])
        answer = {"answer": fingerprint(registry.make(asked["kind"], asked["spec"]))}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def fingerprint(made: Any) -> str:
    """SHA-256 over what must be the same in every process: a dataset's samples in their order, a draw's parameters."""
    from itertools import islice

    from toolbox.api.dataset import Dataset

    if isinstance(made, Dataset):
        lines: list[Any] = [
            [sample.id, sample.path, sample.label, sample.group, sample.split]
            for sample in islice(made.samples(), SAMPLES)
        ]
    else:
        from toolbox.testing.pictures import drawn

        lines = [drawn(made, number) for number in range(KEYS)]
    return hashlib.sha256(json.dumps(lines, default=str).encode()).hexdigest()


if __name__ == "__main__":
    main()
