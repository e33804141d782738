"""Looks at every sample once: what decodes becomes a row of the manifest, what doesn't is quarantined."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.files import atomic, fingerprint


@dataclass(frozen=True, slots=True)
class QuarantinedSample:
    """A sample that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Index:
    """What a dataset really holds. ``modes`` are the files' own (``RGB``, ``L``, ``CMYK`` …), one a row."""

    manifest: Manifest
    modes: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]
    quarantined: tuple[QuarantinedSample, ...]


def build_index(source: Source, reporter: Reporter) -> Index:
    """Read every sample of ``source``.

    Raises
    ------
    UsageError: no sample, none readable, two samples with one id, or labels that some file system can't tell
        apart (``Cat`` beside ``cat``).
    """
    samples = list(source.samples())
    check_samples(samples, source.spec)

    def look(sample: Sample) -> tuple[Row, str, str] | QuarantinedSample:
        try:
            decoded, digest = source.read(sample)
        except (OSError, ValueError) as error:
            return QuarantinedSample(sample.path, " ".join(str(error).split()))
        return _row(sample, digest, decoded.image), decoded.mode, decoded.note

    rows, modes, notes, bad = [], [], [], []
    looked = map_in_threads(look, samples)
    for image in tracked(looked, reporter, "reading images", len(samples), "images"):
        if isinstance(image, QuarantinedSample):
            bad.append(image)
            continue
        row, mode, note = image
        rows.append(row)
        modes.append(mode)
        if note:
            notes.append((row.path, note))
    if not rows:
        raise UsageError(
            f"none of the {len(samples)} files of {source.spec} can be read", f"{bad[0].path}: {bad[0].reason}"
        )
    for label in sorted({sample.label for sample in samples} - {row.label for row in rows}):
        reporter.warn(f"the class {label!r} has no image that can be read; it is left out")
    root = None if isinstance(source.dataset, VirtualDataset) else source.dataset.root
    return Index(Manifest(tuple(rows), root, source.spec), tuple(modes), tuple(notes), tuple(bad))


def check_samples(samples: Sequence[Sample], what: str) -> None:
    """Refuse what could not be told apart later (see :func:`build_index`)."""
    if not samples:
        raise UsageError(f"{what} holds no images")
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise UsageError(f"{what} has two samples with the id {sample.id!r}")
        seen.add(sample.id)
    labels: dict[str, str] = {}
    for label in sorted({sample.label for sample in samples}):
        other = labels.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if other != label:
            raise UsageError(
                f"the classes {other!r} and {label!r} differ only in case or Unicode form",
                "Some file systems can't tell them apart: merge or rename them.",
            )


def write_quarantine(quarantined: Iterable[QuarantinedSample], path: Path) -> None:
    """Write ``quarantine.csv``: one line a file, empty but for its header where all is well."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "reason"])
    writer.writerows(sorted((item.path, item.reason) for item in quarantined))
    atomic.write_text(path, buffer.getvalue())


def _row(sample: Sample, digest: str, image: Image.Image) -> Row:
    return Row(
        id=sample.id,
        path=sample.path,
        label=sample.label,
        group=sample.group,
        split=sample.split,
        sha256=digest,
        pixels=fingerprint.of_pixels(image),
        width=image.width,
        height=image.height,
        columns=sample.columns,
    )
