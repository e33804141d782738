"""The cache as a table for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from toolbox.cache.folder import DAY, Entry
from toolbox.cli.views.render import gigabytes

_SHOWN = 20


def cache_table(folder: Path, found: Sequence[Entry]) -> list[RenderableType]:
    """A row for each of the entries that were used last, and what all of them come to."""
    if not found:
        return [f"{folder} is empty"]
    table = Table("what", "size", "last used", box=None, pad_edge=False, header_style="bold")
    table.columns[1].justify = table.columns[2].justify = "right"
    for entry in found[:_SHOWN]:
        table.add_row(entry.title, gigabytes(entry.bytes), _ago(entry.used))
    more = f", {len(found) - _SHOWN} more not shown" if len(found) > _SHOWN else ""
    total = gigabytes(sum(entry.bytes for entry in found))
    return [table, "", f"{total} in {folder}{more}; 'toolbox cache clear' deletes it, and nothing is lost but time"]


def _ago(when: float) -> str:
    days = int((time.time() - when) // DAY)
    return "today" if days < 1 else f"{days} day{'s' * (days > 1)} ago"
