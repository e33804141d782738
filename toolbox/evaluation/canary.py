"""The canary: with labels shuffled by group there is nothing to learn, so any accuracy above chance is leakage.

Labels are shuffled among the groups (all slices of one patient get the same random label), and a small model is
cross-validated twice: over folds that divide groups, and over folds that keep them whole. A network that recognizes
patients scores high on the first and stays at chance on the second (Yagis et al., "Effect of data leakage in
brain MRI classification using 2D convolutional neural networks", Scientific Reports 11, 2021).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evidence, Metric
from toolbox.api.progress import Reporter
from toolbox.cache.folder import scratch_folder
from toolbox.data import folds
from toolbox.data.groups import collect_units
from toolbox.data.manifest import Row
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.evaluation.evaluate import run_evaluator
from toolbox.models import build
from toolbox.models.checks import guard_forward
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.settings.schema import Settings
from toolbox.training import batches, inputs, loop
from toolbox.training.inputs import LabeledInputs, Pixels
from toolbox.training.memory import keep_freed_memory
from toolbox.training.stages import Stage

FOLDS = 4


@dataclass(frozen=True)
class Canary:
    """The result. ``divided`` and ``whole``: accuracy over folds that divide groups, and that keep them whole.

    ``chance`` is the share of the largest class.
    """

    model: str
    epochs: int
    folds: int
    images: int
    groups: int
    chance: float
    divided: Metric
    whole: Metric

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {**asdict(self), "divided": asdict(self.divided), "whole": asdict(self.whole)}


def run_canary(
    split: SplitDataset, spec: Spec, epochs: int, settings: Settings, registry: Registry, reporter: Reporter
) -> Canary:
    """Cross-validate ``spec`` on shuffled labels, by image and by group.

    Raises
    ------
    UsageError: the data has no groups, or too few for :data:`FOLDS` folds of each class.
    """
    rows = shuffle_labels(split.manifest.rows, settings.split.seed)
    classes = sorted({row.label for row in rows})
    with scratch_folder() as folder, keep_freed_memory():
        model = registry.model(spec)
        config = build.configure_model(spec, model, settings, len(classes), finetune=False)
        request = config.request
        images = inputs.decode_images(rows, split.source, request.size, request.channels, folder, reporter, "images")
        trial = _Trial(config, settings, images, rows, classes, epochs, reporter)
        divided = trial.accuracy(registry, divide=True)
        whole = trial.accuracy(registry, divide=False)
    return Canary(
        model=str(spec),
        epochs=epochs,
        folds=FOLDS,
        images=len(rows),
        groups=len({row.group for row in rows}),
        chance=max(Counter(row.label for row in rows).values()) / len(rows),
        divided=divided,
        whole=whole,
    )


def shuffle_labels(rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
    """Shuffle the labels among the groups, one label for each group, and drop rows without a group.

    A group's label before shuffling is that of most of its samples. The order follows from a hash keyed by ``seed``.

    Raises
    ------
    UsageError: there are no groups, or each holds a single sample.
    """
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.group:
            members[row.group].append(row)
    if not any(len(samples) > 1 for samples in members.values()):
        raise UsageError(
            "the canary needs groups of several images (the slices of a patient, say)",
            r"Name them with --set split.group_by='(sub-\d+)', or try --data phantom.",
        )
    names = sorted(members)
    labels = [
        min(Counter(row.label for row in members[name]).items(), key=lambda item: (-item[1], item[0]))[0]
        for name in names
    ]
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/canary/{name}".encode()).digest())
    label_of = dict(zip(order, labels, strict=True))
    return tuple(replace(row, label=label_of[row.group], split="", fold="") for row in rows if row.group)


@dataclass(frozen=True)
class _Trial:
    config: build.ModelConfig
    settings: Settings
    images: inputs.Array
    rows: Sequence[Row]
    classes: Sequence[str]
    epochs: int
    reporter: Reporter

    def accuracy(self, registry: Registry, divide: bool) -> Metric:
        """Accuracy over all folds, each sample predicted by the model that was not trained on it."""
        pool = collect_units(self.rows, divide)
        assignment = folds.assign_folds(pool, FOLDS, self.settings.split.seed)
        fold_of = {row.id: fold for name, fold in assignment.items() for row in pool[name]}
        fold = torch.tensor([fold_of[row.id] for row in self.rows])
        number = {label: index for index, label in enumerate(self.classes)}
        targets = torch.tensor([number[row.label] for row in self.rows])
        probabilities = torch.zeros(len(self.rows), len(self.classes), dtype=torch.float64)
        for held_out in range(FOLDS):
            name = f"{'dividing groups' if divide else 'by group'}, fold {held_out + 1} of {FOLDS}"
            training = torch.nonzero(fold != held_out).flatten()
            test = torch.nonzero(fold == held_out).flatten()
            probabilities[test] = self._predict(training, test, targets, name)
        evidence = Evidence(
            ids=[row.id for row in self.rows],
            targets=targets.numpy(),
            probabilities=probabilities.numpy(),
            classes=self.classes,
            groups=[row.group for row in self.rows],
            seed=self.settings.seed,
        )
        return _accuracy(evidence, self.settings, registry)

    def _predict(self, training: torch.Tensor, test: torch.Tensor, targets: torch.Tensor, name: str) -> torch.Tensor:
        device = build.resolve_device(self.settings)
        torch.manual_seed(batches.derive_seed(self.settings.seed, "weights"))
        built = build.build_model(self.config, self.settings.training, reporter=self.reporter)
        module = built.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Early stopping would need labels that can be learned.
        changes = {"epochs": self.epochs, "early_stopping": False}
        stage = Stage(name, self.settings.training.model_copy(update=changes), self.settings.seed)

        def make_inputs(indices: torch.Tensor) -> Pixels:
            return Pixels(np.ascontiguousarray(self.images[indices.numpy()]), built.mean, built.std, device)

        train = LabeledInputs(make_inputs(training), targets[training])
        forward = guard_forward(module, module, self.config.request.classes)
        loop.fit(module, forward, train, None, stage, reporter=self.reporter)
        logits = loop.predict_logits(module, forward, make_inputs(test), self.settings.training.batch_size)
        return torch.softmax(logits.double(), 1)


def _accuracy(evidence: Evidence, settings: Settings, registry: Registry) -> Metric:
    """The accuracy of the first evaluator that measures it, with its interval."""
    for spec in settings.evaluators:
        metrics = run_evaluator(registry.evaluator(parse(spec)), evidence).metrics
        if "accuracy" in metrics:
            return metrics["accuracy"]
    raise UsageError("no evaluator gives an accuracy", 'Set evaluators = ["classification"].')
