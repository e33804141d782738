"""What an augmented set will take, measured on the copies of one source."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolbox.augment.recipe import FOLDER, Recipe, build_recipe, count_files, select_sources
from toolbox.augment.worker import CopyRange, Worker
from toolbox.data.manifest import Row
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import Settings

_SAMPLE = 20


@dataclass(frozen=True)
class AugmentPlan:
    """A set that ``toolbox augment`` would write, with its disk space and time."""

    recipe: Recipe
    files: int
    bytes: int
    seconds: float
    exists: bool


def plan_set(settings: Settings, split: SplitDataset, workspace: Path, registry: Registry) -> AugmentPlan:
    """Plan the set that ``settings`` describe; some copies of one source are made in memory, nothing is written."""
    recipe = build_recipe(settings, split.manifest)
    worker = Worker(recipe, split.source, registry.augmenter(recipe.spec), Path())
    rows = select_sources(recipe.protocol, split.manifest)
    counts = count_files(recipe, rows)
    size_of_one(worker, rows[0], counts)  # warm up: the first call pays for imports
    start = time.perf_counter()
    size = size_of_one(worker, rows[0], counts)
    seconds = (time.perf_counter() - start) / min(counts[rows[0].id], _SAMPLE)
    files, workers = sum(counts.values()), settings.augment.workers or os.cpu_count() or 1
    exists = (workspace / FOLDER / recipe.name).exists()
    return AugmentPlan(recipe, files, files * size, seconds * files / workers, exists)


def size_of_one(worker: Worker, row: Row, counts: Mapping[str, int]) -> int:
    """Estimate the bytes of a copy on disk from some copies of ``row``. Files take whole blocks, usually of 4 KiB."""
    sizes = [len(data) for _, data in worker.files_of(CopyRange(row, 0, min(counts[row.id], _SAMPLE)))]
    return int(sum(sizes) / len(sizes) // 4096 + 1) * 4096
