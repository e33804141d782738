"""Checks an augmented set against its lineage, and makes one again from it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from toolbox.api.augmenter import Augmenter
from toolbox.api.engine import Engine
from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.augment import lineage
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, Recipe, load_set
from toolbox.augment.worker import Worker, write_file
from toolbox.augment.writer import SHARD, write_manifest
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.files import atomic, fingerprint
from toolbox.files.locks import hold_lock

_OWN = frozenset({FILE_NAME, lineage.FILE_NAME, manifests.FILE_NAME, "manifest.json"})


@dataclass(frozen=True)
class VerifyResult:
    """How a set compares with its lineage: paths within the set."""

    path: Path
    files: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether every file is there, as it was made, and no other."""
        return not (self.missing or self.changed or self.extra)


@dataclass(frozen=True)
class ReplayResult:
    """What a replay made: ``different`` files have other bytes than the lineage says, ``lost`` no source here."""

    path: Path
    written: int
    different: tuple[str, ...]
    lost: tuple[str, ...]


def verify(folder: Path, reporter: Reporter) -> VerifyResult:
    """Compare each file's SHA-256 with what the lineage says of it.

    Raises
    ------
    UsageError: ``folder`` is no augmented set.
    """
    load_set(folder)
    path = folder / lineage.FILE_NAME
    total = sum(1 for _ in lineage.read(path))
    found = map_in_threads(lambda line: (line.path, _state(folder / line.path, line)), lineage.read(path))
    known: set[str] = set(_OWN)
    bad: dict[str, list[str]] = {"missing": [], "changed": []}
    for name, state in tracked(found, reporter, "verifying", total, "files"):
        known.add(name)
        if state:
            bad[state].append(name)
    there = (each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    extra = sorted(name for name in there if name not in known)
    return VerifyResult(folder, total, tuple(bad["missing"]), tuple(bad["changed"]), tuple(extra))


def replay(
    path: Path,
    manifest: Manifest,
    source: Source,
    augmenter: Augmenter,
    out: Path,
    reporter: Reporter,
    engine: Engine,
) -> ReplayResult:
    """Make every file of the lineage at ``path`` again, from its parameters, as ``out``.

    ``recipe.json`` beside it says by which augmenter, size and format; sources are found by their pixels, whatever
    they are called now. Nothing is drawn: the lineage's parameters are enough.

    Raises
    ------
    UsageError: the lineage or its recipe can't be read, or ``out`` holds something already.
    EnvironmentFailure: another process is at it, or the disk can't take it.
    """
    recipe = load_set(path.parent).recipe
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty", "Give another folder with --out.")
    by_pixels = {row.pixels: row for row in manifest.rows}
    partial = out.with_name(f".{out.name}.partial")
    total = sum(1 for _ in lineage.read(path))
    count = 0
    different: list[str] = []
    lost: list[str] = []
    with hold_lock(out.parent, "replaying", f".{out.name}.lock"):
        with atomic.translate_os_errors("write", partial):
            shutil.rmtree(partial, ignore_errors=True)
            for folder in {line.path.rpartition("/")[0] for line in lineage.read(path)}:
                (partial / folder).mkdir(parents=True, exist_ok=True)
        job = ReplayWorker(Worker(recipe, source, augmenter, partial), by_pixels)
        bar = reporter.task("replaying", total, "images")
        with contextlib.closing(engine.map(job, _families(path))) as results:
            for done in results:
                bar.advance(done.written + len(done.lost))
                count += done.written
                different.extend(done.different)
                lost.extend(done.lost)
        bar.close()
        if count + len(lost) != total:
            raise RuntimeError(f"an engine made {count + len(lost)} of {total} files")
        _complete(path, recipe, by_pixels, partial, out)
    (out.parent / f".{out.name}.lock").unlink(missing_ok=True)
    return ReplayResult(out, count, tuple(different), tuple(lost))


@dataclass(frozen=True)
class ReplayWorker:
    """What a worker does: some files of one source, by their lines. Picklable."""

    job: Worker
    by_pixels: Mapping[str, Row]

    def __call__(self, lines: list[Line]) -> ReplayResult:
        """Write the files of ``lines``, which have one source."""
        folder = self.job.folder
        row = self.by_pixels.get(lines[0].source_pixels)
        if row is None:
            return ReplayResult(folder, 0, (), tuple(line.path for line in lines))
        different = []
        numbers, params = [line.copy for line in lines], [line.params for line in lines]
        made = self.job.again(self.job.source.image(row), numbers, params)
        for line, (_, _, data) in zip(lines, made, strict=True):
            write_file(f"{folder}/{line.path}", data)
            if fingerprint.of_bytes(data) != line.sha256:
                different.append(line.path)
        return ReplayResult(folder, len(lines), tuple(different), ())


def recipe_beside(path: Path) -> Recipe:
    """The recipe of the set that the lineage at ``path`` belongs to.

    Raises
    ------
    UsageError: there is no lineage, or no recipe beside it.
    """
    if not path.is_file():
        raise UsageError(f"there is no lineage {path}", "Give augmented/NAME/lineage.jsonl.")
    return load_set(path.parent).recipe


def _families(path: Path) -> Iterator[list[Line]]:
    """The lines in their order, so many of one source at a time."""
    for _, family in groupby(lineage.read(path), key=lambda line: line.source):
        while lines := list(islice(family, SHARD)):
            yield lines


def _complete(path: Path, recipe: Recipe, by_pixels: Mapping[str, Row], partial: Path, out: Path) -> None:
    """The set's tables, the lineage as it was; then it takes its name."""
    with atomic.translate_os_errors("write", partial):
        shutil.copyfile(path, partial / lineage.FILE_NAME)
        shutil.copyfile(path.parent / FILE_NAME, partial / FILE_NAME)
    origins = {line.source: by_pixels.get(line.source_pixels) for line in lineage.read(path)}
    write_manifest(recipe, {name: row for name, row in origins.items() if row is not None}, partial)
    with atomic.translate_os_errors("rename", partial):
        atomic.sync_files(
            partial, [each.relative_to(partial).as_posix() for each in partial.rglob("*") if each.is_file()]
        )
        if out.exists():
            out.rmdir()
        partial.rename(out)


def _state(path: Path, line: Line) -> str:
    try:
        return "" if fingerprint.of_file(path) == line.sha256 else "changed"
    except OSError:
        return "missing"
