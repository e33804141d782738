"""What an audit finds: the same picture twice, one group on both sides, one source's copies on both sides.

Within a split that is a warning; across splits it is a leak, since what is tested on has then been trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolbox.data.audit.near import ImageComparison, Pair
from toolbox.data.manifest import SPLITS, Manifest, Row

KINDS = {
    "identical-bytes": "the same file",
    "identical-pixels": "the same picture, pixel for pixel",
    "near-duplicate": "the same picture, re-encoded, resized, cropped, brightened or mirrored",
    "divided-group": "one group (a patient, say) on both sides",
    "copies-of-one-source": "copies of one source on both sides",
    "two-labels": "the same picture under two labels",
    "similar": "alike: the same patient, or processed?",
}
"""Every kind of finding, in the order in which they are told."""

SHOWN_MEMBERS = 12
"""Samples of one group that a finding names; a patient may have hundreds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Samples that belong together, and why. ``score``: correlation of registered pixels, where it was compared.

    ``ids`` name the samples, of a large group the first :data:`SHOWN_MEMBERS`; ``count`` is how many there are.
    """

    kind: str
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    count: int
    leak: bool
    score: float | None = None
    note: str = ""

    def document(self) -> dict[str, Any]:
        """As ``audit.json`` has it."""
        fields = {name: getattr(self, name) for name in ("kind", "paths", "splits", "labels", "count", "leak")}
        more = {"score": round(self.score, 4)} if self.score is not None else {}
        return {**fields, **more, **({"note": self.note} if self.note else {})}


@dataclass(frozen=True)
class Audit:
    """All findings on one manifest, leaks first.

    ``fingerprint`` is the manifest's; ``comparison`` is ``None`` where pictures were not compared.
    """

    fingerprint: str
    findings: tuple[Finding, ...]
    comparison: ImageComparison | None

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings across splits."""
        return tuple(finding for finding in self.findings if finding.leak)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings within a split, and doubtful ones."""
        return tuple(finding for finding in self.findings if not finding.leak)

    def counts(self) -> dict[str, int]:
        """How many leaks there are of each kind, in the order of :data:`KINDS`."""
        numbers = Counter(finding.kind for finding in self.leaks)
        return {kind: numbers[kind] for kind in KINDS if numbers[kind]}

    def document(self) -> dict[str, Any]:
        """As ``audit.json`` has it."""
        compared = self.comparison
        return {
            "leaks": len(self.leaks),
            "warnings": len(self.warnings),
            "leaks_by_kind": self.counts(),
            "manifest": self.fingerprint,
            "compared": None
            if compared is None
            else {
                "described": compared.described,
                "registered": compared.registered,
                "left_out": compared.left_out,
            },
            "groups": [finding.document() for finding in self.findings],
        }


def audit_manifest(manifest: Manifest, comparison: ImageComparison | None, copies: Iterable[Row] = ()) -> Audit:
    """Everything that ``manifest`` holds twice, or on both sides of its splits.

    ``comparison`` is what :func:`toolbox.data.audit.near.compare_images` says of its rows; ``copies`` are rows of
    augmented sets, each with its ``source`` (a sample's id) among its columns.
    """
    findings = [
        *_identical(manifest),
        *(_near(manifest, comparison) if comparison else ()),
        *_divided(manifest),
        *_copies(manifest, copies),
    ]
    order = {kind: number for number, kind in enumerate(KINDS)}
    findings.sort(key=lambda finding: (not finding.leak, order[finding.kind], -(finding.score or 0), finding.ids))
    return Audit(manifest.fingerprint, tuple(findings), comparison)


def link_duplicates(manifest: Manifest, comparison: ImageComparison | None) -> list[tuple[str, str]]:
    """Pairs of ids that are the same picture: pixel for pixel, or near-duplicates. Each is named once at least."""
    by_pixels = _by_pixels(manifest.rows)
    links = [(rows[0].id, row.id) for rows in by_pixels.values() for row in rows[1:]]
    pairs = comparison.pairs if comparison else ()
    return links + [(pair.first, pair.second) for pair in pairs if pair.kind == "near-duplicate"]


def find_training_leaks(manifest: Manifest, comparison: ImageComparison | None) -> dict[str, str]:
    """The samples that must go for no leak to be left, each with the sample that stays in its place.

    Of two that belong together the one nearer to training goes: test stays before validation before training.
    """
    by_pixels = _by_pixels(manifest.rows)
    by_id = {row.id: row for row in manifest.rows}
    together: list[Sequence[Row]] = [rows for rows in by_pixels.values() if len(rows) > 1]
    together += [rows for rows in _by_group(manifest.rows).values() if len(rows) > 1]
    for pair in comparison.pairs if comparison else ():
        if pair.kind == "near-duplicate":
            first, second = by_id[pair.first], by_id[pair.second]
            together.append([*_same(first, by_pixels), *_same(second, by_pixels)])
    gone: dict[str, str] = {}
    for rows in together:
        stays = max(rows, key=lambda row: (SPLITS.index(row.split), row.id))
        gone.update({row.id: stays.id for row in rows if SPLITS.index(row.split) < SPLITS.index(stays.split)})
    return gone


def _identical(manifest: Manifest) -> Iterator[Finding]:
    for rows in _by_pixels(manifest.rows).values():
        if len(rows) < 2:
            continue
        files = {row.sha256 for row in rows}
        kind = "identical-bytes" if len(files) == 1 and "" not in files else "identical-pixels"
        yield _finding(kind, rows, leak=_crosses(rows))
        if len({row.label for row in rows}) > 1:
            yield _finding("two-labels", rows, leak=False)


def _near(manifest: Manifest, comparison: ImageComparison) -> Iterator[Finding]:
    by_id = {row.id: row for row in manifest.rows}
    by_pixels = _by_pixels(manifest.rows)
    for pair in comparison.pairs:
        first, second = by_id[pair.first], by_id[pair.second]
        rows = [*_same(first, by_pixels), *_same(second, by_pixels)]
        crosses = _crosses(rows)
        if pair.kind == "near-duplicate":
            yield _finding("near-duplicate", rows, crosses, pair.score, _geometry(pair))
            if first.label != second.label:
                yield _finding("two-labels", rows, False, pair.score, _geometry(pair))
        elif crosses and not (first.group and first.group == second.group):
            yield _finding("similar", rows, False, pair.score, _geometry(pair))


def _divided(manifest: Manifest) -> Iterator[Finding]:
    for group, rows in sorted(_by_group(manifest.rows).items()):
        if _crosses(rows) and not _is_source(group, rows):
            yield _finding("divided-group", _from_each_split(rows), True, note=f"group {group}", count=len(rows))


def _copies(manifest: Manifest, copies: Iterable[Row]) -> Iterator[Finding]:
    """Sources whose copies, the source itself included, lie in more than one split."""
    families: dict[str, list[Row]] = defaultdict(list)
    for row in manifest.rows:
        families[row.columns.get("source") or row.id].append(row)
    for row in copies:
        families[row.columns["source"]].append(row)
    for source, rows in sorted(families.items()):
        if len(rows) > 1 and _crosses(rows):
            yield _finding(
                "copies-of-one-source", _from_each_split(rows), True, note=f"source {source}", count=len(rows)
            )


def _is_source(group: str, rows: Sequence[Row]) -> bool:
    """Whether the group is that of one source's copies, which are a finding of their own."""
    return all(row.columns.get("source") == group for row in rows)


def _finding(
    kind: str, rows: Sequence[Row], leak: bool, score: float | None = None, note: str = "", count: int = 0
) -> Finding:
    shown = sorted(rows, key=lambda row: (SPLITS.index(row.split) if row.split else -1, row.id))[:SHOWN_MEMBERS]
    return Finding(
        kind=kind,
        ids=tuple(row.id for row in shown),
        paths=tuple(row.path for row in shown),
        splits=tuple(row.split for row in shown),
        labels=tuple(row.label for row in shown),
        count=count or len(rows),
        leak=leak,
        score=score,
        note=note,
    )


def _from_each_split(rows: Sequence[Row]) -> list[Row]:
    """The first samples of each split, so that a large group's finding shows every side."""
    chosen: list[Row] = []
    for split in SPLITS:
        chosen += [row for row in rows if row.split == split][: SHOWN_MEMBERS // len(SPLITS)]
    return chosen


def _geometry(pair: Pair) -> str:
    words = ["mirrored"] if pair.mirrored else []
    if abs(pair.scale - 1) >= 0.01:
        words.append(f"scaled by {pair.scale:.2f}")
    if abs(pair.rotation) >= 0.5:
        words.append(f"turned by {pair.rotation:.1f}°")
    return ", ".join(words)


def _by_pixels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    rows_by_pixels: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rows_by_pixels[row.pixels or f"unknown {row.id}"].append(row)
    return rows_by_pixels


def _by_group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    rows_by_group: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.group:
            rows_by_group[row.group].append(row)
    return rows_by_group


def _same(row: Row, by_pixels: Mapping[str, list[Row]]) -> list[Row]:
    return by_pixels[row.pixels or f"unknown {row.id}"]


def _crosses(rows: Sequence[Row]) -> bool:
    return len({row.split for row in rows if row.split}) > 1
