"""Image files listed in a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from toolbox.api.dataset import MANIFEST_COLUMNS, Dataset, Sample
from toolbox.api.errors import UsageError, closest

SPLITS = {
    "": "",
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
MAX_BYTES = 1_000_000_000


class CsvDataset(Dataset):
    """Image files listed in a table: path and label, and group and split where it has such columns.

    Comma, semicolon, tab or bar between the fields; UTF-8, with or without a byte-order mark. Paths are relative
    to the table, or to ``root``. Columns that are not named are kept with each sample. Split names are
    train/training, val/valid/validation/dev and test/testing in any case, or empty.
    """

    def __init__(
        self,
        *,
        path: Annotated[Path, Field(description="the table, with a first line of column names")],
        path_column: Annotated[str, Field(description="column with the image's path")] = "path",
        label_column: Annotated[str, Field(description="column with its class")] = "label",
        group_column: Annotated[str, Field(description="column with its patient, say; 'group' if there is one")] = "",
        split_column: Annotated[str, Field(description="column with its split; 'split' if there is one")] = "",
        root: Annotated[Path | None, Field(description="folder that paths are relative to")] = None,
        delimiter: Annotated[str, Field(max_length=1, description="between fields; found out if empty")] = "",
    ) -> None:
        if not path.is_file():
            raise UsageError(f"there is no table {path}", "Give csv:path=FILE.")
        self.path = self.table = path
        self.root = (root or path.parent).resolve()
        self._header, self._lines = _read(path, delimiter)
        self._columns = {
            "path": self._column(path_column, "path_column"),
            "label": self._column(label_column, "label_column"),
            "group": self._column(group_column or "group", "group_column", optional=not group_column),
            "split": self._column(split_column or "split", "split_column", optional=not split_column),
        }

    def samples(self) -> Iterator[Sample]:
        """The table's lines in their order.

        Raises
        ------
        UsageError: a line without path or label, one path twice, or an unknown split; the line is named.
        """
        ids: dict[str, int] = {}
        used = {name for name in self._columns.values() if name}
        for number, record in self._lines:
            where = f"{self.path}, line {number}"
            value = {key: record.get(name, "").strip() if name else "" for key, name in self._columns.items()}
            if not value["path"] or not value["label"]:
                raise UsageError(f"{where}: {'path' if not value['path'] else 'label'} is empty")
            name = str(PurePosixPath(value["path"].replace("\\", "/")))
            if name in ids:
                raise UsageError(f"{where}: {name} stands in line {ids[name]} already")
            ids[name] = number
            split = SPLITS.get(value["split"].lower())
            if split is None:
                raise UsageError(f"{where}: the split {value['split']!r} is none of train, val, test")
            # A manifest has columns of its own; a user's of the same name stand beside them.
            rest = {_apart(key): text for key, text in record.items() if key not in used}
            yield Sample(name, name, value["label"], value["group"], split, rest)
        if not ids:
            raise UsageError(f"{self.path} lists no image")

    def _column(self, name: str, parameter: str, optional: bool = False) -> str:
        if name in self._header:
            return name
        if optional:
            return ""
        known = ", ".join(self._header)
        raise UsageError(
            f"{self.path} has no column {name!r} (its columns: {known})",
            closest(name, self._header) or f"Say which one: csv:path=…,{parameter}=NAME.",
        )


def _apart(name: str) -> str:
    return f"table_{name}" if name in MANIFEST_COLUMNS else name


def _read(path: Path, delimiter: str) -> tuple[list[str], list[tuple[int, Mapping[str, str]]]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is too large for a table")
        text = path.read_bytes().decode("utf-8-sig")
        dialect = delimiter or _sniff_delimiter(text)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=dialect, strict=True)
        header = [str(name).strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        lines: list[tuple[int, Mapping[str, str]]] = []
        for record in reader:
            if None in record or None in record.values():
                raise UsageError(f"{path}, line {reader.line_num}: not as many fields as the first line has")
            lines.append((reader.line_num, record))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", "Save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise UsageError(f"{path} is no table: {error}") from error
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror or error}") from error
    if len(set(header)) < len(header):
        raise UsageError(f"{path} has two columns of one name ({', '.join(header)})")
    return header, lines


def _sniff_delimiter(text: str) -> str:
    """The delimiter that the first line has most of; csv.Sniffer takes letters for delimiters in short tables."""
    first = text.partition("\n")[0]
    return max(",;\t|", key=first.count)
