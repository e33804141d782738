"""Write preprocessed images: resized, grayscale if asked for, to a new folder with a manifest."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure
from toolbox.api.progress import Reporter
from toolbox.api.threads import map_in_threads
from toolbox.data import manifest as manifests
from toolbox.data.index import QuarantinedSample, write_quarantine
from toolbox.data.manifest import Row
from toolbox.data.prepare.plan import FILE_NAME, PrepareEstimate, PreparePlan, estimate, render
from toolbox.files import atomic
from toolbox.files.resumable_folder import ResumableFolder
from toolbox.settings import environment

_SHARD = 1000
_LOG = "done.jsonl"
_PACKAGES = ("vision-toolbox", "pillow")


@dataclass(frozen=True)
class PrepareResult:
    """A prepared folder: ``written`` images by this call, ``skipped`` by earlier ones."""

    path: Path
    written: int
    skipped: int
    counts: Mapping[str, Mapping[str, int]]
    quarantined: tuple[QuarantinedSample, ...]
    seconds: float

    @property
    def manifest(self) -> Path:
        """The manifest, for ``--data``."""
        return self.path / manifests.FILE_NAME


def write_folder(plan: PreparePlan, reporter: Reporter) -> PrepareResult:
    """Write the folder, or resume an interrupted call. Equal inputs give equal bytes.

    Raises
    ------
    EnvironmentFailure: another process writes it; the disk is too small, full or read-only; a source is gone.
    UsageError: something else has taken the folder's name meanwhile.
    """
    rows, counts = plan.index.manifest.rows, plan.index.manifest.counts()
    start = time.perf_counter()
    content = {**asdict(plan.recipe), "made_by": environment.versions_of(_PACKAGES)}
    folder = ResumableFolder(plan.out, FILE_NAME, content, _LOG)
    with folder.lock("preparing images"):
        prepared: dict[str, Row] = {}
        if plan.exists:
            left: list[Row] = []
        else:
            folder.begin()
            prepared = {row.id: row for row in _read_log(folder.log)}
            left = [row for row in rows if row.id not in prepared]
            if left:
                _check_disk(estimate(plan), len(left) / len(rows), folder.partial)
                prepared |= {row.id: row for row in _write(left, plan, folder, reporter)}
            _write_tables([prepared[row.id] for row in rows], plan, content, folder.partial)
            folder.finish()
        (plan.out / _LOG).unlink(missing_ok=True)
    seconds = time.perf_counter() - start if left else 0.0
    return PrepareResult(plan.out, len(left), len(rows) - len(left), counts, plan.index.quarantined, seconds)


def document(plan: PreparePlan, result: PrepareResult | None) -> dict[str, Any]:
    """What ``--json`` prints: the result, or without one what the plan would take."""
    recipe = plan.recipe
    facts = {
        "path": str(plan.out),
        "manifest": str(plan.out / manifests.FILE_NAME),
        "size": recipe.size,
        "channels": recipe.channels,
        "format": recipe.format,
        "images": len(plan.index.manifest.rows),
        "counts": plan.index.manifest.counts(),
        "quarantined": len(plan.index.quarantined),
    }
    if result is not None:
        return {**facts, "written": result.written, "skipped": result.skipped, "seconds": round(result.seconds, 1)}
    needed = estimate(plan)
    cost = {"files": needed.files, "bytes": needed.bytes, "seconds": round(needed.seconds, 1), "exists": plan.exists}
    return {"dry_run": True, **facts, **cost}


def _read_log(log: Path) -> Iterator[Row]:
    """The rows of the files that an interrupted call wrote; a line that was cut off does not count."""
    if not log.is_file():
        return
    with atomic.translate_os_errors("read", log):
        data = log.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with log.open("rb+") as file:
                file.truncate(len(whole))
    for line in whole.splitlines():
        row = Row(**json.loads(line))
        if (log.parent / row.path).is_file():
            yield row


def _write(rows: Sequence[Row], plan: PreparePlan, folder: ResumableFolder, reporter: Reporter) -> Iterator[Row]:
    bar = reporter.task("preparing", len(rows), "images")
    try:
        for start in range(0, len(rows), _SHARD):
            shard: list[Row] = []
            with folder.staging() as staging:
                for row, data in map_in_threads(lambda row: render(row, plan), rows[start : start + _SHARD]):
                    path = staging / row.path
                    with atomic.translate_os_errors("write", path):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(data)
                    shard.append(row)
                    bar.advance()
                lines = (json.dumps(asdict(row)) + "\n" for row in shard)
                folder.commit(staging, [row.path for row in shard], lines)
            yield from shard
    finally:
        bar.close()


def _write_tables(rows: Sequence[Row], plan: PreparePlan, content: Mapping[str, Any], folder: Path) -> None:
    notes = dict(plan.index.notes)
    if notes:
        sources = plan.index.manifest.rows
        rows = [_add_note(row, notes.get(source.path, "")) for row, source in zip(rows, sources, strict=True)]
    manifests.write_table(rows, folder / manifests.FILE_NAME)
    write_quarantine(plan.index.quarantined, folder / "quarantine.csv")
    document = {
        **content,
        "data": plan.source.spec,
        "images": len(rows),
        "quarantined": len(plan.index.quarantined),
    }
    atomic.write_json(folder / FILE_NAME, document)
    # No root: paths are relative to the manifest, since the folder may be moved. The dataset's note (synthetic, say)
    # holds for figures made with this folder too.
    atomic.write_json(folder / "manifest.json", {"note": plan.source.dataset.note})


def _add_note(row: Row, note: str) -> Row:
    return row if "source_note" in row.columns else replace(row, columns={**row.columns, "source_note": note})


def _check_disk(needed: PrepareEstimate, share: float, folder: Path) -> None:
    free, size = shutil.disk_usage(folder).free, needed.bytes * share
    if size > free:
        raise EnvironmentFailure(
            f"the images need about {size / 1e6:,.0f} MB; {folder.parent} has {free / 1e6:,.0f} MB",
            "Free some space, lower --size, or choose another folder with --out.",
        )
