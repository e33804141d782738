"""What a report shows: plain data, read from files by :mod:`toolbox.report.gather`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolbox.runs.folder import FIGURES

if TYPE_CHECKING:
    from pathlib import Path

    from toolbox.api.evaluator import Gallery
    from toolbox.evaluation.compare import ComparisonResult
    from toolbox.report.pictures import Thumbnail
    from toolbox.runs.evaluation import EvaluationRecord
    from toolbox.runs.record import RunRecord


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
    """One run: its files, and what is derived from them.

    ``facts`` are label and value pairs (weights, device, …). ``galleries``: the pictures of its evaluators.
    ``external``: its evaluations on other datasets. ``folder``: where the run is kept.
    """

    id: str
    record: RunRecord
    evaluation: EvaluationRecord
    history: Sequence[Epoch] = ()
    facts: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    galleries: Sequence[Gallery] = ()
    external: Sequence[EvaluationRecord] = ()
    folder: Path | None = None

    @property
    def figures_folder(self) -> Path | None:
        """Where its figures are saved."""
        return self.folder / FIGURES if self.folder else None

    @property
    def is_fair(self) -> bool:
        """Whether it was evaluated on images that training had no part in."""
        return self.evaluation.held_out and not self.record.leaky

    @property
    def random_weights(self) -> bool:
        """Whether fine-tuning began from random weights."""
        return self.record.kind == "finetune" and self.record.weights.casefold().startswith("random")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """What a leak audit found. ``current`` is false where data or split have changed since.

    ``leaks``: how many of each kind; ``examples``: the first few in words; ``links``: text and address of files that
    hold all of it.
    """

    current: bool
    leaks: Sequence[tuple[str, int]] = ()
    warnings: int = 0
    compared: str = ""
    examples: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()

    @property
    def leak_count(self) -> int:
        """Leaks of all kinds."""
        return sum(count for _, count in self.leaks)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataView:
    """The data behind the runs.

    ``counts_before``: images by split, then class; ``counts_after``: training files by class after augmentation,
    ``None`` where nothing was augmented. ``note``: what a reader must know of the dataset (``"synthetic"``).
    ``quarantined``: path and reason of each file that was left out. ``license``: name and first lines of the dataset's
    own license file. ``copies``: rows of a source and its copies. ``audit`` is ``None`` where there was none.
    """

    description: str
    counts_before: Mapping[str, Mapping[str, int]]
    counts_after: Mapping[str, int] | None = None
    note: str = ""
    samples: Sequence[Thumbnail] = ()
    copies: Sequence[Sequence[Thumbnail]] = ()
    quarantined: Sequence[tuple[str, str]] = ()
    fingerprint: str = ""
    split_facts: Sequence[tuple[str, str]] = ()
    license: tuple[str, str] | None = None
    audit: AuditView | None = None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command on the way from data to report, and what it is for."""

    command: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything that one report shows. ``created`` is printed as it is: equal inputs give equal bytes.

    ``not_comparable``: why runs could not be compared. ``versions``: names and versions of what all runs were made
    with.
    """

    title: str
    created: str
    workspace: str
    runs: Sequence[RunView]
    data: DataView | None = None
    notes: Sequence[str] = ()
    comparisons: Sequence[ComparisonResult] = ()
    not_comparable: Sequence[str] = ()
    steps: Sequence[CommandLine] = ()
    versions: Sequence[tuple[str, str]] = ()
