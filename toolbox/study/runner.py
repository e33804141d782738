"""Runs a study: what is finished is not run again, and a run that fails does not stop the others."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from toolbox.api.errors import Interrupted, ToolboxError, UsageError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.files import atomic
from toolbox.files.locks import hold_lock
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec
from toolbox.runs.folder import FOLDER as RUNS
from toolbox.runs.folder import PREDICTIONS, Run
from toolbox.study import ledger
from toolbox.study.ledger import Entry
from toolbox.study.plan import Plan, PlannedRun, write

FOLDER = "studies"
SPLITS = "splits"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    planned: PlannedRun
    entry: Entry


def run(plan: Plan, folder: Path, reporter: Reporter, jobs: int = 1, command: str = "") -> Iterator[Outcome]:
    """Run what is not finished yet, below ``folder``; each outcome as it comes.

    Runs of one split share a workspace (``splits/<key>``), and with it the manifest, augmented sets and caches.
    With ``jobs`` above 1 different splits are worked on at the same time, each in a process of its own.

    Raises
    ------
    EnvironmentFailure: another process runs the study, or the disk can't be written.
    Interrupted: the user stopped it; what is finished is kept.
    """
    atomic.make_folder(folder)
    with hold_lock(folder, "running the study"):
        write(plan, folder)
        complete = finished(plan, folder)
        rest = [planned for planned in plan.runs if planned.key not in complete]
        _delete_unfinished(folder)
        if jobs == 1 or len({planned.split_key for planned in rest}) < 2:
            yield from _run_in_turn(rest, folder, reporter, command)
        else:
            reporter.info(f"{len(rest)} runs in {jobs} processes; 'toolbox study status' shows how far they are")
            yield from _run_in_processes(rest, folder, jobs, command)


def status(plan: Plan, folder: Path) -> dict[str, Entry]:
    """The last that is known of each run, by key; "missing" if its ledger says finished and its folder is not whole."""
    entries = ledger.read(folder)
    for planned in plan.runs:
        entry = entries.get(planned.key)
        if entry is not None and entry.status == "finished" and not _is_whole(Run(folder / entry.run), folder):
            reason = f"{entry.run or 'its folder'} is gone or incomplete; 'toolbox study run' repeats it"
            entries[planned.key] = replace(entry, status="missing", error=reason)
    return entries


def finished(plan: Plan, folder: Path) -> dict[str, Run]:
    """The finished runs of ``plan`` whose folders are still there, by key."""
    entries = status(plan, folder)
    keys = [planned.key for planned in plan.runs if planned.key in entries]
    return {key: Run(folder / entries[key].run) for key in keys if entries[key].status == "finished"}


def _is_whole(run: Run, folder: Path) -> bool:
    """Whether ``run`` lies in ``folder``, finished, and holds what results are made of."""
    # A line of the ledger that was edited may lead anywhere.
    if not run.path.resolve().is_relative_to(folder.resolve()) or not run.finished:
        return False
    try:
        return bool(run.evaluation) and (run.path / PREDICTIONS).is_file()
    except UsageError:
        return False


def _run_in_turn(runs: list[PlannedRun], folder: Path, reporter: Reporter, command: str) -> Iterator[Outcome]:
    """Run one after the other; the ledger says of each that it started and how it ended."""
    registry = Registry()
    for number, planned in enumerate(runs, start=1):
        reporter.info(f"[{number}/{len(runs)}] {planned.name}")
        ledger.append(folder, {"key": planned.key, "status": "started", "name": planned.name})
        entry = _run_one(planned, folder, registry, reporter, command)
        ledger.append(folder, {**asdict(entry), "name": planned.name})
        yield Outcome(planned, entry)


def _run_one(planned: PlannedRun, folder: Path, registry: Registry, reporter: Reporter, command: str) -> Entry:
    from toolbox.workspace import Workspace

    start = time.perf_counter()
    try:
        workspace = Workspace(
            folder / SPLITS / planned.split_key,
            settings=planned.settings,
            reporter=reporter,
            registry=registry,
            command=command,
            resplit=True,
        )
        if workspace.settings.training.train_on == "augmented":
            workspace.augment()
        train = workspace.finetune if planned.method == "finetune" else workspace.train
        path = train(planned.model).path.relative_to(folder).as_posix()
    except Interrupted:
        raise  # the user wants the study to stop, not this run alone
    except (ToolboxError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        return Entry(planned.key, "failed", "", round(time.perf_counter() - start, 2), reason)
    return Entry(planned.key, "finished", path, round(time.perf_counter() - start, 2))


@dataclass(frozen=True)
class _Job:
    """The work of one process: runs of a split, one after the other. Picklable."""

    folder: Path
    command: str
    threads: int

    def __call__(self, runs: list[PlannedRun]) -> list[Outcome]:
        import torch

        torch.set_num_threads(self.threads)
        return list(_run_in_turn(runs, self.folder, SilentReporter(), self.command))


def _run_in_processes(runs: list[PlannedRun], folder: Path, jobs: int, command: str) -> Iterator[Outcome]:
    by_split: dict[str, list[PlannedRun]] = {}
    for planned in runs:
        by_split.setdefault(planned.split_key, []).append(planned)
    job = _Job(folder, command, max(1, (os.cpu_count() or 1) // jobs))
    engine = Registry().engine(Spec("processes", {"workers": jobs}))
    # A run that is cut off is trained again, so that nothing is lost by stopping at once.
    for outcomes in engine.map(job, list(by_split.values()), finish=False):
        yield from outcomes


def _delete_unfinished(folder: Path) -> None:
    """Delete the folders of runs that were cut off, as they are run again from the beginning.

    Only a run's own record says that it is unfinished. A finished run stays even if this plan does not know it (it
    belongs to an earlier version of the study file), and so does a folder whose record can't be read.
    """
    for path in sorted(folder.glob(f"{SPLITS}/*/{RUNS}/*")):
        try:
            unfinished = not Run(path).finished and bool(Run(path).record)
        except UsageError:
            # Cut off before its record was written: at most the record's temporary file is there.
            unfinished = path.is_dir() and all(file.suffix == ".tmp" for file in path.iterdir())
        if unfinished:
            shutil.rmtree(path, ignore_errors=True)
