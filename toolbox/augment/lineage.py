"""The lineage: which copy came from which source, by which parameters. One JSON line a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError
from toolbox.files.atomic import translate_os_errors

FILE_NAME = "lineage.jsonl"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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
        return _encode({name: getattr(self, name) for name in self.__slots__}) + "\n"


def describe_params(params: Mapping[str, Any]) -> str:
    """The parameters of a copy in a few words, for people."""
    if not params:
        return "the source itself"
    parts = []
    for name, value in islice(params.items(), 6):
        if isinstance(value, bool):
            parts += [name] if value else []
        elif isinstance(value, float):
            parts.append(f"{name} {value:.3g}".replace(" -", " −"))
        else:
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def read(path: Path) -> Iterator[Line]:
    """The lines of a lineage file.

    Raises
    ------
    UsageError: a line that is none.
    """
    with translate_os_errors("read", path), path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                yield _check(Line(**json.loads(text)))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}, line {number} is not a lineage line: {error}") from error


def count(path: Path) -> int:
    """How many lines a lineage file has."""
    with translate_os_errors("read", path), path.open("rb") as file:
        return sum(1 for _ in file)


def _check(line: Line) -> Line:
    """Return ``line`` if its values have the right types and its path stays inside the set."""
    texts = (line.path, line.source, line.source_pixels, line.sha256)
    if not all(isinstance(text, str) for text in texts) or not isinstance(line.params, dict):
        raise ValueError("a value has the wrong type")
    if type(line.copy) is not int or type(line.seed) is not int:
        raise ValueError("copy and seed must be whole numbers")
    parts = line.path.split("/")
    if ".." in parts or "" in parts or "\\" in line.path or ":" in parts[0]:
        raise ValueError(f"the path {line.path!r} leaves the set")
    return line


def repair(path: Path, keys: Iterable[tuple[str, int]]) -> int:
    """Cut an interrupted lineage after its last whole line, and return how many lines it holds.

    ``keys``: source and copy number of every line of the finished lineage, in order.
    """
    if not path.exists():
        return 0
    count, end = 0, 0
    with translate_os_errors("read", path), path.open("rb+") as file:
        for text, key in zip(file, keys, strict=False):
            if _key_of(text) != key:
                break
            count += 1
            end += len(text)
        file.truncate(end)
    return count


def _key_of(text: bytes) -> tuple[str, int] | None:
    """The source and copy number that a line names, or ``None`` if it was cut off."""
    try:
        document = json.loads(text)
        return (document["source"], document["copy"]) if text.endswith(b"\n") else None
    except (ValueError, KeyError, TypeError):
        return None
