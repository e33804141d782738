"""Collects what a report shows of the data: counts, split, audit, licence, samples and copies."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from toolbox.api.dataset import VirtualDataset
from toolbox.api.errors import ToolboxError, UsageError
from toolbox.api.images import UnreadableImage, decode, read_file
from toolbox.augment import lineage
from toolbox.augment.recipe import FOLDER as AUGMENTED
from toolbox.data import audit as audits
from toolbox.data import manifest as manifests
from toolbox.data.audit.findings import KINDS
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source, open_source
from toolbox.evaluation.test_set_uses import uses_of
from toolbox.plugin.registry import Registry
from toolbox.report.inputs import AuditView, DataView
from toolbox.report.pictures import Thumbnail
from toolbox.report.wording import likeliest_pairs, shorten
from toolbox.runs.document import read_json
from toolbox.runs.folder import Run
from toolbox.runs.record import RunRecord

SAMPLES_A_CLASS = 6
SOURCES_SHOWN = 3
COPIES_SHOWN = 6
LICENCE_LINES, EXAMPLES, MEMBERS = 3, 5, 4


def data_view(
    workspace: Path, newest: Run, runs: Sequence[Run], registry: Registry, images: bool, beside: Path
) -> DataView:
    """The data of the newest run; pictures of it only with ``images``. Links lead from the folder ``beside``."""
    record = newest.record
    data, split = record.data, record.settings.split
    augmented = next((run.record for run in reversed(runs) if run.record.augmented_set), None)
    source = _source(data.spec, registry)
    samples, copies = _pictures(workspace, record, augmented, source) if images and source else ([], [])
    return DataView(
        description=data.spec,
        note=data.note,
        counts_before=data.counts,
        counts_after=augmented.training_files if augmented else None,
        samples=samples,
        copies=copies,
        quarantined=_quarantined(workspace),
        fingerprint=data.fingerprint,
        split_facts=[
            ("protocol", split.protocol),
            ("test share asked for", f"{split.test:g}"),
            ("validation share asked for", f"{split.val:g}"),
            ("split seed", str(split.seed)),
            ("grouped by", split.group_by or "what the dataset says"),
            *_test_set_uses(newest),
        ],
        license=_license(source),
        audit=_audit(workspace, data.fingerprint, images, beside),
    )


def _source(spec: str, registry: Registry) -> Source | None:
    """The dataset, if it is still there."""
    try:
        return open_source(spec, registry)
    except ToolboxError:
        return None


def _test_set_uses(run: Run) -> list[tuple[str, str]]:
    uses = uses_of(run)
    return [] if uses is None else [("uses of the test set", f"{uses.count:,}")]


def _license(source: Source | None) -> tuple[str, str] | None:
    """Name and first lines of the licence file in the dataset's folder, or the one above (of ``data/train``)."""
    dataset = source.dataset if source else None
    root = dataset.home if isinstance(dataset, VirtualDataset) else dataset.root if dataset else None
    for folder in () if root is None else (root, root.parent):
        for path in sorted(folder.glob("LICEN[CS]E*")):
            with contextlib.suppress(OSError):
                text = path.read_bytes()[:4000].decode("utf-8", errors="replace")
                lines = [line.strip() for line in text.splitlines() if line.strip()]
                return path.name, shorten(" ".join(lines[:LICENCE_LINES]), 300)
    return None


def _audit(workspace: Path, fingerprint: str, images: bool, beside: Path) -> AuditView | None:
    """What ``audit.json`` says; without ``images`` without a link to the page with pictures."""
    path = workspace / audits.FILE_NAME
    try:
        document = read_json(path)
        compared = document["compared"]
        words = "Pictures were not compared for near-duplicates."
        if compared:
            pairs = likeliest_pairs(compared["registered"])
            words = f"{compared['described']:,} different pictures were described, and {pairs} compared pixel by pixel."
        names = [audits.FILE_NAME, *([audits.PAGE_NAME] if images else [])]
        leaks = [group for group in document["groups"] if group["leak"]]
        return AuditView(
            current=document["manifest"] == fingerprint,
            leaks=[(KINDS.get(kind, kind), count) for kind, count in document["leaks_by_kind"].items()],
            warnings=document["warnings"],
            compared=words,
            examples=[f"{KINDS.get(group['kind'], group['kind'])}: {_members(group)}" for group in leaks[:EXAMPLES]],
            links=[(name, _address(workspace / name, beside)) for name in names if (workspace / name).is_file()],
        )
    except (UsageError, KeyError, TypeError, AttributeError):
        return None


def _members(group: Mapping[str, Any]) -> str:
    members = [f"{path} ({split})" for path, split in zip(group["paths"], group["splits"], strict=False)][:MEMBERS]
    more = group["count"] - len(members)
    return ", ".join(members) + (f" and {more:,} more" if more > 0 else "")


def _address(path: Path, beside: Path) -> str:
    """A link from a page in ``beside``: relative, so that both can be moved together."""
    try:
        return quote(Path(os.path.relpath(path.resolve(), beside.resolve())).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()


def _pictures(
    workspace: Path, record: RunRecord, augmented: RunRecord | None, source: Source
) -> tuple[list[Thumbnail], list[list[Thumbnail]]]:
    """Samples and copies; none where data or manifest are no longer what the run was trained on."""
    path = workspace / manifests.FILE_NAME
    try:
        manifest = manifests.read(path if path.exists() else Path(record.data.spec))
        if manifest.fingerprint != record.data.fingerprint:
            return [], []
        samples = list(_samples(manifest, source))
        return samples, list(_copies(workspace, augmented, manifest, source)) if augmented else []
    except (ToolboxError, OSError, ValueError):
        return [], []


def _samples(manifest: Manifest, source: Source) -> Iterable[Thumbnail]:
    for label in manifest.classes:
        rows = [row for row in manifest.rows if row.label == label]
        for row in rows[:: max(1, len(rows) // SAMPLES_A_CLASS)][:SAMPLES_A_CLASS]:
            yield _thumbnail(row, source)


def _copies(workspace: Path, record: RunRecord, manifest: Manifest, source: Source) -> Iterable[list[Thumbnail]]:
    folder = workspace / AUGMENTED / record.augmented_set
    rows = {row.id: row for row in manifest.part("train")}
    first: dict[str, Row] = {}
    for row in rows.values():
        first.setdefault(row.label, row)
    sources = [row.id for row in [*first.values(), *rows.values()]][:SOURCES_SHOWN]
    lines: dict[str, list[lineage.Line]] = {source_id: [] for source_id in dict.fromkeys(sources)}
    for line in lineage.read(folder / lineage.FILE_NAME):
        if line.source in lines and len(lines[line.source]) < COPIES_SHOWN:
            lines[line.source].append(line)
    for source_id, copy_lines in lines.items():
        copies = [
            Thumbnail(rows[source_id].label, lineage.describe_params(line.params), _file(folder / line.path))
            for line in copy_lines
        ]
        yield [_thumbnail(rows[source_id], source), *copies]


def _thumbnail(row: Row, source: Source) -> Thumbnail:
    return Thumbnail(row.label, row.path, source.image(row))


def _file(path: Path) -> Image.Image:
    try:
        return decode(read_file(path)).image
    except UnreadableImage as error:
        raise ValueError(str(error)) from error


def _quarantined(workspace: Path) -> list[tuple[str, str]]:
    path = workspace / "quarantine.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(line["path"], line["reason"]) for line in csv.DictReader(file)]
