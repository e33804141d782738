"""What datasets of volumes (NIfTI, DICOM) share: the choice of slices, and tables of subjects' classes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from toolbox.api.errors import UsageError, closest


def select_slices(available: int, low: float, high: float, count: int) -> list[int]:
    """At most ``count`` slice numbers, evenly spaced from ``low`` to ``high`` (fractions of ``available`` slices).

    Halves round up, so that every machine selects the same slices.
    """
    if available < 1:
        return []
    first, last = low * (available - 1), high * (available - 1)
    if count == 1:
        return [int((first + last) / 2 + 0.5)]
    step = (last - first) / (count - 1)
    return sorted({int(first + step * number + 0.5) for number in range(count)})


def read_labels(table: Path, id_column: str, label_column: str) -> Mapping[str, str]:
    """Read the class of each name in ``table`` (``participants.tsv`` of a BIDS dataset, say).

    The file is UTF-8: tab-separated if its name ends in ``.tsv``, else comma-separated.

    Raises
    ------
    UsageError: it can't be read, lacks a column, or has a line without a class or a name with two classes.
    """
    labels: dict[str, str] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if table.suffix.lower() == ".tsv" else ",")
            header = list(reader.fieldnames or [])
            for column in (id_column, label_column):
                if column not in header:
                    raise UsageError(
                        f"{table} has no column {column!r} (its columns: {', '.join(header)})", closest(column, header)
                    )
            for line in reader:
                name, label = (line[id_column] or "").strip(), (line[label_column] or "").strip()
                if not name or not label:
                    raise UsageError(f"{table}, line {reader.line_num}: {id_column} or {label_column} is empty")
                if labels.setdefault(name, label) != label:
                    # The name may be a patient's, which belongs in no message.
                    raise UsageError(f"{table}, line {reader.line_num}: {label}, but {labels[name]} in an earlier line")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"can't read the table {table}: {error}") from error
    return labels
