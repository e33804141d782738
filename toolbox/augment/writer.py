"""Makes an augmented set: shard by shard, safe to kill, and the same however often it was interrupted.

A shard's files are written into a staging folder of this run alone, made durable together, renamed into the set, and
then named in the lineage. So a file that the lineage names is whole, whatever happened, and workers that outlive a
killed run by a moment have nowhere to write. The lineage is always the beginning of the one that the finished set
will have: what is behind its end is made again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from toolbox import environment
from toolbox.api.augmenter import Augmenter
from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.progress import Reporter
from toolbox.augment import lineage
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, Recipe, count_files, load_set, select_sources, split_copies
from toolbox.augment.worker import CopyRange, Shard, Worker
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.files import atomic
from toolbox.files.locks import hold_lock
from toolbox.files.names import safe_name

SHARD = 128
MANY = 20
"""Copies of each source from which on a set is likely to be worth several processes."""

WORKER_MODULES = ("cv2", "simplejpeg", "toolbox.augment.worker")
"""Files that a worker makes at a time."""

SYNC = 2048
"""Files between two syncs: a sync for each costs more than making them."""

_PACKAGES = ("vision-toolbox", "numpy", "pillow", "opencv-python-headless", "simplejpeg", "kornia")
_STAGING = ".staging-"


@dataclass(frozen=True)
class AugmentResult:
    """What :func:`write_set` did: ``written`` files now, ``skipped`` that were there already."""

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
    job = Worker(recipe, source, augmenter, Path())
    wanted = count_files(recipe, rows)
    _size_of_one(job, rows[0], wanted)  # the first call pays for imports and warming up
    start = time.perf_counter()
    size = _size_of_one(job, rows[0], wanted)
    seconds = (time.perf_counter() - start) / min(wanted[rows[0].id], _SAMPLE)
    files = sum(wanted.values())
    return Estimate(files, files * size, seconds * files / (workers or os.cpu_count() or 1))


def write_set(
    recipe: Recipe,
    manifest: Manifest,
    source: Source,
    augmenter: Augmenter,
    final: Path,
    reporter: Reporter,
    *,
    engine: Engine,
    batch_size: int = 64,
) -> AugmentResult:
    """Make the set of ``recipe`` at ``final``, or go on where an interrupted run left it.

    The set is built under a hidden name and takes its own when it is complete. Neither ``engine`` nor ``batch_size``
    (copies of a source at a time) changes a byte of it.

    Raises
    ------
    EnvironmentFailure: another process is at it, the disk is too small, full or read-only.
    UsageError: there is something else at ``final``.
    """
    rows = select_sources(recipe.protocol, manifest)
    wanted = count_files(recipe, rows)
    total = sum(wanted.values())
    start = time.perf_counter()
    lock = f".{final.name}.lock"
    with hold_lock(final.parent, "augmenting", lock):
        if final.exists() and any(final.iterdir()):
            check_same(recipe, final)
            done = total
        else:
            partial = final.with_name(f".{final.name}.partial")
            _begin(recipe, rows, partial)
            keys = ((row.id, number) for row in rows for number in range(wanted[row.id]))
            done = lineage.repair(partial / lineage.FILE_NAME, keys)
            if done < total:
                with _staging(rows, partial) as staging:
                    job = Worker(recipe, source, augmenter, staging, batch_size)
                    _check_disk(total - done, (total - done) * _size_of_one(job, rows[0], wanted), partial, reporter)
                    _write(job, _shards(rows, wanted, done), engine, partial, total - done, reporter)
            if (whole := lineage.count(partial / lineage.FILE_NAME)) != total:
                raise RuntimeError(f"an engine made {whole} of {total} files")
            _finish(recipe, manifest, partial, final)
        if os.name != "nt":  # which deletes no open file; it stays, and is in nobody's way
            (final.parent / lock).unlink(missing_ok=True)
    return AugmentResult(final, len(rows), total - done, done, time.perf_counter() - start if done < total else 0.0)


def check_same(recipe: Recipe, folder: Path) -> None:
    """Refuse a folder that holds anything but the set of ``recipe``.

    Raises
    ------
    UsageError: it does.
    """
    found = load_set(folder).recipe
    if found.document() != recipe.document():
        raise UsageError(
            f"{folder} holds a set of another recipe ({found.name}, not {recipe.name})",
            "Choose another folder with --out, or delete that one.",
        )


def _begin(recipe: Recipe, rows: Sequence[Row], partial: Path) -> None:
    """Make the folders. What is there of another recipe, or was made by other versions, goes: sets never mix."""
    document = {**recipe.document(), "made_by": environment.versions_of(_PACKAGES)}
    text = atomic.json_text(document)
    atomic.make_folder(partial)
    with atomic.translate_os_errors("read", partial):
        path = partial / FILE_NAME
        if not path.exists() or path.read_text("utf-8") != text:
            for other in partial.iterdir():
                shutil.rmtree(other) if other.is_dir() else other.unlink()
            atomic.write_text(path, text)
    _sweep(partial)
    for folder in _class_folders(rows):
        atomic.make_folder(partial / folder)


@contextlib.contextmanager
def _staging(rows: Sequence[Row], partial: Path) -> Iterator[Path]:
    """A folder for this run alone, with class folders in it; gone when the block ends."""
    with atomic.translate_os_errors("write", partial):
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=partial))
        for folder in _class_folders(rows):
            (staging / folder).mkdir()
    try:
        yield staging
    finally:
        # A thread that was just being started when the user interrupted is waited for by nobody.
        _taken_away(staging)


def _sweep(partial: Path) -> None:
    """Take away what killed runs were about to write. Their workers end with them, but it may take a moment."""
    for path in [path for path in partial.iterdir() if path.name.startswith(_STAGING)]:
        if not _taken_away(path):
            raise EnvironmentFailure(f"can't delete {path}", "Stop what writes there, and run this again.")


def _taken_away(folder: Path) -> bool:
    """Delete ``folder``, into which somebody may write for a moment more; whether it is gone."""
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _class_folders(rows: Sequence[Row]) -> list[str]:
    return sorted({safe_name(row.label) for row in rows})


def _shards(rows: Sequence[Row], wanted: Mapping[str, int], done: int) -> Iterator[list[CopyRange]]:
    """What is left after ``done`` files, in order, about :data:`SHARD` files at a time."""
    shard: list[CopyRange] = []
    for row in rows:
        count = wanted[row.id]
        for first in range(min(done, count), count, SHARD):
            task = CopyRange(row, first, min(first + SHARD, count))
            if shard and sum(map(len, shard)) + len(task) > SHARD:
                yield shard
                shard = []
            shard.append(task)
        done = max(0, done - count)
    if shard:
        yield shard


def _write(
    job: Worker, shards: Iterable[list[CopyRange]], engine: Engine, folder: Path, total: int, reporter: Reporter
) -> None:
    """Have the shards made, and settle them while the next ones are being made."""
    bar = reporter.task("augmenting", total, "images")
    pending: list[Shard] = []
    settling: Future[None] | None = None
    with ThreadPoolExecutor(1) as clerk:
        try:
            # Closed at once if it is left early: nobody writes any more when the staging folder goes.
            with contextlib.closing(engine.map(job, shards)) as results:
                for made in results:
                    pending.append(made)
                    bar.advance(len(made.paths))
                    if sum(len(each.paths) for each in pending) >= SYNC:
                        if settling is not None:
                            settling.result()
                        settling = clerk.submit(_settle, pending, job.folder, folder)
                        pending = []
        except BaseException:
            # Interrupted, or the disk is full: what is whole is kept, if it can be.
            if settling is None or settling.exception() is None:
                with contextlib.suppress(EnvironmentFailure):
                    _settle(pending, job.folder, folder)
            raise
        else:
            if settling is not None:
                settling.result()
            # By the clerk too: an interruption waits for it, and leaves no file that the lineage does not name.
            clerk.submit(_settle, pending, job.folder, folder).result()
        finally:
            bar.close()


def _settle(shards: Sequence[Shard], staging: Path, folder: Path) -> None:
    """Make files durable, then give them their names, then name them in the lineage."""
    paths = [path for made in shards for path in made.paths]
    with atomic.translate_os_errors("write", folder):
        atomic.sync_files(staging, paths)
        for path in paths:
            os.replace(f"{staging}/{path}", f"{folder}/{path}")  # noqa: PTH105  # thousands a second
        for name in {path.rpartition("/")[0] for path in paths}:
            atomic.sync_folder(folder / name)
    lineage.append(folder / lineage.FILE_NAME, (line for made in shards for line in made.lines))


def _finish(recipe: Recipe, manifest: Manifest, partial: Path, final: Path) -> None:
    write_manifest(recipe, {row.id: row for row in manifest.rows}, partial)
    _sweep(partial)
    with atomic.translate_os_errors("rename", partial):
        if final.exists():
            final.rmdir()  # empty: it was made for this
        partial.rename(final)
        atomic.sync_folder(final.parent)


def write_manifest(recipe: Recipe, origins: Mapping[str, Row], folder: Path) -> None:
    """Write the set's manifest from its lineage, line by line: a set may be a thousand times larger than its
    dataset. ``origins`` are the sources by their ids; copies of others are left out."""
    lines = lineage.read(folder / lineage.FILE_NAME)
    found = (_row(line, origins[line.source], recipe) for line in lines if line.source in origins)
    rows = split_copies(recipe, found)
    # The set may be moved as a folder: no root, paths are relative to the manifest.
    manifests.write_table(rows, folder / manifests.FILE_NAME, extra=("copy", "source"))


def _row(line: Line, origin: Row, recipe: Recipe) -> Row:
    return Row(
        id=line.path,
        path=line.path,
        label=origin.label,
        # Copies of one source never part, whoever splits this set again.
        group=origin.group or origin.id,
        split="train",
        sha256=line.sha256,
        width=recipe.size,
        height=recipe.size,
        columns={"source": line.source, "copy": str(line.copy)},
    )


_SAMPLE = 20


def _size_of_one(job: Worker, row: Row, wanted: Mapping[str, int]) -> int:
    """Bytes on disk of a copy, from some of the first source. A file takes whole blocks, 4 KiB on the usual disks."""
    sizes = [len(data) for _, data in job.files_of(CopyRange(row, 0, min(wanted[row.id], _SAMPLE)))]
    return int(sum(sizes) / len(sizes) // 4096 + 1) * 4096


def _check_disk(files: int, size: int, folder: Path, reporter: Reporter) -> None:
    free = shutil.disk_usage(folder).free
    text = f"{files:,} copies need about {size / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free"
    if size > free:
        raise EnvironmentFailure(text, "Free some space, lower --factor, or choose another folder with --out.")
    reporter.info(text)
