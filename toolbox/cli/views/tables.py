"""What all views share: the table, durations, sizes."""

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


def duration(seconds: float) -> str:
    """``seconds`` for people: ``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def gigabytes(count: int) -> str:
    """A number of bytes in kB, MB or GB."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
