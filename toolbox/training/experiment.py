"""One training from samples to a run folder: ``train`` (from scratch) and ``finetune`` (two stages)."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from toolbox.api.errors import EnvironmentFailure, Interrupted, UsageError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.cache.folder import scratch_folder
from toolbox.data.manifest import write_table
from toolbox.files import locks
from toolbox.models import build, freeze
from toolbox.models.precision import Forward
from toolbox.plugin.spec import parse
from toolbox.runs import folder as runs
from toolbox.runs.folder import Run
from toolbox.training import activation_cache, distributed, inputs, loop, memory, record, stages
from toolbox.training.checkpoint import Checkpoints, State
from toolbox.training.distributed import ProcessGroup
from toolbox.training.inputs import Activations, Inputs, LabeledInputs
from toolbox.training.loop import EpochMetrics
from toolbox.training.session import Experiment, Session, threads
from toolbox.training.stages import Stage


def run(
    experiment: Experiment,
    reporter: Reporter,
    *,
    resume: Run | None = None,
    like: Mapping[str, Any] | None = None,
) -> Run:
    """Train, keep everything of it in a run folder, and return the run (not yet evaluated).

    ``resume``: a run that was begun and not ended, to go on with from its checkpoint, or anew if it has none.
    ``like``: the record of a run that this one must repeat.

    Raises
    ------
    ToolboxError: of any kind; a run that was begun then says ``"status": "failed"`` and why.
    Interrupted: the user stopped it; its checkpoint is written.
    UsageError: data, split, settings or weights are not those of ``resume`` or ``like``.
    """
    plans = stages.planned(experiment.settings, experiment.finetune)
    device = build.device_of(experiment.settings)
    wished = experiment.settings.threads
    with scratch_folder() as folder, threads(wished), memory.kept(), distributed.process_group(device) as group:
        session = Session(experiment, folder, reporter if group.is_first else SilentReporter())
        said = record.describe(session)
        if resume is not None:
            _check_same(resume.record, said, f"the run {resume.id} can't be gone on with", reporter)
            said = {**resume.record, "status": "running"}
        elif like is not None:
            _check_same(like, said, f"the run {like['id']} can't be done again", reporter)
        kept = resume or group.broadcast(lambda: runs.create(experiment.workspace, experiment.spec.name, said))
        checkpoints = Checkpoints(kept.path / runs.CHECKPOINT, experiment.settings.training.checkpoint_minutes)
        training = Training(session, kept, checkpoints, plans, group)
        if group.is_first:
            write_table(session.manifest.rows, kept.path / runs.MANIFEST)
            with locks.hold_lock(checkpoints.folder, "training"), _told(kept, said, experiment):
                training.run(said)
            checkpoints.clear()
        else:
            training.follow()
    return kept


@contextmanager
def _told(kept: Run, said: dict[str, Any], experiment: Experiment) -> Iterator[None]:
    """Write into the run's record why it did not come to its end, and tell how to go on."""
    place = [] if experiment.workspace == Path() else ["--workspace", str(experiment.workspace)]
    go_on = f"Go on with: {shlex.join(['toolbox', said['kind'], '--resume', kept.id, *place])}"
    try:
        yield
    except KeyboardInterrupt as error:
        _save_end(kept, {**said, "status": "interrupted", "error": "interrupted"}, experiment)
        raise Interrupted(f"interrupted; {kept.path} is kept as far as it came", go_on) from error
    except BaseException as error:
        _save_end(kept, {**said, "status": "failed", "error": " ".join(str(error).split())}, experiment)
        if isinstance(error, EnvironmentFailure) and isinstance(error.__cause__, OSError):
            error.hint = f"{error.hint} {go_on}".strip()
        raise


def _save_end(kept: Run, said: dict[str, Any], experiment: Experiment) -> None:
    # On a full disk what went wrong first is what must be told.
    with suppress(EnvironmentFailure):
        runs.save(kept, said)
    experiment.trackers.ended(said)


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], refusal: str, reporter: Reporter) -> None:
    changed = record.changes(before, now)
    if changed:
        raise UsageError(
            f"{refusal}: {'; '.join(changed)} changed since it began",
            "Put back what changed, or begin a new run.",
        )
    old, new = before.get("versions", {}), now["versions"]
    updated = [f"{name} {old[name]} → {new[name]}" for name in new if name in old and old[name] != new[name]]
    if updated:
        reporter.warn(f"the last digits may differ: {', '.join(updated)} since the run began")


@dataclass(frozen=True)
class Data:
    """The samples to train on, those held out, and where among these are the ones that decide when to stop."""

    train: LabeledInputs
    held: LabeledInputs | None
    places: torch.Tensor

    @property
    def val(self) -> LabeledInputs | None:
        """The validation samples."""
        if self.held is None or not len(self.places):
            return None
        return self.held.subset(self.places)


class Training:
    """The stages of one run, one after the other."""

    def __init__(
        self, session: Session, kept: Run, checkpoints: Checkpoints, plans: list[Stage], group: ProcessGroup
    ) -> None:
        self.session = session
        self.kept = kept
        self.checkpoints = checkpoints
        self.plans = plans
        self.group = group
        self.begun = time.perf_counter()
        self.done: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.saved: State | None = None
        self.answer: tuple[Forward, Inputs] | None = None
        """What leads from the held-out samples, as the last stage kept them, to logits."""

    def run(self, said: dict[str, Any]) -> None:
        """Train from the beginning or from the checkpoint; fills ``said``, the run's record, and writes it."""
        self.saved = self.group.broadcast(self.checkpoints.load)
        if self.saved:
            self.done, self.history = list(self.saved["done"]), list(self.saved["history"])
            self.begun -= self.saved["seconds"]
        runs.write_history(self.kept, self.history)
        runs.save(self.kept, said)
        self.session.experiment.trackers.started(self.kept.path, said, list(self.history))
        said["stages"] = self._stages()
        said["untrained"] = not any(stage["epochs_run"] for stage in said["stages"])
        record.keep_model(self.session, self.kept)
        record.keep_predictions(self.session, self.kept, self.answer)
        said["seconds"] = round(time.perf_counter() - self.begun, 2)
        runs.save(self.kept, {**said, "status": "trained"})

    def follow(self) -> None:
        """Train along with the process that runs it, and write nothing."""
        self.saved = self.group.broadcast(self.checkpoints.load)
        self.done = list(self.saved["done"]) if self.saved else []
        self._stages()

    def _stages(self) -> list[dict[str, Any]]:
        """Run the stages; what is said of them in ``run.json``."""
        session, data = self.session, _data(self.session)
        module, parts, steps = session.built.module, session.built.parts, session.built.stages
        if self.group.size > 1:
            self._share_statistics()
        if not session.experiment.finetune:
            self._stage(0, parts.trunk | parts.last | parts.head, None, module, data)
            return self.done
        second = stages.unfrozen(parts, session.settings.last.unfreeze)
        if steps is None:
            self._stage(0, parts.head, None, module, data)
            if second:
                self._stage(1, second, None, module, data)
            return self.done
        trunk, last, head = steps.trunk, steps.last, steps.head
        frozen_trunk = bool(second) and not second & parts.trunk
        if second and not frozen_trunk:
            session.reporter.info("the second stage trains the trunk too: its activations are computed in every step")
        pictures = data
        if frozen_trunk and not isinstance(trunk, torch.nn.Identity):
            # Both stages need the trunk's output: computed once here, the last block's is made from it.
            data = _once(session, trunk, activation_cache.TRUNK, parts.trunk, data, "the frozen trunk's features")
        cached = isinstance(data.train.inputs, Activations)
        before: Forward = last if cached else lambda x: last(trunk(x))
        self._stage(0, parts.head, before, head, data)
        if second:
            whole: Forward = (lambda x: head(last(x))) if cached else module
            self._stage(1, second, None, whole, data if cached else pictures)
        return self.done

    def _share_statistics(self) -> None:
        if not distributed.sync_batch_norm(self.session.built.module, self.session.device):
            self.session.reporter.info(
                "BatchNorm layers that are trained take their statistics from each process's share of a batch"
            )

    def _stage(self, number: int, names: frozenset[str], frozen: Forward | None, rest: Forward, data: Data) -> None:
        """Train ``names``. ``frozen`` leads from inputs to where training begins, ``rest`` from there to logits."""
        if number < len(self.done):
            return  # before the checkpoint
        session, plan = self.session, self.plans[number]
        module, parts = session.built.module, session.built.parts
        saved = self.saved["loop"] if self.saved else None
        if saved:  # before the hash: what an earlier stage trained may be frozen in this one
            module.load_state_dict(saved["model"], strict=False)
        freeze.freeze_all_but(module, names, plan.settings.batch_norm)
        before = freeze.frozen_hash(module)
        if self.saved and self.saved["frozen"] != before:
            raise UsageError("what is frozen is not what it was: the pretrained weights changed since the run began")
        forward = rest if frozen is None else lambda x: rest(frozen(x))
        if frozen is not None and plan.settings.epochs > 0:
            module.eval()
            data = _once(
                session, frozen, activation_cache.FEATURES, parts.trunk | parts.last, data, "the frozen part's features"
            )
            forward = rest if isinstance(data.train.inputs, Activations) else forward
        outcome = loop.Outcome()
        if plan.settings.epochs > 0:
            self.checkpoints.run_state = lambda: self._surroundings(before)
            outcome = loop.fit(
                module,
                session.tuned(forward),
                data.train,
                data.val,
                plan,
                on_epoch=self._on_epoch,
                reporter=session.reporter,
                lr_scales=stages.layer_scales(parts, plan.layer_decay),
                checkpoints=self.checkpoints if self.group.is_first else None,
                resume_from=saved,
                group=self.group,
            )
        self.saved = None
        freeze.set_training_mode(module, plan.settings.batch_norm)
        after = freeze.frozen_hash(module)
        module.eval()
        self.done.append(
            {
                **plan.to_dict(),
                "epochs_run": outcome.epochs,
                "best_epoch": outcome.best_epoch,
                "stopped_early": outcome.stopped_early,
                "trained_parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
                "frozen_before": before,
                "frozen_after": after,
                "cached": isinstance(data.train.inputs, Activations),
            }
        )
        self.answer = (forward, data.held.inputs) if data.held else None

    def _surroundings(self, frozen: str) -> State:
        """What a checkpoint holds beside the loop's state; tensors that are ``frozen`` as a hash alone."""
        return {
            "done": self.done,
            "history": self.history,
            "seconds": time.perf_counter() - self.begun,
            "frozen": frozen,
        }

    def _on_epoch(self, line: EpochMetrics) -> None:
        self.history.append(asdict(line))
        if self.group.is_first:
            runs.append_history(self.kept, self.history[-1])
            self.session.experiment.trackers.epoch(self.history[-1])


def _data(session: Session) -> Data:
    """The pictures, or copies of them on the fly, with their classes."""
    settings, training = session.settings, session.training
    pixels = session.pixels(training.rows, training.source, "training images")
    train_inputs: Inputs = pixels
    if training.kind == "online":
        augmenter = session.experiment.registry.online_augmenter(parse(settings.augment.augmenter))
        train_inputs = inputs.augment_online(
            pixels, training.rows, augmenter, settings.seed, len(session.manifest.classes)
        )
    rows, held = training.held_out, None
    if rows:
        held = session.labelled(session.pixels(rows, training.held_out_source, "held-out images"), rows)
    places = torch.tensor([at for at, row in enumerate(rows) if row.split == "val"], dtype=torch.int64)
    if settings.training.early_stopping and not len(places):
        session.reporter.info("no validation split: training runs all its epochs")
    return Data(session.labelled(train_inputs, training.rows), held, places)


def _once(session: Session, part: Forward, step: str, names: frozenset[str], data: Data, what: str) -> Data:
    """``data`` with the activations of ``part`` computed once, unless that would be wrong or too large.

    See :func:`toolbox.training.activation_cache.activations`.
    """
    if data.train.inputs.keys is None:
        session.reporter.info(f"copies are fresh in every epoch: {what} are not kept")
        return data
    session.built.module.eval()
    parts = [labelled for labelled in (data.train, data.held) if labelled]
    found = activation_cache.activations(
        session, part, step, names, [cast(activation_cache.Frozen, each.inputs) for each in parts], what
    )
    if found is None:
        return data
    train, *held = (replace(labelled, inputs=values) for labelled, values in zip(parts, found, strict=True))
    return Data(train, held[0] if held else None, data.places)
