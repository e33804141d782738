"""The table that all views share."""

from __future__ import annotations

from rich.table import Table


def table(*headings: str, right: tuple[int, ...] = ()) -> Table:
    """A table without lines; the columns at ``right`` are aligned to the right. Without headings it has no header.

    Headings are rich markup.
    """
    result = Table(*headings, box=None, pad_edge=False, header_style="bold", show_header=bool(headings))
    for column in right:
        result.columns[column].justify = "right"
    return result
