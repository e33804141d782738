"""What is to be trained, and a training in progress: its data, its model, and the device they are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from toolbox.api.augmenter import MixingAugmenter
from toolbox.api.model import BuiltModel
from toolbox.api.progress import Reporter
from toolbox.data.audit.near import ImageComparison
from toolbox.data.manifest import Row
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.models import build, precision
from toolbox.models.checks import guard_forward
from toolbox.models.precision import Forward
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.settings.schema import AugmentSettings, Settings
from toolbox.training.batches import derive_seed
from toolbox.training.inputs import Inputs, LabeledInputs
from toolbox.training.trackers import Trackers
from toolbox.training.training_data import select_training_data


@dataclass(frozen=True)
class Experiment:
    """What is to be trained on what.

    ``leaks``: what the audit found, by kind; ``leaky`` marks the run for good. ``comparison``: the near-duplicates, if
    the pictures were compared.
    """

    spec: Spec
    settings: Settings
    split: SplitDataset
    workspace: Path
    registry: Registry
    finetune: bool
    command: str = ""
    leaks: Mapping[str, int] = field(default_factory=dict)
    leaky: bool = False
    comparison: ImageComparison | None = None
    trackers: Trackers = field(default_factory=Trackers)


class Session:
    """A training in progress. ``folder``: for temporary files."""

    def __init__(self, experiment: Experiment, folder: Path, reporter: Reporter) -> None:
        settings, manifest = experiment.settings, experiment.split.manifest
        self.experiment = experiment
        self.settings = settings
        self.manifest = manifest
        self.folder = folder
        self.reporter = reporter
        self.device = build.resolve_device(settings)
        self.precision = precision.resolve_precision(settings.training, self.device)
        self.data = select_training_data(settings, experiment.split, experiment.workspace, reporter)
        if self.data.kind != "online" and _mixes(experiment):
            name = parse(settings.augment.augmenter).name
            reporter.warn(f"{name} mixes the images of a batch: without --train-on online nothing is mixed")
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        model = experiment.registry.model(experiment.spec)
        self.model = build.configure_model(experiment.spec, model, settings, len(manifest.classes), experiment.finetune)
        recipe, size = self.data.recipe, self.model.request.size
        if recipe is not None and recipe.size != size:
            reporter.warn(
                f"the copies, {recipe.size} pixels wide, are resized again to {size}: they get less sharp than the"
                f" originals; make them with 'toolbox augment --size {size}'"
            )
        embedded = experiment.split.source.dataset.embedded
        built = build.build_model(self.model, settings.training, allow_random=embedded, reporter=reporter)
        module = built.module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.built: BuiltModel = replace(built, module=module)

    def cast(self, forward: Forward, classes: int = 0) -> Forward:
        """``forward`` in the session's precision; its output is checked, as logits if ``classes`` is given."""
        return precision.cast(guard_forward(self.built.module, forward, classes), self.precision, self.device)

    def optimize(self, forward: Forward) -> Forward:
        """``forward`` as it is trained: in the session's precision, and compiled if ``training.compile`` is set."""
        compiled = precision.compile_forward(forward) if self.settings.training.compile else forward
        return self.cast(compiled, len(self.manifest.classes))

    def label(self, inputs: Inputs, rows: Sequence[Row]) -> LabeledInputs:
        """``inputs`` with the classes of ``rows``."""
        numbers = {label: number for number, label in enumerate(self.manifest.classes)}
        return LabeledInputs(inputs, torch.tensor([numbers[row.label] for row in rows], dtype=torch.int64))


def _mixes(experiment: Experiment) -> bool:
    """Whether the user set an augmenter that only mixes batches."""
    augmenter = experiment.settings.augment.augmenter
    if augmenter == AugmentSettings().augmenter:
        return False
    return isinstance(experiment.registry.online_augmenter(parse(augmenter)), MixingAugmenter)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with ``count`` threads (0: as it is set), and restore the number afterwards.

    The last bits of a sum depend on how many threads share it, so their number is recorded with a run.
    """
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
