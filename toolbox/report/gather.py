"""Collects what a report shows from the files that earlier commands wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolbox.api.evaluator import Evaluation
from toolbox.evaluation.galleries import read_galleries
from toolbox.evaluation.test_set_uses import uses_of
from toolbox.plugin.registry import Registry
from toolbox.report import comparing, repeating
from toolbox.report.gather_data import data_view
from toolbox.report.inputs import Epoch, ExternalView, ReportInputs, RunView
from toolbox.report.wording import counted
from toolbox.runs.evaluation import EvaluationRecord
from toolbox.runs.folder import Run
from toolbox.runs.record import RunRecord, StageRecord


def gather(
    workspace: Path, chosen: Sequence[Run], registry: Registry, images: bool = True, beside: Path | None = None
) -> ReportInputs:
    """What a report on ``chosen`` shows. Runs on other data than the newest one's are noted.

    Without ``images`` no picture of the data is read. ``beside``: the folder that the report is written to, for links
    to files of the workspace.
    """
    newest = chosen[-1]
    views = [run_view(run) if images else without_pictures(run_view(run)) for run in chosen]
    compared, refused = comparing.comparisons(chosen)
    notes = []
    if len({run.record.data.fingerprint for run in chosen}) > 1:
        notes.append(f"The runs differ in data or split; the data section is that of {newest.id}.")
    notes += dict.fromkeys(
        seen.words[:1].upper() + seen.words[1:] + "."
        for run in chosen
        if (seen := uses_of(run)) is not None and seen.many
    )
    return ReportInputs(
        title="Experiment report",
        created="",
        workspace=workspace.resolve().name,
        runs=views,
        data=data_view(workspace, newest, chosen, registry, images, beside or workspace),
        notes=notes,
        comparisons=compared,
        not_comparable=refused,
        steps=repeating.steps(chosen),
        versions=repeating.shared_versions(chosen),
    )


def run_view(run: Run) -> RunView:
    """One run as reports and the terminal show it."""
    record, evaluation = run.record, run.evaluation
    return RunView(
        id=run.id,
        model=record.model,
        command=record.command,
        split=evaluation.split,
        n=evaluation.n,
        held_out=evaluation.held_out,
        leaky=record.leaky,
        evaluation=_results(evaluation),
        history=[_epoch(line) for line in run.history()],
        facts=[*_facts(record), *_looks(run)],
        warnings=[*_warnings(record), *evaluation.notes],
        galleries=read_galleries(run, evaluation.galleries),
        external=[_external(evaluation) for evaluation in run.external_evaluations()],
        counts=record.data.counts,
        files=None if record.train_on == "originals" else record.training_files,
        folder=run.path,
    )


def without_pictures(run: RunView) -> RunView:
    """The run without those galleries that show something of the data."""
    return replace(run, galleries=[gallery for gallery in run.galleries if not gallery.shows_data])


def _external(evaluation: EvaluationRecord) -> ExternalView:
    return ExternalView(
        data=evaluation.external,
        n=evaluation.n,
        evaluation=_results(evaluation),
        leaky=evaluation.leaky,
        trained_on=evaluation.trained_on or 0,
    )


def _results(evaluation: EvaluationRecord) -> Evaluation:
    return Evaluation(evaluation.metrics, evaluation.tables, evaluation.figures, notes=evaluation.notes)


def _epoch(line: Mapping[str, Any]) -> Epoch:
    names = ("stage", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    return Epoch(**{name: line.get(name) for name in names})  # type: ignore[arg-type]  # as metrics.jsonl has them


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    files = sum(record.training_files.values())
    kinds = {"originals": "originals", "augmented": f"copies in {record.augmented_set}", "online": "fresh copies"}
    facts = [
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
    return facts


def _looks(run: Run) -> list[tuple[str, str]]:
    seen = uses_of(run)
    return [] if seen is None else [("looks at its test set", f"{seen.count:,}, {seen.by_run:,} of them by this run")]


def _stage_words(stage: StageRecord) -> str:
    text = f"{stage.epochs_run} epochs of {stage.optimizer} at lr {stage.lr:g}, batch {stage.batch_size}"
    if stage.stopped_early or stage.best_epoch != stage.epochs_run:
        text += f"; weights of epoch {stage.best_epoch} kept"
    frozen = stage.frozen_before == stage.frozen_after
    return f"{text}; {stage.trained_parameters:,} parameters trained" + ("" if frozen else "; FROZEN PART CHANGED")


def _warnings(record: RunRecord) -> list[str]:
    found = []
    if record.data.note:
        found.append(record.data.note)
    if record.untrained:
        found.append("untrained: no stage had an epoch, this is the baseline.")
    if record.data.quarantined:
        found.append(f"{record.data.quarantined} files could not be read and were left out.")
    return found
