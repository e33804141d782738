"""The canary: with labels shuffled by group there is nothing to learn, so any accuracy above chance is leakage.

Labels are shuffled among the groups (all slices of one patient get the same random label), several times. For each
shuffle a small model is trained and tested twice: on other images of the groups that it was trained on, and on other
groups. A network that recognizes patients scores high on the first and stays at chance on the second (Yagis et al.,
"Effect of data leakage in brain MRI classification using 2D convolutional neural networks", Scientific Reports 11,
2021). A permutation test says what chance is: see :mod:`toolbox.statistics.shuffles`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.cache.folder import scratch_folder
from toolbox.data import folds
from toolbox.data.groups import collect_units
from toolbox.data.manifest import Row
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.models import build
from toolbox.models.checks import guard_forward
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec
from toolbox.settings.schema import Settings
from toolbox.statistics.shuffles import GroupLabels, ShuffleTest, TestPredictions, compare_with_chance
from toolbox.statistics.wording import format_p_value
from toolbox.training import batches, inputs, loop
from toolbox.training.inputs import LabeledInputs, Pixels
from toolbox.training.memory import keep_freed_memory
from toolbox.training.stages import Stage

SHUFFLES = 5
"""Trainings on each side. Each tests another fifth of the images, or of the groups."""


@dataclass(frozen=True)
class Canary:
    """The result: ``divided`` where test images share groups with training images, ``whole`` where they don't."""

    model: str
    epochs: int
    shuffles: int
    images: int
    groups: int
    divided: ShuffleTest
    whole: ShuffleTest

    @property
    def leaks(self) -> bool:
        """Whether dividing groups gives accuracy above chance (p at most .05)."""
        return self.divided.p_value <= 0.05

    @property
    def words(self) -> str:
        """What was found, in sentences."""
        figures = _figures(self.divided, self.shuffles)
        if self.leaks:
            finding = (
                "Leakage: shuffled labels hold nothing to learn but the groups, and where a split divides groups, the"
                f" network reaches {figures}."
            )
        else:
            finding = (
                "No leakage found: even where a split divides groups, the network learns nothing from shuffled labels:"
                f" {figures}. A larger model or more epochs may still recognize groups."
            )
        control = _figures(self.whole, self.shuffles)
        if self.whole.p_value <= 0.05:
            return (
                f"{finding} Where groups stay whole, it reaches {control}. Chance alone does this once in 20 times;"
                " repeat it with another --set split.seed."
            )
        return f"{finding} Where groups stay whole, it learns nothing: {control}."

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {**asdict(self), "leaks": self.leaks, "words": self.words}


def _figures(test: ShuffleTest, shuffles: int) -> str:
    return f"accuracy {test.accuracy:.2f} over {shuffles} shuffles ({format_p_value(test.p_value)})"


def run_canary(
    split: SplitDataset, spec: Spec, epochs: int, settings: Settings, registry: Registry, reporter: Reporter
) -> Canary:
    """Train ``spec`` on shuffled labels, and test it on groups that it knows and on others.

    Raises
    ------
    UsageError: the data has no groups, they all have one label, or a class has fewer than :data:`SHUFFLES` groups.
    """
    rows = label_by_group(split.manifest.rows)
    classes = sorted({row.label for row in rows})
    names = sorted({row.group for row in rows})
    number = {name: index for index, name in enumerate(names)}
    label_of = {row.group: classes.index(row.label) for row in rows}
    seed = settings.split.seed
    group_of = np.array([number[row.group] for row in rows])
    by_image, by_group = _assign_folds(rows, True, seed), _assign_folds(rows, False, seed)
    fold_of = dict(zip(group_of.tolist(), by_group.tolist(), strict=True))
    groups = GroupLabels(
        np.array([label_of[name] for name in names]), np.array([fold_of[index] for index in range(len(names))])
    )
    rng = np.random.default_rng(batches.derive_seed(seed, "canary"))
    shuffled = groups.shuffle(rng, SHUFFLES)
    with scratch_folder() as folder, keep_freed_memory():
        config = build.configure_model(spec, registry.model(spec), settings, len(classes), finetune=False)
        request = config.request
        images = inputs.decode_images(rows, split.source, request.size, request.channels, folder, reporter, "images")
        trainer = _Trainer(config, settings, images, epochs, reporter)

        def test(fold: npt.NDArray[np.int64], name: str) -> ShuffleTest:
            trainings = []
            for index, labels in enumerate(shuffled):
                targets, stage = torch.from_numpy(labels[group_of]), f"{name}, shuffle {index + 1} of {SHUFFLES}"
                predicted = trainer.predict(fold != index, fold == index, targets, stage)
                trainings.append(TestPredictions(predicted, group_of[fold == index], labels))
            return compare_with_chance(trainings, groups, rng)

        divided, whole = test(by_image, "groups divided"), test(by_group, "groups whole")
    return Canary(str(spec), epochs, SHUFFLES, len(rows), len(names), divided, whole)


def label_by_group(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give each sample the most frequent label of its group, and drop samples without a group, splits and folds.

    Raises
    ------
    UsageError: there are no groups, or each holds a single sample; or labels can't be shuffled among them.
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
    labels = {name: _most_frequent(samples) for name, samples in members.items()}
    _check_labels(labels)
    return tuple(replace(row, label=labels[row.group], split="", fold="") for row in rows if row.group)


def _most_frequent(rows: Sequence[Row]) -> str:
    return min(Counter(row.label for row in rows).items(), key=lambda item: (-item[1], item[0]))[0]


def _check_labels(labels: Mapping[str, str]) -> None:
    counts = Counter(labels.values())
    advice = "The canary shuffles one label for each group, the most frequent one of its images."
    if len(counts) < 2:
        raise UsageError(f"every group is mostly {next(iter(counts))!r}: there are no labels to shuffle", advice)
    label, count = min(counts.items(), key=lambda item: (item[1], item[0]))
    if count < SHUFFLES:
        raise UsageError(f"class {label!r} has {count} groups; the canary needs {SHUFFLES} of each class", advice)


def _assign_folds(rows: Sequence[Row], divide: bool, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row, int64 ``[N]``."""
    units = collect_units(rows, divide)
    assignment = folds.assign_folds(units, SHUFFLES, seed)
    fold_of = {row.id: fold for name, fold in assignment.items() for row in units[name]}
    return np.array([fold_of[row.id] for row in rows])


@dataclass(frozen=True)
class _Trainer:
    config: build.ModelConfig
    settings: Settings
    images: inputs.Array
    epochs: int
    reporter: Reporter

    def predict(
        self, training: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_], targets: torch.Tensor, name: str
    ) -> npt.NDArray[np.int64]:
        """Train on the images of ``training``, and return the most probable classes of those of ``test``, ``[N]``."""
        device = build.resolve_device(self.settings)
        torch.manual_seed(batches.derive_seed(self.settings.seed, "weights"))
        built = build.build_model(self.config, self.settings.training, reporter=self.reporter)
        module = built.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Early stopping would need labels that can be learned.
        changes = {"epochs": self.epochs, "early_stopping": False}
        stage = Stage(name, self.settings.training.model_copy(update=changes), self.settings.seed)

        def make_inputs(which: npt.NDArray[np.bool_]) -> Pixels:
            return Pixels(np.ascontiguousarray(self.images[which]), built.mean, built.std, device)

        train = LabeledInputs(make_inputs(training), targets[torch.from_numpy(training)])
        forward = guard_forward(module, module, self.config.request.classes)
        loop.fit(module, forward, train, None, stage, reporter=self.reporter)
        logits = loop.predict_logits(module, forward, make_inputs(test), self.settings.training.batch_size)
        predicted: npt.NDArray[np.int64] = logits.argmax(1).cpu().numpy()
        return predicted
