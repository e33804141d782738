"""What ``toolbox cache`` prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from toolbox.cache.folder import DAY, Entry
from toolbox.cli.views.tables import gigabytes, table

_SHOWN = 20


def cache_table(folder: Path, entries: Sequence[Entry]) -> list[RenderableType]:
    """The entries used last, and the total size."""
    if not entries:
        return [f"{folder} is empty"]
    rows = table("what", "size", "last used", right=(1, 2))
    for entry in entries[:_SHOWN]:
        rows.add_row(entry.title, gigabytes(entry.bytes), _ago(entry.used))
    more = f", {len(entries) - _SHOWN} more not shown" if len(entries) > _SHOWN else ""
    total = gigabytes(sum(entry.bytes for entry in entries))
    return [rows, "", f"{total} in {folder}{more}; 'toolbox cache clear' deletes it; it is computed again when needed"]


def _ago(when: float) -> str:
    days = int((time.time() - when) // DAY)
    return "today" if days < 1 else f"{days} day{'s' * (days > 1)} ago"
