"""The life of a run: checked, begun (or resumed, or repeated), trained, evaluated, finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toolbox.api.errors import EnvironmentFailure, Interrupted, UsageError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.cache.folder import scratch_folder
from toolbox.data.audit import gate
from toolbox.data.manifest import write_table
from toolbox.evaluation.apply import evaluate_run
from toolbox.files import locks
from toolbox.files.command_line import command_line
from toolbox.models.build import resolve_device
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.runs.folder import MANIFEST, Run, create_run
from toolbox.runs.record import RunRecord, Status
from toolbox.settings import environment
from toolbox.settings.layers import Layer
from toolbox.settings.schema import Settings
from toolbox.training.distributed import process_group
from toolbox.training.experiment import Trainer
from toolbox.training.memory import keep_freed_memory
from toolbox.training.record import changes, describe
from toolbox.training.session import Experiment, Session, torch_threads
from toolbox.training.stages import plan_stages
from toolbox.training.trackers import build_trackers
from toolbox.workspace.data import WorkspaceData

Model = str | Mapping[str, Any] | Spec


def train(workspace: WorkspaceData, model: Model, *, finetune: bool, unfreeze: str | int = "") -> Run:
    """Train ``model`` in a new run and evaluate it. ``unfreeze`` replaces the setting ``last.unfreeze``."""
    more = [Layer("finetune", {"last.unfreeze": unfreeze})] if unfreeze else []
    experiment = plan_run(workspace, model, finetune, workspace.resolve_settings(*more), save=True)
    return _train_and_finish(experiment, workspace.reporter)


def resume(workspace: WorkspaceData, run: Run) -> Run:
    """Resume an unfinished run from its checkpoint, or from the start if it has none.

    Raises
    ------
    UsageError: it is finished, or data, split, settings or weights changed.
    """
    if run.finished:
        raise UsageError(f"the run {run.id} is finished and can't be resumed", "Repeat it with --from-run.")
    if run.record.status == "trained":
        settings = workspace.with_settings_of(run).plain_settings
        return _finish(run, workspace.path, settings, workspace.registry, workspace.reporter)
    return _train_and_finish(_plan_again(workspace, run), workspace.reporter, resume=run)


def repeat(workspace: WorkspaceData, run: Run) -> Run:
    """Repeat ``run`` as a new run, changed by the settings that ``workspace`` was given.

    Raises
    ------
    UsageError: no settings were given, and data, split or weights changed.
    """
    like = None if workspace.options.values else run.record
    return _train_and_finish(_plan_again(workspace, run), workspace.reporter, like=like)


def plan_run(
    workspace: WorkspaceData, model: Model, finetune: bool, settings: Settings | None = None, *, save: bool = False
) -> Experiment:
    """Check what is to be trained. With ``save`` the workspace's split and audit are brought up to date.

    Raises
    ------
    UsageError: an unknown component, or settings that contradict each other: before the data are read.
    Refused: the splits leak (see :func:`toolbox.data.audit.gate.check`).
    """
    settings, registry, reporter = settings or workspace.settings, workspace.registry, workspace.reporter
    spec = parse(model)
    registry.model(spec)
    plan_stages(settings, finetune)
    if not [registry.evaluator(parse(evaluator)) for evaluator in settings.evaluators]:
        raise UsageError("no evaluators", 'Set evaluators = ["classification"].')
    # Only the first of several processes reports to trackers.
    trackers = build_trackers([] if environment.rank() else settings.training.trackers, registry, reporter)
    split = workspace.save_split() if save else workspace.split
    audit = workspace.save_audit() if save else workspace.audit
    on_purpose = settings.split.protocol == "augment-then-split"
    gate.check(audit, allowed=settings.audit.allow_leaks, on_purpose=on_purpose, reporter=reporter)
    return Experiment(
        spec,
        settings,
        split,
        workspace.path,
        registry,
        finetune,
        workspace.command,
        leaks=audit.counts(),
        leaky=on_purpose or bool(audit.leaks),
        comparison=audit.comparison,
        trackers=trackers,
    )


def _plan_again(workspace: WorkspaceData, run: Run) -> Experiment:
    """What ``run`` trained, changed by the settings given to ``workspace``, whose split and audit stay."""
    original = workspace.with_settings_of(run)
    experiment = plan_run(original, run.record.model, run.record.kind == "finetune")
    workspace.quarantined = original.quarantined
    return experiment


def _train_and_finish(
    experiment: Experiment, reporter: Reporter, *, resume: Run | None = None, like: RunRecord | None = None
) -> Run:
    """Train and evaluate, save everything in a run folder, and return the run.

    ``resume``: an unfinished run to continue. ``like``: the record of a run that this one must repeat. Of several
    processes only the first one evaluates.

    Raises
    ------
    ToolboxError: of any kind; a run that was started then has ``"status": "failed"`` and the reason.
    Interrupted: the user stopped it; its checkpoint is saved.
    UsageError: data, split, settings or weights are not those of ``resume`` or ``like``.
    """
    run = _train(experiment, reporter, resume, like)
    if environment.rank() > 0:
        return run
    try:
        _finish(run, experiment.workspace, experiment.settings, experiment.registry, reporter)
    except BaseException:
        experiment.trackers.ended(run.record.updated(status="failed").document())
        raise
    experiment.trackers.ended(run.record.document(), run.evaluation.document())
    return run


def _finish(run: Run, workspace: Path, settings: Settings, registry: Registry, reporter: Reporter) -> Run:
    """Evaluate a trained run and mark it as finished."""
    evaluate_run(run, workspace, settings, registry, reporter)
    run.save_record(run.record.updated(status="finished", result=dict(run.metrics)))
    return run


def _train(experiment: Experiment, reporter: Reporter, resume: Run | None, like: RunRecord | None) -> Run:
    settings = experiment.settings
    stages = plan_stages(settings, experiment.finetune)
    device = resolve_device(settings)
    with (
        scratch_folder() as folder,
        torch_threads(settings.threads),
        keep_freed_memory(),
        process_group(device) as group,
    ):
        session = Session(experiment, folder, reporter if group.is_first else SilentReporter())
        record = describe(session)
        if resume is not None:
            _check_unchanged(resume.record, record, f"the run {resume.id} can't be resumed", reporter)
            record = resume.record.updated(status="running")
        elif like is not None:
            _check_unchanged(like, record, f"the run {like.id} can't be repeated", reporter)
        run = resume or group.broadcast(lambda: create_run(experiment.workspace, experiment.spec.name, record))
        trainer = Trainer(session, run, stages, group)
        if group.is_first:
            write_table(session.manifest.rows, run.path / MANIFEST)
            with locks.hold_lock(trainer.checkpoints.folder, "training"), _record_failure(run, record, experiment):
                trainer.run_and_save(record)
            trainer.checkpoints.clear()
        else:
            trainer.follow()
    return run


def _check_unchanged(before: RunRecord, now: RunRecord, refusal: str, reporter: Reporter) -> None:
    changed = changes(before, now)
    if changed:
        raise UsageError(
            f"{refusal}: {'; '.join(changed)} changed since it started", "Undo the change, or start a new run."
        )
    old, new = before.versions, now.versions
    updates = [f"{name} {old[name]} → {new[name]}" for name in new if name in old and old[name] != new[name]]
    if updates:
        reporter.warn(f"the last digits may differ: {', '.join(updates)} since the run started")


@contextmanager
def _record_failure(run: Run, record: RunRecord, experiment: Experiment) -> Iterator[None]:
    """If the training fails or is interrupted, write why into the run's record, and add how to resume to the error."""
    hint = f"Resume with: {command_line(record.kind, '--resume', run.id, workspace=experiment.workspace)}"

    def save(status: Status, reason: str) -> None:
        failed = record.updated(status=status, error=reason)
        with suppress(EnvironmentFailure):  # on a full disk, report the first failure
            run.save_record(failed)
        experiment.trackers.ended(failed.document())

    try:
        yield
    except KeyboardInterrupt as error:
        save("interrupted", "interrupted")
        raise Interrupted(f"interrupted; {run.path} is kept as far as it came", hint) from error
    except BaseException as error:
        save("failed", " ".join(str(error).split()))
        if isinstance(error, EnvironmentFailure) and isinstance(error.__cause__, OSError):
            error.hint = f"{error.hint} {hint}".strip()
        raise
