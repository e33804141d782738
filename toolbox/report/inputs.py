"""What a report is made from: plain data, read from files elsewhere. Nothing here knows where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from toolbox.plugin.protocols import Evaluation, Gallery


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. ``facts`` are label and value pairs (weights, device, …), ``command`` the line to repeat it.

    ``split`` and ``n`` say what was evaluated and how many samples; ``held_out`` is true if that split took no
    part in training; ``leaky`` if relatives of what was evaluated were trained on. ``evaluation`` is ``None``
    for a run that has not been evaluated. ``galleries``: the pictures that its evaluators gave.
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

    @property
    def weights(self) -> str:
        """The fact called ``weights``; empty where there is none."""
        return next((value for label, value in self.facts if label.casefold() == "weights"), "")

    @property
    def random_weights(self) -> bool:
        """Whether training began from random values."""
        return self.weights.casefold().startswith("random")


@dataclass(frozen=True, slots=True)
class Thumb:
    """A picture with its class (``label``) and a line beneath it (``caption``). Any size and mode: it is shrunk."""

    label: str
    caption: str
    image: Image.Image


@dataclass(frozen=True, slots=True)
class CopyRow:
    """A source and augmented copies of it."""

    source: Thumb
    copies: Sequence[Thumb]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataView:
    """The data behind the runs.

    ``counts_before``: images by split, then class; ``counts_after``: training files by class after augmentation,
    ``None`` where nothing was augmented. ``note``: what a reader must know of the dataset (``"synthetic"``).
    ``quarantined``: path and reason of each file that was left out.
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

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that has a count, in order of appearance."""
        names: dict[str, None] = {}
        for counts in (*self.counts_before.values(), self.counts_after or {}):
            names.update(dict.fromkeys(counts))
        return tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything that one report shows. ``created`` is printed as it is: equal inputs give equal bytes."""

    title: str
    created: str
    workspace: str
    runs: Sequence[RunView]
    data: DataView | None = None
    notes: Sequence[str] = ()
