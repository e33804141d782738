"""The lineage: which copy came from which source, by which parameters. One JSON line a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolbox.errors import UsageError
from toolbox.files.atomic import told

FILE_NAME = "lineage.jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    """One copy: ``path`` within the set, the ``source``'s id and pixel hash, its parameters, its file's SHA-256.

    ``params`` is empty for a copy that is the source itself (``include_source``).
    """

    path: str
    source: str
    source_pixels: str
    copy: int
    seed: int
    params: dict[str, Any]
    sha256: str

    def text(self) -> str:
        """The line as it stands in the file, with its end."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")) + "\n"


def append(path: Path, lines: Iterable[Line]) -> None:
    """Add ``lines`` in one write."""
    import os

    with told("write", path), path.open("ab") as file:
        file.write("".join(line.text() for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[Line]:
    """The lines of a lineage file.

    Raises
    ------
    UsageError: a line that is none.
    """
    with told("read", path), path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            try:
                yield Line(**json.loads(text))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}, line {number} is no lineage line: {error}") from error


def repair(path: Path) -> list[Line]:
    """The whole lines of a lineage whose writing may have been cut off; what is cut is taken away."""
    if not path.exists():
        return []
    with told("read", path):
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with path.open("rb+") as file:
                file.truncate(len(whole))
    return list(read(path))
