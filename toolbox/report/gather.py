"""Collects what a report shows from the files that earlier commands wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolbox.evaluation.galleries import read_galleries
from toolbox.evaluation.test_set_uses import uses_of
from toolbox.plugin.registry import Registry
from toolbox.report import comparing, repeating
from toolbox.report.gather_data import data_view
from toolbox.report.inputs import Epoch, ReportInputs, RunView
from toolbox.report.wording import counted
from toolbox.runs.folder import Run
from toolbox.runs.record import RunRecord, StageRecord


def gather(
    workspace: Path, runs: Sequence[Run], registry: Registry, images: bool = True, beside: Path | None = None
) -> ReportInputs:
    """What a report on ``runs`` shows. Runs on other data than the newest one's are noted.

    Without ``images`` no picture of the data is read. ``beside``: the folder that the report is written to, for links
    to files of the workspace.
    """
    newest = runs[-1]
    compared, not_comparable = comparing.comparisons(runs)
    notes = []
    if len({run.record.data.fingerprint for run in runs}) > 1:
        notes.append(f"The runs differ in data or split; the data section is that of {newest.id}.")
    notes += dict.fromkeys(
        uses.words[:1].upper() + uses.words[1:] + "."
        for run in runs
        if (uses := uses_of(run)) is not None and uses.many
    )
    return ReportInputs(
        title="Experiment report",
        created="",
        workspace=workspace.resolve().name,
        runs=[run_view(run, images) for run in runs],
        data=data_view(workspace, newest, runs, registry, images, beside or workspace),
        notes=notes,
        comparisons=compared,
        not_comparable=not_comparable,
        steps=repeating.steps(runs),
        versions=repeating.shared_versions(runs),
    )


def run_view(run: Run, images: bool = True) -> RunView:
    """One run as reports and the terminal show it; without ``images`` no gallery that shows the data."""
    galleries = read_galleries(run, run.evaluation.galleries)
    return RunView(
        id=run.id,
        record=run.record,
        evaluation=run.evaluation,
        history=[_epoch(line) for line in run.history()],
        facts=[*_facts(run.record), *_test_set_uses(run)],
        warnings=[*_warnings(run.record), *run.evaluation.notes],
        galleries=[gallery for gallery in galleries if images or not gallery.shows_data],
        external=run.external_evaluations(),
        folder=run.path,
    )


def _epoch(line: Mapping[str, Any]) -> Epoch:
    names = ("stage", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return Epoch(**{name: line.get(name) for name in names})  # type: ignore[arg-type]  # as metrics.jsonl has them


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    files = sum(record.training_files.values())
    kinds = {"originals": "originals", "augmented": f"copies in {record.augmented_set}", "online": "fresh copies"}
    return [
        ("weights", "none: trained from scratch" if record.kind == "train" else record.weights),
        ("trained on", f"{files:,} {kinds.get(record.train_on, record.train_on)}"),
        ("input", f"{record.request.size} × {record.request.size}, {counted(record.request.channels, 'channel')}"),
        ("parameters", f"{record.parameters:,}"),
        *((f"stage {stage.name}", _stage_words(stage)) for stage in record.stages),
        ("seed", str(record.seed)),
        ("device", f"{record.device}, {counted(record.threads, 'thread')}"),
        ("time", f"{record.seconds:,.0f} s"),
        ("split", record.data.split_fingerprint[:12]),
        ("data", record.data.fingerprint[:12]),
    ]


def _test_set_uses(run: Run) -> list[tuple[str, str]]:
    uses = uses_of(run)
    return [] if uses is None else [("uses of its test set", f"{uses.count:,}, {uses.by_run:,} of them by this run")]


def _stage_words(stage: StageRecord) -> str:
    steps = f", cut at {stage.steps:,} steps," if stage.steps and not stage.stopped_early else ""
    text = f"{stage.epochs_run} epochs{steps} of {stage.optimizer} at lr {stage.lr:g}, batch {stage.batch_size}"
    if stage.stopped_early or stage.best_epoch != stage.epochs_run:
        text += f"; weights of epoch {stage.best_epoch} kept"
    frozen = stage.frozen_before == stage.frozen_after
    return f"{text}; {stage.trained_parameters:,} parameters trained" + ("" if frozen else "; FROZEN PART CHANGED")


def _warnings(record: RunRecord) -> list[str]:
    warnings = [record.data.note] if record.data.note else []
    if record.untrained:
        warnings.append("Untrained: no stage had an epoch. This is the baseline.")
    if record.data.quarantined:
        warnings.append(f"{counted(record.data.quarantined, 'file')} could not be read and were left out.")
    return warnings
