"""``evaluation.json`` and ``evaluation-*.json``: what the evaluators found. ``--json`` prints the same."""

from __future__ import annotations

from typing import Annotated

from pydantic import field_validator

from toolbox.api.evaluator import Figure, Metric, Table
from toolbox.runs.document import Document, Part, known_keys

MANY = 20
"""Uses from which on a test set is called what it has become."""


class PictureRecord(Part):
    """A picture of a gallery. ``file`` is relative to the run's folder."""

    file: str
    alt: str
    caption: str = ""


class GalleryRecord(Part):
    """A gallery: see :class:`toolbox.api.evaluator.Gallery`."""

    name: str
    title: str
    pictures: list[PictureRecord]
    note: str = ""
    shows_data: bool = True


class UseCount(Part):
    """How often a test set was evaluated on: ``count`` times in its workspace, ``by_run`` of them by one run."""

    test_set: str
    count: int
    by_run: int

    @property
    def many(self) -> bool:
        """Whether choices made by its figures have turned it into a validation set."""
        return self.count >= MANY

    @property
    def words(self) -> str:
        """A sentence for people."""
        text = "this test set has been used " + ("once" if self.count == 1 else f"{self.count:,} times")
        if not self.many:
            return text
        return f"{text}; used so often it is a validation set: keep some images that no run has seen"


class SubsetRecord(Part):
    """The metrics on some of the ``n`` images that were evaluated; none where there are no images."""

    n: int
    metrics: dict[str, Annotated[Metric, known_keys(Metric)]] = {}


class LeakageRecord(Part):
    """The metrics apart on the images that training saw, themselves or a relative (``leaked``), and on the others.

    ``kinds``: leaked images by the kind of leak. Evaluators that need images or the model are left out.
    """

    kinds: dict[str, int]
    leaked: SubsetRecord
    clean: SubsetRecord


class EvaluationRecord(Document):
    """The evaluation of a run on one split, or on another dataset (``external``).

    Evaluators add keys of their own. ``leakage``: what the leak was worth, where it is known which images leaked.
    ``trained_on``: how many of an external test's images the run was trained on, ``None`` where that is unknown.
    """

    run: str
    path: str = ""
    model: str
    split: str
    held_out: bool
    external: str = ""
    n: int
    metrics: dict[str, Annotated[Metric, known_keys(Metric)]]
    classes: list[str]
    leaky: bool
    weights: str
    untrained: bool = False
    train_on: str
    note: str
    notes: list[str] = []
    tables: list[Annotated[Table, known_keys(Table)]]
    figures: list[Annotated[Figure, known_keys(Figure)]]
    galleries: list[GalleryRecord] = []
    evaluators: list[str] = []
    confusion_matrix: list[list[int]] = []
    group_confusion_matrix: list[list[int]] = []
    trained_on: int | None = None
    leakage: LeakageRecord | None = None
    looks: UseCount | None = None

    @field_validator("figures")
    @classmethod
    def _check_matrices(cls, figures: list[Figure]) -> list[Figure]:
        for figure in figures:
            widths = {len(values) for values in figure.values}
            if figure.kind == "matrix" and (len(figure.values) != len(figure.rows) or widths != {len(figure.columns)}):
                raise ValueError(f"the values of the figure {figure.name!r} are not rows × columns")
        return figures
