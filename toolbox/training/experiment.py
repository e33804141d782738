"""One training from samples to a run folder: ``train`` (from scratch) and ``finetune`` (two stages)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from toolbox import environment, runs
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.data.workspace_manifest import Prepared
from toolbox.files import atomic
from toolbox.plugin.protocols import BuiltModel
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.progress import Reporter
from toolbox.runs import Run
from toolbox.settings.schema import Settings
from toolbox.training import build, freeze, inputs, loop
from toolbox.training.inputs import Activations, Inputs, OnlineCopies, OnlineMixes, Pixels
from toolbox.training.loop import Epoch, Labelled, Stage
from toolbox.training.material import choose

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Experiment:
    """What is to be trained on what. ``leaks``: what the audit found, by kind; ``leaky`` marks the run for good."""

    spec: Spec
    settings: Settings
    prepared: Prepared
    workspace: Path
    registry: Registry
    finetune: bool
    unfreeze_last: bool
    command: str = ""
    leaks: Mapping[str, int] = field(default_factory=dict)
    leaky: bool = False


class Session:
    """A training in progress: the built model, its inputs, and where they lie."""

    def __init__(self, experiment: Experiment, folder: Path, reporter: Reporter) -> None:
        self.experiment = experiment
        self.settings = experiment.settings
        self.manifest = experiment.prepared.manifest
        self.folder = folder
        self.reporter = reporter
        self.device = build.device_of(self.settings)
        self.training = choose(experiment.settings, experiment.prepared, experiment.workspace, reporter)
        torch.manual_seed(loop.key(self.settings.seed, "weights"))
        model = experiment.registry.model(experiment.spec)
        self.wanted = build.wanted(
            experiment.spec, model, self.settings, len(self.manifest.classes), experiment.finetune
        )
        embedded = experiment.prepared.source.dataset.embedded
        built = build.build(self.wanted, self.settings, embedded, reporter)
        module = built.module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.built: BuiltModel = replace(built, module=module)

    def pixels(self, rows: Sequence[Row], source: Source, what: str) -> Pixels:
        """Decoded pictures of ``rows`` as inputs."""
        request = self.wanted.request
        images = inputs.decoded(rows, source, request.size, request.channels, self.folder, self.reporter, what)
        return Pixels(images, self.built.mean, self.built.std, self.device)

    def labelled(self, given: Inputs, rows: Sequence[Row]) -> Labelled:
        """``given`` with the classes of ``rows``."""
        number = {label: index for index, label in enumerate(self.manifest.classes)}
        return Labelled(given, torch.tensor([number[row.label] for row in rows], dtype=torch.int64))


def run(experiment: Experiment, reporter: Reporter) -> Run:
    """Train, keep everything of it in a run folder, and return the run (not yet evaluated).

    Raises
    ------
    ToolboxError: of any kind; a run that was begun then says ``"status": "failed"`` and why.
    """
    start = time.perf_counter()
    with inputs.scratch() as folder:
        session = Session(experiment, folder, reporter)
        record = _record(session)
        kept = runs.create(experiment.workspace, experiment.spec.name, record)
        try:
            record["stages"] = _stages(session, kept, reporter)
            _keep_model(session, kept)
            _keep_predictions(session, kept)
        except BaseException as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else " ".join(str(error).split())
            runs.save(kept, {**record, "status": "failed", "error": reason})
            raise
        record["seconds"] = round(time.perf_counter() - start, 2)
        runs.save(kept, {**record, "status": "trained"})
    return kept


def _stages(session: Session, kept: Run, reporter: Reporter) -> list[dict[str, Any]]:
    """Run the stages; what is said of them in ``run.json``."""
    settings, training = session.settings, session.training
    train_pixels: Pixels = session.pixels(training.rows, training.source, "training images")
    if training.kind == "online":
        augmenter = session.experiment.registry.online_augmenter(parse(settings.augment.augmenter))
        train_pixels = inputs.online(
            train_pixels, training.rows, augmenter, settings.seed, len(session.manifest.classes)
        )
    val_rows = [row for row in training.held_out if row.split == "val"]
    train = session.labelled(train_pixels, training.rows)
    val = None
    if val_rows:
        val = session.labelled(session.pixels(val_rows, training.held_out_source, "validation images"), val_rows)
    elif settings.training.early_stopping:
        reporter.info("no validation split: training runs all its epochs")

    def on_epoch(line: Epoch) -> None:
        runs.append_history(kept, asdict(line))

    def stage(plan: Stage, names: frozenset[str], frozen: Forward | None, rest: Forward) -> dict[str, Any]:
        return _stage(session, plan, names, frozen, rest, train, val, on_epoch)

    module, parts, steps = session.built.module, session.built.parts, session.built.stages
    plans = stages_of(session.experiment)
    if not session.experiment.finetune:
        return [stage(plans[0], parts.trunk | parts.last | parts.head, None, module)]
    if steps is None:
        names = (parts.head, parts.last | parts.head)
        return [stage(plan, trained, None, module) for plan, trained in zip(plans, names, strict=False)]
    trunk, last, head = steps.trunk, steps.last, steps.head
    if session.experiment.unfreeze_last and not isinstance(trunk, torch.nn.Identity):
        # Both stages need the trunk's output: computed once here, the last block's is made from it.
        train, val = _once(session, trunk, train, val, "the trunk's activations")
    cached = isinstance(train.inputs, Activations)
    before: Forward = last if cached else lambda x: last(trunk(x))
    done = [stage(plans[0], parts.head, before, head)]
    if session.experiment.unfreeze_last:
        whole: Forward = (lambda x: head(last(x))) if cached else module
        done.append(stage(plans[1], parts.last | parts.head, None, whole))
    return done


def stages_of(experiment: Experiment) -> list[Stage]:
    """The stages that an experiment trains in, their settings resolved."""
    settings = experiment.settings
    if not experiment.finetune:
        return [loop.resolved("train", settings.training.epochs, settings.training)]
    stages = [loop.resolved("head", settings.head.epochs, settings.training, settings.head)]
    if experiment.unfreeze_last:
        stages.append(loop.resolved("last", settings.last.epochs, settings.training, settings.last))
    return stages


def _stage(
    session: Session,
    plan: Stage,
    names: frozenset[str],
    frozen: Forward | None,
    rest: Forward,
    train: Labelled,
    val: Labelled | None,
    on_epoch: Callable[[Epoch], None],
) -> dict[str, Any]:
    """Train ``names``. ``frozen`` leads from the inputs to where training begins, ``rest`` from there to logits."""
    module = session.built.module
    freeze.freeze_all_but(module, names, plan.batch_norm)
    before = freeze.frozen_hash(module)
    forward = rest
    if frozen is not None and plan.epochs > 0:
        module.eval()
        train, val = _once(session, frozen, train, val, "the frozen part's features")
        if not isinstance(train.inputs, Activations):
            leading = frozen
            forward = lambda x: rest(leading(x))  # noqa: E731
    seed = session.settings.seed
    if plan.epochs > 0:
        outcome = loop.fit(module, forward, train, val, plan, seed, on_epoch, session.reporter)
    else:
        outcome = loop.Outcome(0, 0, False)
    freeze.set_training_mode(module, plan.batch_norm)
    after = freeze.frozen_hash(module)
    module.eval()
    return {
        **asdict(plan),
        "epochs_run": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "trained_parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "frozen_before": before,
        "frozen_after": after,
        "cached": isinstance(train.inputs, Activations),
    }


def _once(
    session: Session, part: Forward, train: Labelled, val: Labelled | None, what: str
) -> tuple[Labelled, Labelled | None]:
    """``train`` and ``val`` with ``part`` computed once, unless that would be wrong or too large."""
    if isinstance(train.inputs, OnlineCopies | OnlineMixes):
        session.reporter.info(f"copies are fresh in every epoch: {what} are not kept")
        return train, val
    session.built.module.eval()
    count = len(train.targets) + (len(val.targets) if val else 0)
    needed = inputs.activation_bytes(part, train.inputs, count)
    if needed > session.settings.training.cache_gb * 1e9:
        session.reporter.info(
            f"{what} would take {needed / 1e9:.1f} GB (training.cache_gb = {session.settings.training.cache_gb:g}):"
            " computed anew in every epoch"
        )
        return train, val

    def computed(given: Labelled) -> Labelled:
        values = inputs.activations(part, given.inputs, 32, session.device, session.folder, session.reporter, what)
        return replace(given, inputs=values)

    return computed(train), computed(val) if val else None


def _keep_model(session: Session, kept: Run) -> None:
    request = session.wanted.request
    state = {name: value.detach().cpu().contiguous() for name, value in session.built.module.state_dict().items()}
    metadata = {
        "architecture": str(session.experiment.spec),
        "mean": ",".join(map(repr, session.built.mean)),
        "std": ",".join(map(repr, session.built.std)),
        "size": str(request.size),
    }
    atomic.write_bytes(kept.path / runs.MODEL, save(state, metadata))


def _keep_predictions(session: Session, kept: Run) -> None:
    """Predictions for validation and test (for training images only where there is neither)."""
    training = session.training
    rows, source = training.held_out, training.held_out_source
    if not rows:
        rows, source = session.manifest.rows, session.experiment.prepared.source
    given = session.pixels(rows, source, "evaluation images")
    module = session.built.module
    logits = loop.predict(module, module, given, session.settings.training.batch_size)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    fields = [{name: getattr(row, name) for name in ("id", "path", "label", "group", "split")} for row in rows]
    runs.write_predictions(kept.path / runs.PREDICTIONS, fields, probabilities, session.manifest.classes)


def _record(session: Session) -> dict[str, Any]:
    """What ``run.json`` says before training begins: all that is needed to do it again."""
    experiment, request, built = session.experiment, session.wanted.request, session.built
    after = Counter(row.label for row in session.training.rows)
    return {
        "status": "running",
        "command": experiment.command,
        "kind": "finetune" if experiment.finetune else "train",
        "unfreeze_last": experiment.unfreeze_last,
        "model": str(experiment.spec),
        "config": experiment.settings.model_dump(mode="json"),
        "request": asdict(request),
        "weights": built.weights,
        "mean": list(built.mean),
        "std": list(built.std),
        "parameters": sum(parameter.numel() for parameter in built.module.parameters()),
        "train_on": session.training.kind,
        "augmented_set": session.training.set_name,
        "augmented_recipe": session.training.recipe.document() if session.training.recipe else None,
        "training_files": {label: after[label] for label in session.manifest.classes},
        "data": {
            "spec": experiment.prepared.source.spec,
            "note": experiment.prepared.source.dataset.note,
            "fingerprint": session.manifest.fingerprint,
            "split_fingerprint": session.manifest.split_fingerprint,
            "classes": list(session.manifest.classes),
            "counts": session.manifest.counts(),
            "quarantined": len(experiment.prepared.quarantined),
        },
        "leaky": experiment.leaky,
        "leaks": dict(experiment.leaks),
        "seed": session.settings.seed,
        "device": str(session.device),
        "threads": torch.get_num_threads(),
        "versions": environment.versions(),
    }
