"""``audit.html``: what an audit found, the pictures side by side. One file that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolbox.api.progress import Reporter, tracked
from toolbox.data.audit import FILE_NAME, PAGE_NAME
from toolbox.data.audit.findings import KINDS, Audit, Finding
from toolbox.data.manifest import Row
from toolbox.data.source import ImageChanged
from toolbox.files.atomic import write_bytes, write_json
from toolbox.files.outputs import check_output
from toolbox.report import page_assets
from toolbox.report.pictures import EmbeddedPicture, Thumbnail, embed

if TYPE_CHECKING:
    from toolbox.data.source import Source
    from toolbox.data.workspace_manifest import SplitDataset

MAX_LEAKS, MAX_WARNINGS, MAX_MEMBERS = 120, 40, 6
"""What a page shows; ``audit.json`` has all of it."""


@dataclass(frozen=True, slots=True)
class PageFinding:
    """A finding as the page shows it; ``more``: samples of it that are left out."""

    title: str
    note: str
    members: Sequence[EmbeddedPicture]
    more: int


def check_audit_files(folder: Path, overwrite: bool = False) -> None:
    """Refuse to replace an ``audit.json`` or ``audit.html`` that toolbox did not write; see :func:`check_output`."""
    for name in (FILE_NAME, PAGE_NAME):
        check_output(folder / name, overwrite)


def write_audit_files(audit: Audit, split: SplitDataset, folder: Path, reporter: Reporter) -> None:
    """Write ``audit.json`` and ``audit.html``, each whole or not at all.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    rows = {row.id: row for row in split.manifest.rows}
    leaks, warnings = audit.leaks[:MAX_LEAKS], audit.warnings[:MAX_WARNINGS]
    pictured = _pictured([*leaks, *warnings], rows, split.source)
    findings = list(tracked(pictured, reporter, "drawing the audit", len(leaks) + len(warnings), "findings"))
    text = page_assets.render(
        "audit.html.j2",
        audit=audit,
        data=split.source.spec,
        images=len(rows),
        counts=[f"{count} × {KINDS[kind]}" for kind, count in audit.counts().items()],
        leaks=findings[: len(leaks)],
        warnings=findings[len(leaks) :],
    )
    write_json(folder / FILE_NAME, audit.document())
    write_bytes(folder / PAGE_NAME, text.encode("utf-8"))


def _pictured(findings: Sequence[Finding], rows: Mapping[str, Row], source: Source) -> Iterator[PageFinding]:
    for finding in findings:
        score = f"correlation {finding.score:.3f}" if finding.score is not None else ""
        members = list(zip(finding.ids, finding.paths, finding.splits, finding.labels, strict=True))[:MAX_MEMBERS]
        yield PageFinding(
            title=KINDS[finding.kind].capitalize(),
            note=", ".join(filter(None, [finding.note, score])),
            members=[
                _picture(rows.get(id_), f"{split} · {label}", path, source) for id_, path, split, label in members
            ],
            more=finding.count - len(members),
        )


def _picture(row: Row | None, label: str, path: str, source: Source) -> EmbeddedPicture:
    """A sample's picture; without an image for a copy in an augmented set, or where it can't be read anymore."""
    try:
        if row is not None:
            return embed(Thumbnail(label, path, source.image(row)))
    except ImageChanged:
        pass
    return EmbeddedPicture("", 0, 0, label, path)
