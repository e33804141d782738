"""Checks an augmented set against its lineage, and makes one again from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from toolbox.augment import copies, lineage
from toolbox.augment.job import written
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import FILE_NAME, Recipe, load
from toolbox.data import manifest as manifests
from toolbox.data.index import threaded
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.errors import UsageError
from toolbox.files import atomic, fingerprint
from toolbox.plugin.protocols import Augmenter
from toolbox.progress import Reporter, tracked

_OWN = frozenset({FILE_NAME, lineage.FILE_NAME, manifests.FILE_NAME, "manifest.json"})


@dataclass(frozen=True)
class Verified:
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
class Replayed:
    """What a replay made: ``different`` files have other bytes than the lineage says, ``lost`` no source here."""

    path: Path
    written: int
    different: tuple[str, ...]
    lost: tuple[str, ...]


def verify(folder: Path, reporter: Reporter) -> Verified:
    """Compare each file's SHA-256 with what the lineage says of it.

    Raises
    ------
    UsageError: ``folder`` is no augmented set.
    """
    load(folder)
    lines = list(lineage.read(folder / lineage.FILE_NAME))
    found = threaded(lambda line: _state(folder / line.path, line), lines)
    states = list(tracked(found, reporter, "verifying", len(lines), "files"))
    known = {line.path for line in lines}
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Verified(
        path=folder,
        files=len(lines),
        missing=tuple(line.path for line, state in zip(lines, states, strict=True) if state == "missing"),
        changed=tuple(line.path for line, state in zip(lines, states, strict=True) if state == "changed"),
        extra=tuple(sorted(set(there) - known - _OWN)),
    )


def replay(
    path: Path, manifest: Manifest, source: Source, augmenter: Augmenter, out: Path, reporter: Reporter
) -> Replayed:
    """Make every file of the lineage at ``path`` again, from its parameters, below ``out``.

    ``recipe.json`` beside it says by which augmenter, size and format; sources are found by their pixels, whatever
    they are called now. A copy of a lineage's own source needs no parameters.

    Raises
    ------
    UsageError: the lineage or its recipe can't be read, or ``out`` holds something already.
    """
    recipe = load(path.parent).recipe
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty", "Give another folder with --out.")
    by_pixels = {row.pixels: row for row in manifest.rows}
    lines = list(lineage.read(path))
    families = [list(family) for _, family in groupby(lines, key=lambda line: line.source)]
    done = 0
    different: list[str] = []
    lost: list[str] = []
    for family in tracked(families, reporter, "replaying", len(families), "sources"):
        row = by_pixels.get(family[0].source_pixels)
        if row is None:
            lost.extend(line.path for line in family)
            continue
        for line, data in _again(family, row, source, augmenter, recipe):
            written(out / line.path, data)
            done += 1
            if fingerprint.of_bytes(data) != line.sha256:
                different.append(line.path)
    atomic.write_json(out / FILE_NAME, recipe.document())
    lineage.append(out / lineage.FILE_NAME, lines)
    return Replayed(out, done, tuple(different), tuple(lost))


def recipe_beside(path: Path) -> Recipe:
    """The recipe of the set that the lineage at ``path`` belongs to.

    Raises
    ------
    UsageError: there is no lineage, or no recipe beside it.
    """
    if not path.is_file():
        raise UsageError(f"there is no lineage {path}", "Give augmented/NAME/lineage.jsonl.")
    return load(path.parent).recipe


def _again(
    family: list[Line], row: Row, source: Source, augmenter: Augmenter, recipe: Recipe
) -> Iterator[tuple[Line, bytes]]:
    image = source.image(row)
    own = [line for line in family if recipe.include_source and line.copy == 0]
    for line in own:
        yield line, copies.encode(copies.resized(image, recipe.size), recipe)
    drawn = [line for line in family if line not in own]
    params = [line.params for line in drawn]
    yield from zip(drawn, copies.files(augmenter, image, params, recipe, 64), strict=True)


def _state(path: Path, line: Line) -> str:
    try:
        return "whole" if fingerprint.of_file(path) == line.sha256 else "changed"
    except OSError:
        return "missing"
