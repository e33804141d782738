"""The ``errors`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import numpy as np
from pydantic import Field

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Gallery, Picture, Table
from toolbox_errors.heavy.confident import suggest_labels


@dataclass(frozen=True)
class _Case:
    """A sample of ``evidence`` by its index, and a class index to hold against its label."""

    evidence: Evidence
    at: int
    predicted: int

    @property
    def true(self) -> int:
        return int(self.evidence.targets[self.at])

    def probability(self, of: int) -> float:
        return float(self.evidence.probabilities[self.at, of])

    @property
    def row(self) -> list[str | float | int | None]:
        evidence, true = self.evidence, self.true
        names = [evidence.ids[self.at], evidence.split, evidence.classes[true], evidence.classes[self.predicted]]
        group = evidence.groups[self.at] if evidence.groups else ""
        return [*names, self.probability(true), self.probability(self.predicted), group]


class Errors(Evaluator):
    """List the worst mistakes, and images whose label is probably wrong, in tables and galleries.

    The worst mistakes give the true class the lowest probability. Doubtful labels are found by confident learning
    (Northcutt, Jiang and Chuang, JAIR 70, 2021): another class reaches the mean probability that it has among its own
    images, and the label is not the most probable class. The validation split, if any, is checked too. A doubtful label
    calls for a second look by an expert; it need not be wrong, and a weak model doubts many. Correcting test labels
    because one model doubts them biases the test set toward that model.
    """

    needs_images = True

    def __init__(
        self,
        *,
        count: Annotated[int, Field(ge=1, le=99, description="pictures in each gallery")] = 12,
        rows: Annotated[int, Field(ge=1, le=100_000, description="rows in each table")] = 100,
    ) -> None:
        self.count = count
        self.rows = rows

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class."""
        if not len(evidence.ids):
            raise UsageError("no predictions to evaluate")
        mistakes = [case for case in _cases(evidence, evidence.probabilities.argmax(1)) if case.predicted != case.true]
        parts = [part for part in (evidence, evidence.validation) if part is not None]
        labels = np.concatenate([part.targets for part in parts])
        suggestions = suggest_labels(labels, np.concatenate([part.probabilities for part in parts]))
        per_part = np.split(suggestions, np.cumsum([len(part.ids) for part in parts])[:-1])
        doubtful = [
            case
            for part, labels_ in zip(parts, per_part, strict=True)
            for case in _cases(part, labels_)
            if case.predicted != case.true
        ]
        mistakes, doubtful = (sorted(cases, key=_least_probable_label) for cases in (mistakes, doubtful))
        splits = " and ".join(part.split for part in parts)
        galleries = [
            Gallery(
                "errors-worst",
                "Worst mistakes",
                list(islice(_pictures(mistakes, "said"), self.count)),
                f"{len(mistakes):,} mistake{'s' * (len(mistakes) != 1)} on {len(evidence.ids):,} images; the lowest"
                " probabilities of the true class come first.",
            ),
            Gallery(
                "errors-labels",
                "Doubtful labels",
                list(islice(_pictures(doubtful, "rather"), self.count)),
                f"{len(doubtful):,} of {len(labels):,} images ({splits}) have a label that confident learning doubts.",
            ),
        ]
        notes = []
        if not mistakes:
            notes.append(f"errors: no mistakes on {len(evidence.ids):,} images")
        if not doubtful:
            notes.append(f"errors: no doubtful labels among {len(labels):,} ({splits})")
        if evidence.split == "train":
            notes.append("errors: the model was trained on these images, which hides mistakes and wrong labels")
        return Evaluation(
            tables=[
                *([self._table("errors-worst", "Worst mistakes", "said", mistakes)] if mistakes else []),
                *([self._table("errors-labels", "Doubtful labels", "rather", doubtful)] if doubtful else []),
            ],
            galleries=[gallery for gallery in galleries if gallery.pictures],
            extra={"mistakes": len(mistakes), "doubted_labels": len(doubtful)},
            notes=notes,
        )

    def _table(self, name: str, title: str, word: str, cases: Sequence[_Case]) -> Table:
        title += f" (the first {self.rows:,} of {len(cases):,})" if len(cases) > self.rows else ""
        columns = ["image", "split", "label", word, "p(label)", f"p({word})", "group"]
        return Table(name, title, columns, [case.row for case in cases[: self.rows]])


def _cases(evidence: Evidence, suggestions: np.typing.NDArray[np.int64]) -> Iterator[_Case]:
    return (_Case(evidence, at, int(index)) for at, index in enumerate(suggestions))


def _least_probable_label(case: _Case) -> tuple[float, str]:
    return case.probability(case.true), case.evidence.ids[case.at]


def _pictures(cases: Sequence[_Case], word: str) -> Iterator[Picture]:
    """Yield pictures of the cases whose images can still be read."""
    for case in cases:
        evidence = case.evidence
        assert evidence.images is not None
        image = evidence.images(case.at)
        if image is None:
            continue
        label, other, p = (
            evidence.classes[case.true],
            evidence.classes[case.predicted],
            case.probability(case.predicted),
        )
        alt = f"An image labeled {label}; the model predicts {other} with probability {p:.2f}."
        yield Picture(image, alt, f"{evidence.ids[case.at]}: {label}, {word} {other} ({p:.2f})")
