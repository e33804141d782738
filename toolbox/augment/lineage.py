"""The lineage: which copy came from which source, by which parameters. One JSON line a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
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


def in_words(params: Mapping[str, Any]) -> str:
    """The parameters of a copy in a few words, for people."""
    if not params:
        return "the source itself"
    parts = []
    for name, value in islice(params.items(), 6):
        if isinstance(value, bool):
            parts += [name] if value else []
        elif isinstance(value, float):
            parts.append(f"{name} {value:.3g}")
        else:
            parts.append(f"{name} {value}")
    return ", ".join(parts)


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


def repair(path: Path, wanted: Mapping[str, int]) -> set[str]:
    """The sources that a lineage, whose writing may have been cut off, is whole on; what is not is taken away.

    ``wanted`` says how many lines each source has when it is whole. A source's lines stand together.
    """
    if not path.exists():
        return set()
    done: set[str] = set()
    with told("read", path), path.open("rb+") as file:
        end, current, lines = 0, "", 0
        pending: list[int] = []
        for text in file:
            source = _source_of(text)
            if source is None or source not in wanted:
                break
            lines = lines + 1 if source == current else 1
            current = source
            if lines == wanted[source]:
                done.add(source)
                end += sum(pending) + len(text)
                pending.clear()
            else:
                pending.append(len(text))
        file.truncate(end)
    return done


def _source_of(text: bytes) -> str | None:
    """The source that a line names; ``None`` for one that was cut off."""
    if not text.endswith(b"\n"):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    source = document.get("source") if isinstance(document, dict) else None
    return source if isinstance(source, str) else None
