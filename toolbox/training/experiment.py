"""One training, from samples to a run folder: ``train`` (from scratch) and ``finetune`` (two stages)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from toolbox.api.errors import UsageError
from toolbox.models import freeze
from toolbox.models.precision import Forward
from toolbox.plugin.spec import parse
from toolbox.runs.folder import CHECKPOINT, Run
from toolbox.runs.record import RunRecord, StageRecord
from toolbox.training import loop
from toolbox.training.activation_cache import FEATURES, TRUNK, cache_activations, load_pixels
from toolbox.training.checkpoint import Checkpoints, State
from toolbox.training.distributed import ProcessGroup, sync_batch_norm
from toolbox.training.inputs import Inputs, ModelInputs, augment_online
from toolbox.training.record import save_model, save_predictions
from toolbox.training.session import Session
from toolbox.training.stages import Stage, layer_scales, unfrozen_parameters


class Trainer:
    """Trains the stages of one run, one after the other, and saves the result.

    ``checkpoint``: where an interrupted training continues, until it does; ``stage_records``: what ``run.json`` says of
    each completed stage; ``history``: the lines of ``metrics.jsonl``.
    """

    def __init__(self, session: Session, run: Run, stages: list[Stage], group: ProcessGroup) -> None:
        self.session = session
        self.run = run
        self.stages = stages
        self.group = group
        self.checkpoints = Checkpoints(run.path / CHECKPOINT, session.settings.training.checkpoint_minutes)
        self.checkpoint: State | None = None
        self.stage_records: list[StageRecord] = []
        self.history: list[dict[str, Any]] = []
        self.started_at = time.perf_counter()
        self.held_out_pass: tuple[Forward, Inputs] | None = None
        """The held-out inputs, as the last stage cached them, and the forward pass from there to logits."""

    def run_and_save(self, record: RunRecord) -> None:
        """Train all stages and save weights, predictions and ``record``, which the results are added to."""
        session, run = self.session, self.run
        self._load_checkpoint()
        run.write_history(self.history)
        run.save_record(record)
        session.experiment.trackers.started(run.path, record.document(), list(self.history))
        self._run_stages()
        record.stages = self.stage_records
        record.untrained = not any(stage.epochs_run for stage in self.stage_records)
        record.model_sha256 = save_model(session, run)
        save_predictions(session, run, self.held_out_pass)
        record.seconds = round(time.perf_counter() - self.started_at, 2)
        run.save_record(record.updated(status="trained"))

    def follow(self) -> None:
        """Train along with the first process, without writing files."""
        self._load_checkpoint()
        self._run_stages()

    def _load_checkpoint(self) -> None:
        self.checkpoint = self.group.broadcast(self.checkpoints.load)
        if self.checkpoint:
            self.stage_records = [StageRecord(**stage) for stage in self.checkpoint["done"]]
            self.history = list(self.checkpoint["history"])
            self.started_at -= self.checkpoint["seconds"]

    def _run_stages(self) -> None:
        session = self.session
        module, parts, steps = session.built.module, session.built.parts, session.built.stages
        if self.group.size > 1 and not sync_batch_norm(module, session.device):
            session.reporter.info("trained BatchNorm layers use the statistics of each process's share of a batch")
        images = _load_images(session)
        first, *later = self.stages
        if not session.experiment.finetune:
            self._run_stage(first, parts.trunk | parts.last | parts.head, images, module)
            return
        unfrozen = unfrozen_parameters(parts, session.settings.last.unfreeze)
        if steps is None:
            self._run_stage(first, parts.head, images, module)
            for stage in later:
                self._run_stage(stage, unfrozen, images, module)
            return
        trunk, last, head = steps.trunk, steps.last, steps.head
        data = images
        if unfrozen & parts.trunk:
            session.reporter.info("the second stage trains the trunk too: its activations are computed in every step")
        elif later and not isinstance(trunk, torch.nn.Identity):
            # Both stages need the trunk's output, so it is cached; the head's features are computed from it.
            data = cache_activations(session, images, trunk, TRUNK, parts.trunk, "the frozen trunk's features")
        frozen: Forward = last if data.are_cached else lambda x: last(trunk(x))
        self._run_stage(first, parts.head, data, head, frozen)
        for stage in later:
            self._run_stage(stage, unfrozen, data, (lambda x: head(last(x))) if data.are_cached else module)

    def _run_stage(
        self,
        stage: Stage,
        trainable: frozenset[str],
        data: ModelInputs,
        forward: Forward,
        frozen: Forward | None = None,
    ) -> None:
        """Train the parameters ``trainable`` through ``forward``, which starts where ``frozen`` ends."""
        if any(completed.name == stage.name for completed in self.stage_records):
            return
        session, settings = self.session, stage.settings
        module, parts = session.built.module, session.built.parts
        resume_from = self.checkpoint["loop"] if self.checkpoint else None
        if resume_from:  # before hashing: what an earlier stage trained may be frozen in this one
            module.load_state_dict(resume_from["model"], strict=False)
        freeze.freeze_all_but(module, trainable, settings.batch_norm)
        hash_before = freeze.hash_frozen(module)
        if self.checkpoint and self.checkpoint["frozen"] != hash_before:
            raise UsageError(
                "the frozen weights are not those of the checkpoint: the pretrained weights changed since the run"
                " started"
            )
        through: Forward = forward if frozen is None else lambda x: forward(frozen(x))
        outcome = loop.Outcome()
        if settings.epochs > 0:
            if frozen is not None:
                names = parts.trunk | parts.last
                features = cache_activations(session, data, frozen, FEATURES, names, "the frozen part's features")
                if features is not data:
                    data, through = features, forward
            self.checkpoints.run_state = lambda: self._state(hash_before)
            outcome = loop.fit(
                module,
                session.optimize(through),
                data.train,
                data.val,
                stage,
                lr_scales=layer_scales(parts, stage.layer_decay),
                on_epoch=self._on_epoch,
                reporter=session.reporter,
                checkpoints=self.checkpoints if self.group.is_first else None,
                resume_from=resume_from,
                group=self.group,
            )
        self.checkpoint = None
        freeze.set_training_mode(module, settings.batch_norm)
        hash_after = freeze.hash_frozen(module)
        module.eval()
        self.stage_records.append(
            StageRecord(
                **stage.to_dict(),
                epochs_run=outcome.epochs,
                best_epoch=outcome.best_epoch,
                stopped_early=outcome.stopped_early,
                trained_parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
                frozen_before=hash_before,
                frozen_after=hash_after,
                cached=data.are_cached,
            )
        )
        self.held_out_pass = (through, data.held_out.inputs) if data.held_out else None

    def _state(self, frozen_hash: str) -> State:
        """What a checkpoint holds beside the loop's state; of frozen tensors only their hash."""
        return {
            "done": [stage.model_dump(mode="json") for stage in self.stage_records],
            "history": self.history,
            "seconds": time.perf_counter() - self.started_at,
            "frozen": frozen_hash,
        }

    def _on_epoch(self, metrics: loop.EpochMetrics) -> None:
        self.history.append(asdict(metrics))
        if self.group.is_first:
            self.run.append_history(self.history[-1])
            self.session.experiment.trackers.epoch(self.history[-1])


def _load_images(session: Session) -> ModelInputs:
    """The images of all samples, with their classes; those to train on augmented, if that is done online."""
    settings, data = session.settings, session.data
    pixels = load_pixels(session, data.rows, data.source, "training images")
    inputs: Inputs = pixels
    if data.kind == "online":
        augmenter = session.experiment.registry.online_augmenter(parse(settings.augment.augmenter))
        inputs = augment_online(pixels, data.rows, augmenter, settings.seed, len(session.manifest.classes))
    held_out = None
    if data.held_out:
        held_out_pixels = load_pixels(session, data.held_out, data.held_out_source, "held-out images")
        held_out = session.label(held_out_pixels, data.held_out)
    val_indices = [index for index, row in enumerate(data.held_out) if row.split == "val"]
    if settings.training.early_stopping and not val_indices:
        session.reporter.info("no validation split: training runs all its epochs")
    return ModelInputs(session.label(inputs, data.rows), held_out, torch.tensor(val_indices, dtype=torch.int64))
