"""What a worker does: some files, and their lines of lineage. Picklable, and a function of its key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from toolbox.api.augmenter import Augmenter, Params
from toolbox.augment import encode
from toolbox.augment.lineage import Line
from toolbox.augment.recipe import Recipe
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files import atomic, fingerprint
from toolbox.files.names import safe_name

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class CopyRange:
    """A source and which of its files to make: those numbered from ``first`` to ``last`` - 1."""

    row: Row
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Shard:
    """What was made of a shard: the files' paths within the set, and their lines of lineage."""

    paths: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Worker:
    """Everything a worker needs beside its tasks. Files go below ``folder``, whose class folders are there."""

    recipe: Recipe
    source: Source
    augmenter: Augmenter
    folder: Path
    batch_size: int = 64

    def __call__(self, tasks: Sequence[CopyRange]) -> Shard:
        """Write the files of ``tasks``.

        Raises
        ------
        toolbox.data.source.ImageChanged: a source changed or went away.
        EnvironmentFailure: a file can't be written.
        """
        paths, lines = [], []
        for task in tasks:
            for line, data in self.files_of(task):
                write_file(f"{self.folder}/{line.path}", data)
                paths.append(line.path)
                lines.append(line.text())
        return Shard(tuple(paths), tuple(lines))

    def files_of(self, task: CopyRange) -> Iterator[tuple[Line, bytes]]:
        """The files of one task with their lineage, in memory, a batch at a time."""
        row, recipe = task.row, self.recipe
        image = self.source.image(row)
        stem, suffix = stem_of(row), encode.SUFFIX[recipe.format]
        itself = range(task.first, task.last)[: recipe.include_source and not task.first]
        numbers = range(task.first + len(itself), task.last)
        params = encode.draw_params(self.augmenter, image, row.pixels, recipe.seed, numbers)
        for number, drawn, data in self.again(image, [*itself, *numbers], [*({} for _ in itself), *params]):
            path = f"{stem}-{number:04d}{suffix}"
            yield Line(path, row.id, row.pixels, number, recipe.seed, drawn, fingerprint.of_bytes(data)), data

    def again(
        self, image: Image.Image, numbers: Sequence[int], params: Sequence[Params]
    ) -> Iterator[tuple[int, Params, bytes]]:
        """The files of a source by their numbers and what was drawn for them; the source itself may be the first."""
        recipe = self.recipe
        itself = recipe.include_source and 0 in numbers[:1]
        if itself:
            yield 0, {}, encode.encode(encode.resize_source(image, recipe.size), recipe)
        if len(numbers) > itself:
            maker = encode.CopyEncoder(self.augmenter, image, recipe, self.batch_size)
            yield from zip(numbers[itself:], params[itself:], maker.files(params[itself:]), strict=True)


def stem_of(row: Row) -> str:
    """Class folder, the source's name, and a piece of its id's hash (names repeat between folders)."""
    stem = safe_name(PurePosixPath(row.path).stem)[:60]
    digest = fingerprint.of_bytes(row.id.encode("utf-8", "surrogatepass"))[:8]
    return f"{safe_name(row.label)}/{stem}-{digest}"


def write_file(path: str, data: bytes) -> None:
    """Write ``data`` to a new file at ``path``; its folder must be there."""
    try:
        # Thousands a second: Path.open takes twice as long.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(data)
            while rest:
                # A disk that is nearly full takes a part first, and refuses the next.
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
    except OSError as error:
        with atomic.translate_os_errors("write", Path(path)):
            raise error
