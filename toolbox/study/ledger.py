"""The ledger: what has become of each run of a study. One JSON line an event, never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolbox.files.atomic import translate_os_errors

FILE_NAME = "ledger.jsonl"


@dataclass(frozen=True)
class Entry:
    """The last that is known of a run: ``status`` is started, finished or failed; ``run`` its folder's path,
    relative to the study's; ``seconds`` how long it took."""

    key: str
    status: str
    run: str = ""
    seconds: float = 0.0
    error: str = ""


def read(folder: Path) -> dict[str, Entry]:
    """The last entry of each run, by its key; a line that was cut off doesn't count."""
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    entries: dict[str, Entry] = {}
    with translate_os_errors("read", path), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                document = json.loads(line)
                entry = Entry(**{name: document[name] for name in Entry.__dataclass_fields__ if name in document})
                texts = (entry.key, entry.status, entry.run, entry.error)
                if not all(isinstance(text, str) for text in texts):
                    continue
            except (ValueError, TypeError):
                continue
            entries[entry.key] = entry
    return entries


def append(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a line, durably."""
    path = folder / FILE_NAME
    with translate_os_errors("write", path), path.open("ab+") as file:
        # A line that a kill cut off must not swallow this one.
        if file.tell() and not _ends_whole(file):
            file.write(b"\n")
        file.write((json.dumps(dict(entry), ensure_ascii=False, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def _ends_whole(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
