"""Tables that say which class a subject or a file belongs to (``participants.tsv`` of a BIDS dataset, say)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from toolbox.api.errors import UsageError, closest


def read_labels(table: Path, id_column: str, label_column: str) -> Mapping[str, str]:
    """The class of each name in ``table``: tab-separated if it ends in ``.tsv``, else with commas; UTF-8.

    Raises
    ------
    UsageError: it can't be read, has no such column, a line without a class, or one name under two classes.
    """
    found: dict[str, str] = {}
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
                if found.setdefault(name, label) != label:
                    # The name may be a patient's, which belongs in no message.
                    raise UsageError(f"{table}, line {reader.line_num}: {found[name]} in an earlier line, {label} here")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"can't read the table {table}: {error}") from error
    return found
