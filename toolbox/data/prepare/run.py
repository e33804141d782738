"""Preprocessing, saved: every image resized, and made grey if asked, in a new folder with a manifest of its own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.progress import Reporter
from toolbox.api.threads import map_in_threads
from toolbox.data import manifest as manifests
from toolbox.data.index import QuarantinedSample, write_quarantine
from toolbox.data.manifest import Row
from toolbox.data.prepare.plan import FILE_NAME, Estimate, PreparePlan, PrepareRecipe, estimate, render
from toolbox.files import atomic
from toolbox.files.locks import hold_lock

_SHARD = 1000
_JOURNAL = "done.jsonl"


@dataclass(frozen=True)
class PrepareResult:
    """What was done: ``written`` images now, ``skipped`` there already."""

    path: Path
    written: int
    skipped: int
    counts: Mapping[str, Mapping[str, int]]
    quarantined: tuple[QuarantinedSample, ...]
    seconds: float

    @property
    def manifest(self) -> Path:
        """What to give as ``--data``."""
        return self.path / manifests.FILE_NAME


def write_folder(todo: PreparePlan, reporter: Reporter) -> PrepareResult:
    """Make the folder, or go on where an interrupted run left it.

    It is made under a hidden name beside its own and takes that when it is complete. Equal inputs give equal bytes.

    Raises
    ------
    EnvironmentFailure: another process is at it; the disk is too small, full or read-only; a source is gone.
    UsageError: the folder has come into being meanwhile.
    """
    rows, counts = todo.index.manifest.rows, todo.index.manifest.counts()
    if todo.exists:
        return PrepareResult(todo.out, 0, len(rows), counts, todo.index.quarantined, 0.0)
    start = time.perf_counter()
    # The lock lies beside the folder that is renamed: Windows renames none with an open file in it.
    workshop = todo.out.with_name(f".{todo.out.name}.partial")
    with hold_lock(workshop, "preparing images"):
        partial = _begun(workshop / "folder", todo.recipe)
        journal = workshop / _JOURNAL
        done = {row.id: row for row in _read_journal(journal, partial)}
        rest = [row for row in rows if row.id not in done]
        if rest:
            _check_disk(estimate(todo), len(rest) / len(rows), workshop)
            done |= {row.id: row for row in _write(rest, todo, partial, journal, reporter)}
        _finish([done[row.id] for row in rows], todo, partial)
        _take_name(partial, todo.out)
        journal.unlink(missing_ok=True)
    _clear_away(workshop)
    seconds = time.perf_counter() - start
    return PrepareResult(todo.out, len(rest), len(rows) - len(rest), counts, todo.index.quarantined, seconds)


def document(todo: PreparePlan, done: PrepareResult | None) -> dict[str, Any]:
    """What was done, or what would be (``done`` is ``None``), as ``--json`` prints it."""
    recipe = todo.recipe
    facts = {
        "path": str(todo.out),
        "manifest": str(todo.out / manifests.FILE_NAME),
        "size": recipe.size,
        "channels": recipe.channels,
        "format": recipe.format,
        "images": len(todo.index.manifest.rows),
        "counts": todo.index.manifest.counts(),
        "quarantined": len(todo.index.quarantined),
    }
    if done is not None:
        return {**facts, "written": done.written, "skipped": done.skipped, "seconds": round(done.seconds, 1)}
    needed = estimate(todo)
    plan = {"files": needed.files, "bytes": needed.bytes, "seconds": round(needed.seconds, 1), "exists": todo.exists}
    return {"dry_run": True, **facts, **plan}


def _begun(folder: Path, recipe: PrepareRecipe) -> Path:
    """The folder to fill. What an interrupted run with another recipe left is cleared away.

    Raises
    ------
    UsageError: there is a folder that no run has marked as its own.
    """
    mark, document = folder.with_name(FILE_NAME), asdict(recipe)
    if folder.exists() and not mark.is_file():
        raise UsageError(f"{folder} is none of the toolbox's folders", "Move it away, or give another --out.")
    try:
        same = json.loads(mark.read_text("utf-8")).items() >= document.items()
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        with atomic.translate_os_errors("clear away", folder):
            if folder.exists():
                shutil.rmtree(folder)
            folder.with_name(_JOURNAL).unlink(missing_ok=True)
        atomic.write_json(mark, document)
    return atomic.make_folder(folder)


def _read_journal(journal: Path, folder: Path) -> Iterator[Row]:
    """The rows of files that an interrupted run wrote whole; a line that was cut off doesn't count."""
    if not journal.is_file():
        return
    with atomic.translate_os_errors("read", journal):
        data = journal.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            with journal.open("rb+") as file:
                file.truncate(len(whole))
    for line in whole.splitlines():
        row = Row(**json.loads(line))
        if (folder / row.path).is_file():
            yield row


def _write(rows: Sequence[Row], todo: PreparePlan, folder: Path, journal: Path, reporter: Reporter) -> Iterator[Row]:
    task = reporter.task("preparing", len(rows), "images")
    make: Callable[[Row], tuple[Row, bytes]] = lambda row: render(row, todo)  # noqa: E731
    try:
        for start in range(0, len(rows), _SHARD):
            shard: list[Row] = []
            for done, data in map_in_threads(make, rows[start : start + _SHARD]):
                path = folder / done.path
                # Until the journal names it a file doesn't count, so no rename is needed.
                with atomic.translate_os_errors("write", path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                shard.append(done)
                task.advance()
            atomic.sync_all()
            with (
                atomic.translate_os_errors("write", journal),
                journal.open("a", encoding="utf-8", newline="\n") as file,
            ):
                file.writelines(json.dumps(asdict(row)) + "\n" for row in shard)
            yield from shard
    finally:
        task.close()


def _finish(rows: Sequence[Row], todo: PreparePlan, folder: Path) -> None:
    notes = dict(todo.index.notes)
    if notes:
        before = todo.index.manifest.rows
        rows = [_noted(row, notes.get(source.path, "")) for row, source in zip(rows, before, strict=True)]
    manifests.write_table(rows, folder / manifests.FILE_NAME)
    write_quarantine(todo.index.quarantined, folder / "quarantine.csv")
    document: dict[str, Any] = {
        **asdict(todo.recipe),
        "data": todo.source.spec,
        "images": len(rows),
        "quarantined": len(todo.index.quarantined),
    }
    atomic.write_json(folder / FILE_NAME, document)
    # No root: the folder may be moved, its paths are relative to the manifest. What must be said of figures made
    # with the dataset must be said of those made with this one.
    atomic.write_json(folder / "manifest.json", {"note": todo.source.dataset.note})
    atomic.sync_all()


def _noted(row: Row, note: str) -> Row:
    return row if "source_note" in row.columns else replace(row, columns={**row.columns, "source_note": note})


def _take_name(partial: Path, out: Path) -> None:
    with atomic.translate_os_errors("rename to", out):
        if out.is_dir():
            if any(out.iterdir()):
                raise UsageError(f"{out} exists and is not empty", "Give --out the name of a new folder.")
            out.rmdir()
        partial.rename(out)
        atomic.sync_folder(out.parent)


def _clear_away(workshop: Path) -> None:
    """Take the empty workshop away; what can't be removed is in nobody's way."""
    for name in (FILE_NAME, ".lock"):
        (workshop / name).unlink(missing_ok=True)
    try:
        workshop.rmdir()
    except OSError:
        return


def _check_disk(needed: Estimate, share: float, folder: Path) -> None:
    free, wanted = shutil.disk_usage(folder).free, needed.bytes * share
    if wanted > free:
        raise EnvironmentFailure(
            f"the images need about {wanted / 1e6:,.0f} MB; {folder.parent} has {free / 1e6:,.0f} MB",
            "Free some space, lower --size, or choose another folder with --out.",
        )
