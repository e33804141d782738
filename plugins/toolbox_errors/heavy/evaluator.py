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
from toolbox_errors.heavy.confident import suggested


@dataclass(frozen=True)
class _Case:
    """A sample, by its place in its evidence; ``said`` is a class's index."""

    evidence: Evidence
    at: int
    said: int

    @property
    def true(self) -> int:
        return int(self.evidence.targets[self.at])

    def probability(self, of: int) -> float:
        return float(self.evidence.probabilities[self.at, of])

    @property
    def row(self) -> list[str | float | int | None]:
        evidence, true = self.evidence, self.true
        names = [evidence.ids[self.at], evidence.split, evidence.classes[true], evidence.classes[self.said]]
        group = evidence.groups[self.at] if evidence.groups else ""
        return [*names, self.probability(true), self.probability(self.said), group]


class Errors(Evaluator):
    """The worst mistakes, and images whose label is probably wrong, in tables and galleries.

    Worst are the mistakes that give the true class the least probability. Labels are doubted by confident learning
    (Northcutt, Jiang and Chuang, JAIR 70, 2021): another class reaches the mean probability that it has among its own
    images, and the label is not the most probable class. The validation split is looked through as well, where there is
    one. Doubted labels are candidates for a second look by someone who knows, not errors: a weak model doubts much. And
    a test set whose labels were changed because of what one model said of them favours that model.
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
            raise UsageError("there are no predictions to look through")
        mistakes = [case for case in _cases(evidence, evidence.probabilities.argmax(1)) if case.said != case.true]
        parts = [part for part in (evidence, evidence.validation) if part is not None]
        labels = np.concatenate([part.targets for part in parts])
        other = suggested(labels, np.concatenate([part.probabilities for part in parts]))
        cuts = np.split(other, np.cumsum([len(part.ids) for part in parts])[:-1])
        doubted = [
            case
            for part, said in zip(parts, cuts, strict=True)
            for case in _cases(part, said)
            if case.said != case.true
        ]
        mistakes, doubted = (sorted(found, key=_least_probable_label) for found in (mistakes, doubted))
        checked = " and ".join(part.split for part in parts)
        galleries = [
            Gallery(
                "errors-worst",
                "Worst mistakes",
                list(islice(_pictures(mistakes, "said"), self.count)),
                f"Of {len(mistakes):,} mistake{'s' * (len(mistakes) != 1)} on {len(evidence.ids):,} images those that"
                " give the true class the least probability.",
            ),
            Gallery(
                "errors-labels",
                "Labels to look at again",
                list(islice(_pictures(doubted, "rather"), self.count)),
                f"{len(doubted):,} of {len(labels):,} images ({checked}) whose label is doubted by confident learning.",
            ),
        ]
        notes = []
        if not mistakes:
            notes.append(f"errors: no mistake on {len(evidence.ids):,} images")
        if not doubted:
            notes.append(f"errors: none of {len(labels):,} labels ({checked}) is doubted")
        if evidence.split == "train":
            notes.append("errors: the model was trained on these images, so that it hides mistakes and wrong labels")
        return Evaluation(
            tables=[
                *([self._table("errors-worst", "Worst mistakes", "said", mistakes)] if mistakes else []),
                *([self._table("errors-labels", "Labels to look at again", "rather", doubted)] if doubted else []),
            ],
            galleries=[gallery for gallery in galleries if gallery.pictures],
            extra={"mistakes": len(mistakes), "doubted_labels": len(doubted)},
            notes=notes,
        )

    def _table(self, name: str, title: str, word: str, cases: Sequence[_Case]) -> Table:
        title += f" (the first {self.rows:,} of {len(cases):,})" if len(cases) > self.rows else ""
        columns = ["image", "split", "label", word, "p(label)", f"p({word})", "group"]
        return Table(name, title, columns, [case.row for case in cases[: self.rows]])


def _cases(evidence: Evidence, said: np.typing.NDArray[np.int64]) -> Iterator[_Case]:
    return (_Case(evidence, at, int(index)) for at, index in enumerate(said))


def _least_probable_label(case: _Case) -> tuple[float, str]:
    return case.probability(case.true), case.evidence.ids[case.at]


def _pictures(cases: Sequence[_Case], word: str) -> Iterator[Picture]:
    """Those whose images are there, read as they are taken."""
    for case in cases:
        evidence = case.evidence
        assert evidence.images is not None
        image = evidence.images(case.at)
        if image is None:
            continue
        label, said, p = evidence.classes[case.true], evidence.classes[case.said], case.probability(case.said)
        alt = f"An image labelled {label} that the model takes for {said} with a probability of {p:.2f}."
        yield Picture(image, alt, f"{evidence.ids[case.at]}: {label}, {word} {said} ({p:.2f})")
