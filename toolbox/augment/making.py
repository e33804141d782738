"""Makes an augmented set: shard by shard, safe to kill, and the same however often it was interrupted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from toolbox.augment import engines, lineage
from toolbox.augment.job import Job, Task
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, Recipe, counts, dealt, sources
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.errors import EnvironmentFailure, UsageError
from toolbox.files import atomic
from toolbox.files.locks import only_one
from toolbox.plugin.protocols import Augmenter
from toolbox.progress import Reporter

SHARD = 128
"""Files that a worker makes at a time."""

SYNC = 2048
"""Files between two syncs: a sync for each costs more than making them."""


@dataclass(frozen=True)
class Result:
    """What :func:`run` did: ``written`` files now, ``skipped`` that were there already."""

    path: Path
    sources: int
    written: int
    skipped: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Files written a second."""
        return self.written / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Estimate:
    """What a set will take, measured on the copies of one source."""

    files: int
    bytes: int
    seconds: float


def estimate(recipe: Recipe, rows: Sequence[Row], source: Source, augmenter: Augmenter, workers: int = 0) -> Estimate:
    """Disk and time for the copies of ``rows``, from making some of the first one (in memory)."""
    job = Job(recipe, source, augmenter, Path())
    few = Task(rows[0], min(max(counts(recipe, rows).values()), 20))
    list(job.files_of(few))  # the first call pays for imports and warming up
    start = time.perf_counter()
    sample = [len(data) for _, data in job.files_of(few)]
    seconds = (time.perf_counter() - start) / len(sample)
    files = sum(counts(recipe, rows).values())
    # A file takes whole blocks of the disk, 4 KiB on the usual ones.
    size = int(files * (sum(sample) / len(sample) // 4096 + 1) * 4096)
    return Estimate(files, size, seconds * files / (workers or os.cpu_count() or 1))


def run(
    recipe: Recipe,
    manifest: Manifest,
    source: Source,
    augmenter: Augmenter,
    final: Path,
    reporter: Reporter,
    *,
    workers: int = 0,
    batch_size: int = 64,
) -> Result:
    """Make the set of ``recipe`` at ``final``, or go on where an interrupted run left it.

    The set is built under a hidden name and takes its own when it is complete. Neither ``workers`` (0: as many as
    there are cores) nor ``batch_size`` (copies of a source at a time) changes a byte of it.

    Raises
    ------
    EnvironmentFailure: another process is at it, the disk is too small, full or read-only.
    UsageError: there is something else at ``final``.
    """
    rows = sources(recipe.protocol, manifest)
    wanted = counts(recipe, rows)
    total = sum(wanted.values())
    if final.exists():
        check_same(recipe, final)
        return Result(final, len(rows), 0, total, 0.0)
    partial = final.with_name(f".{final.name}.partial")
    start = time.perf_counter()
    with only_one(partial, "augmenting"):
        done = _begin(recipe, wanted, partial)
        rest = [Task(row, wanted[row.id]) for row in rows if row.id not in done]
        written = sum(task.count for task in rest)
        if rest:
            _check_disk(estimate(recipe, [task.row for task in rest], source, augmenter, workers), partial, reporter)
            job = Job(recipe, source, augmenter, partial, batch_size)
            _write(job, rest, engines.choose(workers, job, written), reporter)
        _finish(recipe, manifest, partial)
    (partial / ".lock").unlink(missing_ok=True)
    with atomic.told("rename", partial):
        partial.rename(final)
    return Result(final, len(rows), written, total - written, time.perf_counter() - start)


def check_same(recipe: Recipe, folder: Path) -> None:
    """Refuse a folder that holds anything but the set of ``recipe``.

    Raises
    ------
    UsageError: it does.
    """
    from toolbox.augment.recipe import load

    found = load(folder).recipe
    if found.document() != recipe.document():
        raise UsageError(
            f"{folder} holds a set of another recipe ({found.name}, not {recipe.name})",
            "Choose another folder with --out, or delete that one.",
        )


def _begin(recipe: Recipe, wanted: dict[str, int], partial: Path) -> set[str]:
    """The sources whose files an interrupted run has finished. What is of another recipe is begun anew."""
    with atomic.told("read", partial):
        path = partial / FILE_NAME
        document = atomic.json_text(recipe.document())
        if not path.exists() or path.read_text("utf-8") != document:
            for other in partial.iterdir():
                if other.name != ".lock":
                    shutil.rmtree(other) if other.is_dir() else other.unlink()
            atomic.write_text(path, document)
    return lineage.repair(partial / lineage.FILE_NAME, wanted)


def _write(job: Job, tasks: Sequence[Task], engine: engines.Engine, reporter: Reporter) -> None:
    bar = reporter.task("augmenting", sum(task.count for task in tasks), "images")
    pending: list[Line] = []
    try:
        for lines in engine.map(job, _shards(tasks)):
            pending.extend(lines)
            bar.advance(len(lines))
            if len(pending) >= SYNC:
                _settle(pending, job.folder)
        _settle(pending, job.folder)
    finally:
        bar.close()


def _settle(pending: list[Line], folder: Path) -> None:
    """Make the files of ``pending`` durable, then name them in the lineage."""
    if hasattr(os, "sync"):
        os.sync()
    lineage.append(folder / lineage.FILE_NAME, pending)
    pending.clear()


def _finish(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    """Write the set's manifest, line by line: a set may be a thousand times larger than its dataset."""
    by_id = {row.id: row for row in manifest.rows}
    rows = dealt(recipe, (_row(line, by_id[line.source], recipe) for line in lineage.read(folder / lineage.FILE_NAME)))
    # The set may be moved as a folder: no root, paths are relative to the manifest.
    manifests.write_table(rows, folder / manifests.FILE_NAME, extra=("copy", "source"))


def _row(line: Line, origin: Row, recipe: Recipe) -> Row:
    return Row(
        id=line.path,
        path=line.path,
        label=origin.label,
        # Copies of one source never part, whoever splits this set again.
        group=origin.group or origin.id,
        sha256=line.sha256,
        width=recipe.size,
        height=recipe.size,
        columns={"source": line.source, "copy": str(line.copy)},
    )


def _shards(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks in order, about :data:`SHARD` files at a time."""
    rest = iter(tasks)
    for task in rest:
        yield [task, *islice(rest, max(0, SHARD // max(1, task.count) - 1))]


def _check_disk(needed: Estimate, folder: Path, reporter: Reporter) -> None:
    free = shutil.disk_usage(folder).free
    text = f"{needed.files:,} copies need about {needed.bytes / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free"
    if needed.bytes > free:
        raise EnvironmentFailure(text, "Free some space, lower --factor, or choose another folder with --workspace.")
    reporter.info(text)
