"""What is to be trained, and a training in progress: the built model, its inputs, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from toolbox.api.augmenter import MixingAugmenter
from toolbox.api.model import BuiltModel
from toolbox.api.progress import Reporter
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.data.workspace_manifest import SplitDataset
from toolbox.models import build, precision
from toolbox.models.precision import Forward
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.settings.schema import AugmentSettings, Settings
from toolbox.training import activation_cache, batches
from toolbox.training.inputs import Inputs, LabeledInputs, Pixels
from toolbox.training.trackers import Trackers
from toolbox.training.training_data import choose


@dataclass(frozen=True)
class Experiment:
    """What is to be trained on what.

    ``leaks``: what the audit found, by kind; ``leaky`` marks the run for good. ``trackers`` are told of the run as it
    happens.
    """

    spec: Spec
    settings: Settings
    prepared: SplitDataset
    workspace: Path
    registry: Registry
    finetune: bool
    command: str = ""
    leaks: Mapping[str, int] = field(default_factory=dict)
    leaky: bool = False
    trackers: Trackers = field(default_factory=Trackers)


class Session:
    """A training in progress."""

    def __init__(self, experiment: Experiment, folder: Path, reporter: Reporter) -> None:
        self.experiment = experiment
        self.settings = experiment.settings
        self.manifest = experiment.prepared.manifest
        self.folder = folder
        self.reporter = reporter
        self.device = build.device_of(self.settings)
        self.precision = precision.chosen(self.settings.training, self.device)
        self.training = choose(experiment.settings, experiment.prepared, experiment.workspace, reporter)
        if self.training.kind != "online" and _mixes(experiment):
            reporter.warn(
                f"{parse(self.settings.augment.augmenter).name} mixes the images of a batch: without --train-on online"
                " nothing is mixed"
            )
        torch.manual_seed(batches.derive_seed(self.settings.seed, "weights"))
        model = experiment.registry.model(experiment.spec)
        self.wanted = build.wanted(
            experiment.spec, model, self.settings, len(self.manifest.classes), experiment.finetune
        )
        embedded = experiment.prepared.source.dataset.embedded
        built = build.build(self.wanted, self.settings, embedded, reporter)
        module = built.module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.built: BuiltModel = replace(built, module=module)

    def cast(self, forward: Forward) -> Forward:
        """``forward`` in the session's precision."""
        return precision.cast(forward, self.precision, self.device)

    def tuned(self, forward: Forward) -> Forward:
        """``forward`` as it is trained through: in the session's precision, compiled where that is wished."""
        return self.cast(precision.compiled(forward) if self.settings.training.compile else forward)

    def pixels(self, rows: Sequence[Row], source: Source, what: str) -> Pixels:
        """The pictures of ``rows`` as inputs."""
        return activation_cache.pixels(self, rows, source, what)

    def labelled(self, given: Inputs, rows: Sequence[Row]) -> LabeledInputs:
        """``given`` with the classes of ``rows``."""
        number = {label: index for index, label in enumerate(self.manifest.classes)}
        return LabeledInputs(given, torch.tensor([number[row.label] for row in rows], dtype=torch.int64))


def _mixes(experiment: Experiment) -> bool:
    """Whether an augmenter was chosen that works on batches alone."""
    chosen = experiment.settings.augment.augmenter
    if chosen == AugmentSettings().augmenter:
        return False
    return isinstance(experiment.registry.online_augmenter(parse(chosen)), MixingAugmenter)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have torch compute with ``count`` threads (0: as many as it does anyway), and put it back afterwards.

    A sum's last bits depend on how many threads share it, so their number belongs to what a run is repeated by.
    """
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
