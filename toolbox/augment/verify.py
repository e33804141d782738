"""Verify an augmented set against its lineage, or replay the lineage."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.augment import lineage
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, Recipe, load_set
from toolbox.augment.worker import Worker, write_file
from toolbox.augment.writer import SHARD, write_manifest
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Row
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.files import atomic, fingerprint
from toolbox.files.resumable_folder import ResumableFolder
from toolbox.plugin import guard
from toolbox.plugin.engines import build_engine
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import AugmentSettings

_OWN = frozenset({FILE_NAME, lineage.FILE_NAME, manifests.FILE_NAME, "manifest.json"})


@dataclass(frozen=True)
class VerifyResult:
    """The differences between a set and its lineage, as paths within the set."""

    path: Path
    files: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether every file is there and unchanged, and no other."""
        return not (self.missing or self.changed or self.extra)


@dataclass(frozen=True)
class ReplayResult:
    """A replay: ``different`` files have other bytes than the lineage says, ``lost`` ones have no source here."""

    path: Path
    written: int
    different: tuple[str, ...]
    lost: tuple[str, ...]


def verify(folder: Path, reporter: Reporter) -> VerifyResult:
    """Compare each file's SHA-256 with what the lineage says of it.

    Raises
    ------
    UsageError: ``folder`` is not an augmented set.
    """
    load_set(folder)
    path = folder / lineage.FILE_NAME
    total = lineage.count(path)
    states = map_in_threads(lambda line: (line.path, _state(folder / line.path, line)), lineage.read(path))
    known = set(_OWN)
    bad: dict[str, list[str]] = {"missing": [], "changed": []}
    for name, state in tracked(states, reporter, "verifying", total, "files"):
        known.add(name)
        if state:
            bad[state].append(name)
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    extra = sorted(name for name in names if name not in known)
    return VerifyResult(folder, total, tuple(bad["missing"]), tuple(bad["changed"]), tuple(extra))


def replay(
    path: Path,
    load_split: Callable[[], SplitDataset],
    out: Path,
    settings: AugmentSettings,
    registry: Registry,
    reporter: Reporter,
) -> ReplayResult:
    """Write every file of the lineage at ``path`` to ``out`` again, from its parameters.

    ``recipe.json`` beside the lineage names augmenter, size and format; ``settings`` name the engine. Sources are
    identified by their pixels.

    Raises
    ------
    UsageError: the lineage or its recipe can't be read; ``out`` is not empty, or lies in the dataset.
    EnvironmentFailure: another process replays it, or the disk can't take it.
    """
    if not path.is_file():
        raise UsageError(f"no lineage at {path}", "Give augmented/NAME/lineage.jsonl.")
    recipe = load_set(path.parent).recipe
    augmenter = registry.augmenter(recipe.spec)
    split = load_split()
    if split.source.holds(out):
        raise UsageError(f"{out} lies in the dataset's own folder", "Choose another folder with --out.")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty", "Choose another folder with --out.")
    by_pixels = {row.pixels: row for row in split.manifest.rows}
    total = lineage.count(path)
    results: list[ReplayResult] = []
    folder = ResumableFolder(out, FILE_NAME, recipe.document(), lineage.FILE_NAME)
    with folder.lock("replaying"):
        folder.begin(resume=False)
        for name in {line.path.rpartition("/")[0] for line in lineage.read(path)}:
            atomic.make_folder(folder.partial / name)
        work = ReplayWorker(Worker(recipe, split.source, augmenter, folder.partial), by_pixels)
        engine = build_engine(registry, settings.engine, settings.workers)
        bar = reporter.task("replaying", total, "images")
        with guard.isolate(augmenter, reporter), contextlib.closing(engine.map(work, _families(path))) as parts:
            for part in parts:
                bar.advance(part.written + len(part.lost))
                results.append(part)
        bar.close()
        if (count := sum(part.written + len(part.lost) for part in results)) != total:
            raise RuntimeError(f"an engine wrote {count} of {total} files")
        _write_tables(path, recipe, by_pixels, folder.partial)
        folder.finish()
    different = tuple(name for part in results for name in part.different)
    lost = tuple(name for part in results for name in part.lost)
    return ReplayResult(out, sum(part.written for part in results), different, lost)


@dataclass(frozen=True)
class ReplayWorker:
    """Replay some files of one source. Picklable."""

    worker: Worker
    by_pixels: Mapping[str, Row]

    def __call__(self, lines: list[Line]) -> ReplayResult:
        """Write the files of ``lines``, which have one source."""
        folder = self.worker.folder
        row = self.by_pixels.get(lines[0].source_pixels)
        if row is None:
            return ReplayResult(folder, 0, (), tuple(line.path for line in lines))
        different = []
        numbers, params = [line.copy for line in lines], [line.params for line in lines]
        files = self.worker.again(self.worker.source.image(row), numbers, params)
        for line, (_, _, data) in zip(lines, files, strict=True):
            write_file(f"{folder}/{line.path}", data)
            if fingerprint.of_bytes(data) != line.sha256:
                different.append(line.path)
        return ReplayResult(folder, len(lines), tuple(different), ())


def _families(path: Path) -> Iterator[list[Line]]:
    """The lines in their order, so many of one source at a time."""
    for _, family in groupby(lineage.read(path), key=lambda line: line.source):
        while lines := list(islice(family, SHARD)):
            yield lines


def _write_tables(path: Path, recipe: Recipe, by_pixels: Mapping[str, Row], folder: Path) -> None:
    """Write the recipe and the lineage as they were, and a manifest; make the whole folder durable."""
    with atomic.translate_os_errors("write", folder):
        shutil.copyfile(path, folder / lineage.FILE_NAME)
        shutil.copyfile(path.parent / FILE_NAME, folder / FILE_NAME)
    origins = {line.source: by_pixels.get(line.source_pixels) for line in lineage.read(path)}
    write_manifest(recipe, {name: row for name, row in origins.items() if row is not None}, folder)
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    with atomic.translate_os_errors("write", folder):
        atomic.sync_files(folder, files)


def _state(path: Path, line: Line) -> str:
    try:
        return "" if fingerprint.of_file(path) == line.sha256 else "changed"
    except OSError:
        return "missing"
