"""``audit.html``: what an audit found, the pictures side by side. One file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import toolbox
from toolbox.api.progress import Reporter, tracked
from toolbox.data.audit.findings import KINDS, Audit, Finding
from toolbox.data.manifest import Row
from toolbox.data.source import ImageChanged
from toolbox.files.atomic import write_bytes
from toolbox.report.inputs import Thumb
from toolbox.report.page_assets import environment, stylesheet
from toolbox.report.pictures import Picture, embed

if TYPE_CHECKING:
    from toolbox.data.source import Source
    from toolbox.data.workspace_manifest import SplitDataset

MAX_LEAKS, MAX_WARNINGS, MAX_MEMBERS = 120, 40, 6
"""What a page shows; ``audit.json`` has all of it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One sample of a finding: its picture, if it still can be read, and where it stands."""

    picture: Picture | None
    path: str
    split: str
    label: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding as the page shows it."""

    title: str
    note: str
    members: Sequence[Member]
    more: int


def write_audit_page(audit: Audit, prepared: SplitDataset, path: Path, reporter: Reporter) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises
    ------
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    rows = {row.id: row for row in prepared.manifest.rows}
    chosen = [*audit.leaks[:MAX_LEAKS], *audit.warnings[:MAX_WARNINGS]]
    drawn = tracked(_all_shown(chosen, rows, prepared.source), reporter, "drawing the audit", len(chosen), "findings")
    shown = list(drawn)
    leaks = min(len(audit.leaks), MAX_LEAKS)
    text = (
        environment()
        .get_template("audit.html.j2")
        .render(
            audit=audit,
            data=prepared.source.spec,
            style=stylesheet(),
            version=toolbox.__version__,
            images=len(rows),
            counts=[(count, KINDS[kind]) for kind, count in audit.counts().items()],
            leaks=shown[:leaks],
            warnings=shown[leaks:],
        )
    )
    write_bytes(path, text.encode("utf-8"))


def _all_shown(findings: Sequence[Finding], rows: Mapping[str, Row], source: Source) -> Iterator[Shown]:
    for finding in findings:
        score = f"correlation {finding.score:.3f}" if finding.score is not None else ""
        members = [
            Member(_picture(rows.get(name), source), path, split, label)
            for name, path, split, label in zip(finding.ids, finding.paths, finding.splits, finding.labels, strict=True)
        ]
        yield Shown(
            title=KINDS[finding.kind].capitalize(),
            note=", ".join(filter(None, [finding.note, score])),
            members=members[:MAX_MEMBERS],
            more=finding.count - min(len(members), MAX_MEMBERS),
        )


def _picture(row: Row | None, source: Source) -> Picture | None:
    """The sample's picture; a copy in an augmented set is named without one."""
    if row is None:
        return None
    try:
        return embed(Thumb(row.label, row.path, source.image(row)))
    except ImageChanged:
        return None
