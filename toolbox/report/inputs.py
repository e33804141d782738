"""What a report is made from: plain data, read from files elsewhere. Nothing here knows where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from toolbox.api.evaluator import Evaluation, Gallery, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of training.

    ``stage`` is ``head``, ``last``, … as training names it; ``epoch`` counts from 1 within its stage or
    throughout, as training counts it. Losses are means a sample, accuracies fractions in [0, 1]; ``None`` (or a
    value that is not finite) where there is none, such as validation without a validation split.
    """

    stage: str
    epoch: int
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    lr: float | None = None


@dataclass(frozen=True, slots=True)
class Thumb:
    """A picture with its class (``label``) and a line beneath it (``caption``). Any size and mode: it is shrunk."""

    label: str
    caption: str
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalView:
    """A run's evaluation on another dataset. ``trained_on``: how many of its images the run had trained on."""

    data: str
    n: int
    evaluation: Evaluation
    leaky: bool = False
    trained_on: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. ``facts`` are label and value pairs (weights, device, …), ``command`` the line to repeat it.

    ``split`` and ``n`` say what was evaluated and how many samples; ``held_out`` is true if that split took no
    part in training; ``leaky`` if relatives of what was evaluated were trained on. ``evaluation`` is ``None``
    for a run that has not been evaluated. ``galleries``: the pictures that its evaluators gave. ``counts`` and
    ``files``: images by split and class, and training files by class (``None`` where the images themselves were
    trained on). ``folder``: where the run is kept.
    """

    id: str
    model: str
    command: str
    split: str
    n: int
    held_out: bool
    leaky: bool
    evaluation: Evaluation | None
    history: Sequence[Epoch] = ()
    facts: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    galleries: Sequence[Gallery] = ()
    external: Sequence[ExternalView] = ()
    counts: Mapping[str, Mapping[str, int]] | None = None
    files: Mapping[str, int] | None = None
    folder: Path | None = None

    @property
    def weights(self) -> str:
        """The fact called ``weights``; empty where there is none."""
        return next((value for label, value in self.facts if label.casefold() == "weights"), "")

    @property
    def random_weights(self) -> bool:
        """Whether training began from random values."""
        return self.weights.casefold().startswith("random")


@dataclass(frozen=True, slots=True)
class CopyRow:
    """A source and augmented copies of it."""

    source: Thumb
    copies: Sequence[Thumb]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """What a leak audit found. ``current`` is false where data or split have changed since.

    ``leaks``: how many of each kind, told in words; ``examples``: kind and paths with splits of the first few.
    ``links``: text and address of files beside the report that hold all of it.
    """

    current: bool
    leaks: Sequence[tuple[str, int]] = ()
    warnings: int = 0
    compared: str = ""
    examples: Sequence[tuple[str, str]] = ()
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataView:
    """The data behind the runs.

    ``counts_before``: images by split, then class; ``counts_after``: training files by class after augmentation,
    ``None`` where nothing was augmented. ``note``: what a reader must know of the dataset (``"synthetic"``).
    ``quarantined``: path and reason of each file that was left out. ``licence``: name and first lines of the dataset's
    own licence file. ``audit`` is ``None`` where there was none.
    """

    description: str
    counts_before: Mapping[str, Mapping[str, int]]
    counts_after: Mapping[str, int] | None = None
    note: str = ""
    samples: Sequence[Thumb] = ()
    copies: Sequence[CopyRow] = ()
    quarantined: Sequence[tuple[str, str]] = ()
    fingerprint: str = ""
    split_facts: Sequence[tuple[str, str]] = ()
    licence: tuple[str, str] | None = None
    audit: AuditView | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that has a count, in order of appearance."""
        names: dict[str, None] = {}
        for counts in (*self.counts_before.values(), self.counts_after or {}):
            names.update(dict.fromkeys(counts))
        return tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """Runs that differ in their seed alone. ``value`` is the mean of the deciding metric, ``sd`` its spread."""

    letter: str
    name: str
    runs: Sequence[str]
    value: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far arm ``b`` is above arm ``a`` in one metric. ``winner`` is a letter, empty where none is to be called.

    ``p_value`` is after Holm's correction where ``holm``; ``words`` is the verdict as a sentence.
    """

    metric: str
    label: str
    share: bool
    a: str
    b: str
    difference: Metric
    p_value: float
    holm: bool
    test: str
    winner: str
    words: str
    needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Runs that were tested on the same images, compared with each other. ``metric`` is the one that decides."""

    metric: str
    n: int
    arms: Sequence[ArmView]
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = ()

    def arm(self, letter: str) -> ArmView:
        """The arm of that letter."""
        return next(arm for arm in self.arms if arm.letter == letter)

    def arm_of(self, run_id: str) -> ArmView | None:
        """The arm that a run belongs to, if it was compared at all."""
        return next((arm for arm in self.arms if run_id in arm.runs), None)

    def between(self, one: str, other: str) -> Verdict | None:
        """The verdict on two arms by the deciding metric."""
        return next((v for v in self.verdicts if v.metric == self.metric and {v.a, v.b} == {one, other}), None)


@dataclass(frozen=True, slots=True)
class Step:
    """A command line of the way from data to report, and what it makes."""

    command: str
    makes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything that one report shows. ``created`` is printed as it is: equal inputs give equal bytes.

    ``refused``: why runs could not be compared. ``versions`` are name and version of what all runs were made with.
    """

    title: str
    created: str
    workspace: str
    runs: Sequence[RunView]
    data: DataView | None = None
    notes: Sequence[str] = ()
    comparisons: Sequence[ComparisonView] = ()
    refused: Sequence[str] = ()
    steps: Sequence[Step] = ()
    versions: Sequence[tuple[str, str]] = ()
