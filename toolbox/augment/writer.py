"""Write an augmented set, shard by shard: safe to kill, and the same bytes however often it was interrupted.

The lineage is the log of a :class:`~toolbox.files.resumable_folder.ResumableFolder`. It is always the beginning of the
finished set's lineage: copies after its end are made again.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from toolbox.api.augmenter import Augmenter
from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.progress import Reporter
from toolbox.augment import lineage
from toolbox.augment.lineage import Line
from toolbox.augment.plan import size_of_one
from toolbox.augment.recipe import (
    FILE_NAME,
    FOLDER,
    Recipe,
    build_recipe,
    count_files,
    load_set,
    select_sources,
    split_copies,
)
from toolbox.augment.worker import CopyRange, Shard, Worker
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.files import atomic
from toolbox.files.names import safe_name
from toolbox.files.resumable_folder import ResumableFolder
from toolbox.plugin import guard
from toolbox.plugin.engines import build_engine
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.settings import environment
from toolbox.settings.schema import Settings

SHARD = 128
"""Files that a worker makes at a time."""

MANY = 20
"""Copies of each source from which on a set is likely to be worth several processes."""

WORKER_MODULES = ("cv2", "simplejpeg", "toolbox.augment.worker")
"""What a worker process can import while the sources are still being read."""

SYNC = 2048
"""Files between two syncs: a sync for each costs more than making them."""

_PACKAGES = ("vision-toolbox", "numpy", "pillow", "opencv-python-headless", "simplejpeg", "kornia")


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


def augment(
    settings: Settings,
    load_split: Callable[[], SplitDataset],
    workspace: Path,
    out: Path | None,
    registry: Registry,
    reporter: Reporter,
) -> AugmentResult:
    """Write the set that ``settings`` describe to ``out``, or to its place in ``workspace``; see :func:`write_set`.

    Worker processes start while ``load_split`` still reads the sources.
    """
    options = settings.augment
    # Report an unknown augmenter before hundreds of photos are read.
    augmenter = registry.augmenter(parse(options.augmenter))
    with contextlib.closing(build_engine(registry, options.engine, options.workers)) as engine:
        if options.workers or options.factor >= MANY:
            engine.start(WORKER_MODULES)
        split = load_split()
        recipe = build_recipe(settings, split.manifest)
        return write_set(
            recipe,
            split.manifest,
            split.source,
            augmenter,
            out or workspace / FOLDER / recipe.name,
            reporter,
            engine=engine,
            batch_size=options.batch_size,
        )


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
    """Write the set of ``recipe`` to ``final``, or resume an interrupted call.

    Neither ``engine`` nor ``batch_size`` (copies of a source at a time) changes a byte of it.

    Raises
    ------
    EnvironmentFailure: another process writes the set; the disk is too small, full or read-only.
    UsageError: ``final`` lies in the dataset or holds something else.
    """
    if source.holds(final):
        raise UsageError(
            f"{final} lies in the dataset's own folder, where its copies would become images of the dataset",
            "Choose another folder with --out.",
        )
    rows = select_sources(recipe.protocol, manifest)
    counts = count_files(recipe, rows)
    total = sum(counts.values())
    start = time.perf_counter()
    content = {**recipe.document(), "made_by": environment.versions_of(_PACKAGES)}
    folder = ResumableFolder(final, FILE_NAME, content, lineage.FILE_NAME)
    with folder.lock("augmenting"):
        if final.exists() and any(final.iterdir()):
            check_same(recipe, final)
            skipped = total
        else:
            folder.begin()
            skipped = lineage.repair(folder.log, ((row.id, number) for row in rows for number in range(counts[row.id])))
            if skipped < total:
                with folder.staging() as staging, guard.isolate(augmenter, reporter):
                    for name in {safe_name(row.label) for row in rows}:
                        atomic.make_folder(staging / name)
                    worker = Worker(recipe, source, augmenter, staging, batch_size)
                    left = total - skipped
                    _check_disk(left, left * size_of_one(worker, rows[0], counts), folder.partial, reporter)
                    _write(worker, _shards(rows, counts, skipped), engine, folder, left, reporter)
            if (written := lineage.count(folder.log)) != total:
                raise RuntimeError(f"an engine wrote {written} of {total} files")
            write_manifest(recipe, {row.id: row for row in manifest.rows}, folder.partial)
            folder.finish()
    seconds = time.perf_counter() - start if skipped < total else 0.0
    return AugmentResult(final, len(rows), total - skipped, skipped, seconds)


def check_same(recipe: Recipe, folder: Path) -> None:
    """Check that ``folder`` holds the set of ``recipe``.

    Raises
    ------
    UsageError: it holds something else.
    """
    other = load_set(folder).recipe
    if other.document() != recipe.document():
        raise UsageError(
            f"{folder} holds a set of another recipe ({other.name}, not {recipe.name})",
            "Choose another folder with --out, or delete that one.",
        )


def _shards(rows: Sequence[Row], counts: Mapping[str, int], skipped: int) -> Iterator[list[CopyRange]]:
    """Yield what is left after ``skipped`` files, in order, about :data:`SHARD` files at a time."""
    shard: list[CopyRange] = []
    for row in rows:
        count = counts[row.id]
        for first in range(min(skipped, count), count, SHARD):
            copies = CopyRange(row, first, min(first + SHARD, count))
            if shard and sum(map(len, shard)) + len(copies) > SHARD:
                yield shard
                shard = []
            shard.append(copies)
        skipped = max(0, skipped - count)
    if shard:
        yield shard


def _write(
    worker: Worker,
    shards: Iterable[list[CopyRange]],
    engine: Engine,
    folder: ResumableFolder,
    total: int,
    reporter: Reporter,
) -> None:
    """Have the shards made, and commit them in a thread while the next ones are being made."""
    bar = reporter.task("augmenting", total, "images")
    pending: list[Shard] = []
    commit: Future[None] | None = None

    def commit_shards(shards: Sequence[Shard]) -> None:
        paths = [path for shard in shards for path in shard.paths]
        folder.commit(worker.folder, paths, (line for shard in shards for line in shard.lines))

    with ThreadPoolExecutor(1) as writer_thread:
        try:
            # Closing ends the workers, so that none writes to the staging folder after it is deleted.
            with contextlib.closing(engine.map(worker, shards)) as results:
                for shard in results:
                    pending.append(shard)
                    bar.advance(len(shard.paths))
                    if sum(len(each.paths) for each in pending) >= SYNC:
                        if commit is not None:
                            commit.result()
                        commit = writer_thread.submit(commit_shards, pending)
                        pending = []
        except BaseException:
            # Interrupted, or the disk is full: keep the shards that are whole, if possible.
            if commit is None or commit.exception() is None:
                with contextlib.suppress(EnvironmentFailure):
                    commit_shards(pending)
            raise
        else:
            if commit is not None:
                commit.result()
            # In the thread too: an interruption waits for it, so that the log names every file in place.
            writer_thread.submit(commit_shards, pending).result()
        finally:
            bar.close()


def write_manifest(recipe: Recipe, origins: Mapping[str, Row], folder: Path) -> None:
    """Write the set's manifest from its lineage, line by line, since a set may be far larger than its dataset.

    ``origins``: the sources by id. Copies of other sources are left out.
    """
    lines = lineage.read(folder / lineage.FILE_NAME)
    copies = (_row(line, origins[line.source], recipe) for line in lines if line.source in origins)
    rows = split_copies(recipe, copies)
    # No root: paths are relative to the manifest, since the folder may be moved.
    manifests.write_table(rows, folder / manifests.FILE_NAME, extra=("copy", "source"))


def _row(line: Line, origin: Row, recipe: Recipe) -> Row:
    return Row(
        id=line.path,
        path=line.path,
        label=origin.label,
        # Copies of one source stay together when this set is split again.
        group=origin.group or origin.id,
        split="train",
        sha256=line.sha256,
        width=recipe.size,
        height=recipe.size,
        columns={"source": line.source, "copy": str(line.copy)},
    )


def _check_disk(files: int, size: int, folder: Path, reporter: Reporter) -> None:
    free = shutil.disk_usage(folder).free
    text = f"{files:,} copies need about {size / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free"
    if size > free:
        raise EnvironmentFailure(text, "Free some space, lower --factor, or choose another folder with --out.")
    reporter.info(text)
