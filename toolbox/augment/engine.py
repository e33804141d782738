"""Makes an augmented set: shard by shard, safe to kill, and the same however often it was interrupted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolbox.augment import copies, lineage
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, FOLDER, Recipe, dealt, sources
from toolbox.data import manifest as manifests
from toolbox.data.index import threaded
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.errors import EnvironmentFailure
from toolbox.files import atomic, fingerprint
from toolbox.files.locks import only_one
from toolbox.files.names import safe_name
from toolbox.plugin.protocols import Augmenter
from toolbox.progress import Reporter, Task

SHARD = 512
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


def estimate(recipe: Recipe, rows: Sequence[Row], source: Source, augmenter: Augmenter) -> Estimate:
    """Disk and time for the copies of ``rows``, from making those of the first one (in memory)."""
    _files_of(rows[0], recipe, source, augmenter)  # the first call pays for imports and warming up
    start = time.perf_counter()
    sample = _files_of(rows[0], recipe, source, augmenter)
    seconds = (time.perf_counter() - start) * len(rows)
    mean = sum(len(data) for _, data in sample) / len(sample)
    files = len(rows) * recipe.factor
    # A file takes whole blocks of the disk, 4 KiB on the usual ones.
    return Estimate(files, int(files * (mean // 4096 + 1) * 4096), seconds)


def run(
    recipe: Recipe, manifest: Manifest, source: Source, augmenter: Augmenter, workspace: Path, reporter: Reporter
) -> Result:
    """Make the set of ``recipe`` in ``workspace/augmented``, or go on where an interrupted run left it.

    The set is built under a hidden name and takes its own when it is complete.

    Raises
    ------
    EnvironmentFailure: another process is at it, the disk is too small, full or read-only.
    """
    rows = sources(recipe.protocol, manifest)
    final = workspace / FOLDER / recipe.name
    total = len(rows) * recipe.factor
    if final.exists():
        return Result(final, len(rows), 0, total, 0.0)
    partial = final.with_name(f".{recipe.name}.partial")
    start = time.perf_counter()
    with only_one(partial, "augmenting"):
        done = lineage.repair(partial / lineage.FILE_NAME)
        finished = {line.source for line in done}
        rest = [row for row in rows if row.id not in finished]
        if rest:
            _check_disk(estimate(recipe, rest, source, augmenter), partial)
            _write(recipe, rest, source, augmenter, partial, reporter)
        _finish(recipe, manifest, partial)
    (partial / ".lock").unlink(missing_ok=True)
    with atomic.told("rename", partial):
        partial.rename(final)
    written = len(rest) * recipe.factor
    return Result(final, len(rows), written, total - written, time.perf_counter() - start)


def _write(
    recipe: Recipe, rows: Sequence[Row], source: Source, augmenter: Augmenter, folder: Path, reporter: Reporter
) -> None:
    task = reporter.task("augmenting", len(rows) * recipe.factor, "images")
    try:
        for shard in _shards(rows, recipe.factor):
            made = threaded(lambda row: _files_of(row, recipe, source, augmenter), shard)
            lines: list[Line] = []
            for files in made:
                lines.extend(_place(files, folder, task))
            if hasattr(os, "sync"):
                os.sync()
            lineage.append(folder / lineage.FILE_NAME, lines)
    finally:
        task.close()


def _place(files: list[tuple[Line, bytes]], folder: Path, task: Task) -> Iterator[Line]:
    """Write one source's files. Until the lineage names them they don't count, so no rename is needed."""
    for line, data in files:
        path = folder / line.path
        with atomic.told("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        task.advance()
        yield line


def _files_of(row: Row, recipe: Recipe, source: Source, augmenter: Augmenter) -> list[tuple[Line, bytes]]:
    """The files of one source with their lineage, in memory."""
    image = source.image(row)
    numbers = list(range(1 if recipe.include_source else 0, recipe.factor))
    params = copies.draws(augmenter, image, row.pixels, recipe.seed, numbers)
    arrays = list(copies.make(augmenter, image, params, recipe.size)) if params else []
    if recipe.include_source:
        numbers, params, arrays = [0, *numbers], [{}, *params], [copies.resized(image, recipe.size), *arrays]
    files = []
    for number, drawn, array in zip(numbers, params, arrays, strict=True):
        data = copies.encode(array, recipe)
        name = _path(row, number, recipe)
        digest = fingerprint.of_bytes(data)
        files.append((Line(name, row.id, row.pixels, number, recipe.seed, dict(drawn), digest), data))
    return files


def _path(row: Row, copy: int, recipe: Recipe) -> str:
    """Class folder, the source's name, a piece of its id's hash (names repeat between folders), copy number."""
    stem = safe_name(PurePosixPath(row.path).stem)[:60]
    digest = fingerprint.of_bytes(row.id.encode())[:8]
    return f"{safe_name(row.label)}/{stem}-{digest}-{copy:04d}{copies.SUFFIX[recipe.format]}"


def _finish(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    """Write the set's manifest and recipe."""
    by_id = {row.id: row for row in manifest.rows}
    rows = []
    for line in lineage.read(folder / lineage.FILE_NAME):
        origin = by_id[line.source]
        rows.append(
            Row(
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
        )
    # The set may be moved as a folder: no root, paths are relative to the manifest.
    manifests.write_table(dealt(recipe, rows), folder / manifests.FILE_NAME)
    atomic.write_json(folder / FILE_NAME, recipe.document())


def _shards(rows: Sequence[Row], factor: int) -> Iterator[Sequence[Row]]:
    step = max(1, SHARD // factor)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _check_disk(needed: Estimate, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed.bytes > free:
        raise EnvironmentFailure(
            f"{needed.files:,} copies need about {needed.bytes / 1e9:.1f} GB; {folder.parent} has {free / 1e9:.1f} GB",
            "Free some space, lower --factor, or choose another folder with --workspace.",
        )
