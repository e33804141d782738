"""What a dataset holds, in figures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.data import manifest as manifests
from toolbox.data.index import Index
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source

SAMPLES_A_CLASS = 5


@dataclass(frozen=True)
class WorkspaceSplit:
    """A workspace's split, as far as it says something of the dataset looked at. ``stale``: the dataset has changed."""

    split: dict[str, str]
    stale: bool


def load_workspace_split(
    workspace: Path, source: Source, rows: Sequence[Row], reporter: Reporter
) -> WorkspaceSplit | None:
    """The split that the workspace's manifest deals to ``rows``; ``None`` if it is of another dataset."""
    path = workspace / manifests.FILE_NAME
    try:
        if not path.is_file() or manifests.read_sidecar(path).get("data") != source.spec:
            return None
        manifest = manifests.read(path)
    except UsageError as error:
        reporter.warn(f"{error.message}; the split shown is the dataset's own")
        return None
    now = {(row.id, row.label, row.pixels) for row in rows}
    stale = now != {(row.id, row.label, row.pixels) for row in manifest.rows}
    return WorkspaceSplit({row.id: row.split for row in manifest.rows}, stale)


def apply_split(manifest: Manifest, workspace_split: WorkspaceSplit | None) -> Manifest:
    """``found`` with the workspace's split, and the dataset's own for what that doesn't name."""
    if workspace_split is None:
        return manifest
    return replace(
        manifest, rows=tuple(row.with_split(workspace_split.split.get(row.id, row.split)) for row in manifest.rows)
    )


def summarize(index: Index, source: Source, workspace_split: WorkspaceSplit | None = None) -> dict[str, Any]:
    """Counts by class and split, sizes, modes, groups, duplicates, notes, and what could not be read.

    ``split_from`` says whose split ``counts`` follows: ``manifest.csv`` (the workspace's), ``dataset``, or nobody's.
    """
    rows = index.manifest.rows
    widths, heights = [row.width for row in rows], [row.height for row in rows]
    by_class = Counter(row.label for row in rows)
    copies = Counter(row.pixels for row in rows)
    sizes = Counter((row.width, row.height) for row in rows)
    own = "dataset" if any(row.split for row in rows) else ""
    return {
        "data": source.spec,
        "note": source.dataset.note,
        "images": len(rows),
        "classes": {label: by_class[label] for label in index.manifest.classes},
        "counts": apply_split(index.manifest, workspace_split).counts(),
        "split_from": manifests.FILE_NAME if workspace_split else own,
        "split_stale": workspace_split is not None and workspace_split.stale,
        "imbalance": round(max(by_class.values()) / min(by_class.values()), 2),
        "groups": len({row.group for row in rows if row.group}),
        "width": {"min": min(widths), "median": median(widths), "max": max(widths)},
        "height": {"min": min(heights), "median": median(heights), "max": max(heights)},
        "sizes": [{"width": w, "height": h, "images": count} for (w, h), count in sizes.most_common(5)],
        "different_sizes": len(sizes),
        "modes": dict(sorted(Counter(index.modes).items())),
        "identical": sum(count - 1 for count in copies.values() if count > 1),
        "notes": [{"path": path, "note": note} for path, note in index.notes],
        "quarantined": [{"path": item.path, "reason": item.reason} for item in index.quarantined],
    }


def draw_samples(manifest: Manifest, seed: int, count: int = SAMPLES_A_CLASS) -> dict[str, list[Row]]:
    """``count`` random samples of each class (all, where it has fewer), the same for one seed on every machine."""

    def place(row: Row) -> bytes:
        return hashlib.sha256(f"{seed}/{row.id}".encode()).digest()

    chosen: dict[str, list[Row]] = {label: [] for label in manifest.classes}
    for row in sorted(manifest.rows, key=place):
        if len(chosen[row.label]) < count:
            chosen[row.label].append(row)
    return chosen
