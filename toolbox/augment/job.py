"""What a worker does: the files of a few sources, and their lineage. Picklable, and a function of its key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolbox.augment import copies
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import Recipe
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.errors import EnvironmentFailure
from toolbox.files import atomic, fingerprint
from toolbox.files.names import safe_name
from toolbox.plugin.protocols import Augmenter, Params


@dataclass(frozen=True)
class Task:
    """A source and how many files it gets."""

    row: Row
    count: int


@dataclass(frozen=True)
class Job:
    """Everything a worker needs beside its tasks."""

    recipe: Recipe
    source: Source
    augmenter: Augmenter
    folder: Path
    batch_size: int = 64

    def __call__(self, tasks: Sequence[Task]) -> list[Line]:
        """Write the files of ``tasks`` below the folder; their lineage, in order.

        Until the lineage names them they don't count, so no rename is needed.

        Raises
        ------
        EnvironmentFailure: a source changed or went away, or a file can't be written; none is left half-written.
        """
        lines = []
        for task in tasks:
            for line, data in self.files_of(task):
                written(self.folder / line.path, data)
                lines.append(line)
        return lines

    def files_of(self, task: Task) -> Iterator[tuple[Line, bytes]]:
        """The files of one source with their lineage, in memory, a batch at a time."""
        row, recipe = task.row, self.recipe
        image = self.source.image(row)
        if row.pixels and fingerprint.of_pixels(image) != row.pixels:
            raise EnvironmentFailure(
                f"{row.path} has changed since it was read", "Run the same command again: copies are made anew."
            )
        stem = _stem(row)
        suffix = copies.SUFFIX[recipe.format]

        def line(number: int, params: Params, data: bytes) -> tuple[Line, bytes]:
            path = f"{stem}-{number:04d}{suffix}"
            digest = fingerprint.of_bytes(data)
            return Line(path, row.id, row.pixels, number, recipe.seed, dict(params), digest), data

        if recipe.include_source:
            yield line(0, {}, copies.encode(copies.resized(image, recipe.size), recipe))
        numbers = range(1 if recipe.include_source else 0, task.count)
        params = copies.draws(self.augmenter, image, row.pixels, recipe.seed, numbers)
        made = copies.files(self.augmenter, image, params, recipe, self.batch_size)
        for number, drawn, data in zip(numbers, params, made, strict=True):
            yield line(number, drawn, data)


def _stem(row: Row) -> str:
    """Class folder, the source's name, and a piece of its id's hash (names repeat between folders)."""
    stem = safe_name(PurePosixPath(row.path).stem)[:60]
    digest = fingerprint.of_bytes(row.id.encode("utf-8", "surrogatepass"))[:8]
    return f"{safe_name(row.label)}/{stem}-{digest}"


def written(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, its folder made if need be; what could not be written whole is taken away."""
    with atomic.told("write", path):
        try:
            file = path.open("wb")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        try:
            with file:
                file.write(data)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
