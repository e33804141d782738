"""The manifest: the table of samples, as a CSV file that any spreadsheet opens and that is accepted back."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

from toolbox.api.dataset import MANIFEST_COLUMNS
from toolbox.api.errors import UsageError
from toolbox.files import atomic, fingerprint

SPLITS = ("train", "val", "test")
FILE_NAME = "manifest.csv"
_MAX_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A sample as the manifest has it.

    ``sha256`` is of the file's bytes (empty where there is no file), ``pixels`` of the decoded image.
    """

    id: str
    path: str
    label: str
    group: str = ""
    split: str = ""
    fold: str = ""
    sha256: str = ""
    pixels: str = ""
    width: int = 0
    height: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)

    def with_split(self, split: str) -> Row:
        """The same sample in ``split``."""
        return replace(self, split=split)


@dataclass(frozen=True)
class Manifest:
    """All samples of a dataset, with where their pictures are to be had.

    ``root`` is what paths are relative to; ``data`` the spec that opens the dataset again.
    """

    rows: tuple[Row, ...]
    root: Path | None = None
    data: str = ""

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted; a class's index is its place here."""
        return tuple(sorted({row.label for row in self.rows}))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the sorted (id, label, group, split, pixel hash)."""
        return fingerprint.of_rows((row.id, row.label, row.group, row.split, row.pixels) for row in self.rows)

    @cached_property
    def split_fingerprint(self) -> str:
        """SHA-256 over the sorted (id, split): the same for two manifests that divide alike."""
        return fingerprint.of_rows((row.id, row.split) for row in self.rows)

    def part(self, split: str) -> list[Row]:
        """The samples of ``split``, in the manifest's order."""
        return [row for row in self.rows if row.split == split]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many samples each class has in each split."""
        numbers = Counter((row.split, row.label) for row in self.rows)
        splits = [split for split in (*SPLITS, "") if any(key[0] == split for key in numbers)]
        return {split: {label: numbers[split, label] for label in self.classes} for split in splits}


def write(
    manifest: Manifest,
    path: Path,
    asked: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write ``manifest`` to ``path`` and, beside it, what is needed to read it again (``manifest.json``).

    ``asked`` holds the ``split.…`` settings that were given by hand, so that later commands deal the same way;
    ``more`` is kept beside it. Equal manifests give equal bytes.
    """
    beside, before = path.with_suffix(".json"), fingerprint.of_file(path) if path.exists() else ""
    with atomic.replace_file(path) as temporary:
        sidecar = {
            "root": str(manifest.root) if manifest.root is not None else None,
            "data": manifest.data,
            "fingerprint": manifest.fingerprint,
            "sha256": _write_rows(manifest.rows, temporary),
            "samples": len(manifest.rows),
            "asked": dict(asked or {}),
            **(more or {}),
        }
        # The sidecar comes first, and knows the table that is still there: whatever an interruption leaves behind,
        # neither table is taken for one that the user edited.
        atomic.write_json(beside, {**sidecar, "replaces": before} if before else sidecar)
    if before:
        atomic.write_json(beside, sidecar)


def write_table(rows: Iterable[Row], path: Path, extra: Sequence[str] | None = None) -> None:
    """Write ``rows`` as CSV, paths relative to the file.

    ``extra`` names the further columns, so that rows need not be held all at once; without it they are those that
    any row has.
    """
    with atomic.replace_file(path) as temporary:
        _write_rows(rows, temporary, extra)


def _write_rows(rows: Iterable[Row], path: Path, extra: Sequence[str] | None = None) -> str:
    """Fill the file at ``path`` (see :func:`write_table`); the SHA-256 of what was written."""
    if extra is None:
        rows = tuple(rows)
        extra = sorted({name for row in rows for name in row.columns})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*MANIFEST_COLUMNS, *extra])
        fixed = attrgetter(*MANIFEST_COLUMNS)
        writer.writerows((*fixed(row), *(row.columns.get(name, "") for name in extra)) for row in rows)
    return fingerprint.of_file(path)


def read(path: Path) -> Manifest:
    """The manifest in ``path``: ours, or a user's own with at least ``path`` and ``label``.

    Raises
    ------
    UsageError: it can't be read as such; the line is named.
    """
    with atomic.translate_os_errors("read", path):
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is too large for a manifest")
        raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = list(reader.fieldnames or [])
        rows = _rows(reader, header, path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", "Save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error
    sidecar = read_sidecar(path)
    # A virtual dataset has no root; a user's own CSV has no sidecar, and its paths are relative to itself.
    root_text = sidecar.get("root", str(path.parent.resolve()))
    return Manifest(tuple(rows), Path(root_text) if root_text else None, str(sidecar.get("data", "")))


def read_sidecar(path: Path) -> dict[str, Any]:
    """What ``manifest.json`` beside ``path`` says; empty where there is none."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        document = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{beside} can't be read: {error}", "Delete it; paths are then relative to the CSV."
        ) from error
    if not isinstance(document, dict):
        raise UsageError(f"{beside} holds no JSON object")
    return document


def is_current(path: Path) -> bool:
    """Whether the manifest at ``path`` is the one that its ``manifest.json`` describes."""
    return fingerprint.of_file(path) == read_sidecar(path).get("sha256")


def edited_by_hand(path: Path) -> bool:
    """Whether the manifest at ``path`` is neither what the toolbox wrote nor what it was about to replace."""
    return not is_current(path) and fingerprint.of_file(path) != read_sidecar(path).get("replaces")


def _rows(reader: Iterable[Mapping[str, Any]], header: list[str], path: Path) -> list[Row]:
    for needed in ("path", "label"):
        if needed not in header:
            raise UsageError(
                f"{path} has no column {needed!r}", f"Its first line reads: {', '.join(header) or '(empty)'}."
            )
    extra = [name for name in header if name not in MANIFEST_COLUMNS]
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, record in enumerate(reader, start=2):
        if None in record or None in record.values():
            raise UsageError(f"{path}, line {number}: not as many fields as the first line has")
        row = _row(record, extra, f"{path}, line {number}")
        if row.id in seen:
            raise UsageError(f"{path}, line {number}: the id {row.id!r} stands in line {seen[row.id]} already")
        seen[row.id] = number
        rows.append(row)
    if not rows:
        raise UsageError(f"{path} lists no sample")
    return rows


def _row(record: Mapping[str, str], extra: list[str], where: str) -> Row:
    get: Callable[[str], str] = lambda name: (record.get(name) or "").strip()  # noqa: E731
    location, label, split = get("path"), get("label"), get("split")
    if not location or not label:
        raise UsageError(f"{where}: path or label is empty")
    if split and split not in SPLITS:
        raise UsageError(f"{where}: the split {split!r} is none of {', '.join(SPLITS)}")
    location = location.replace("\\", "/")
    return Row(
        id=get("id") or location,
        path=location if PurePosixPath(location).is_absolute() else str(PurePosixPath(location)),
        label=label,
        group=get("group"),
        split=split,
        fold=get("fold"),
        sha256=get("sha256"),
        pixels=get("pixels"),
        width=_number(get("width"), where),
        height=_number(get("height"), where),
        columns={name: (record[name] or "") for name in extra},
    )


def _number(text: str, where: str) -> int:
    if text and not text.isdecimal():
        raise UsageError(f"{where}: {text!r} is no number of pixels")
    return int(text or 0)
