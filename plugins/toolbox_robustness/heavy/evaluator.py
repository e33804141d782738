"""The ``robustness`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from toolbox.api.errors import UsageError
from toolbox.api.progress import tracked
from toolbox.api.protocols import (
    Evaluation,
    Evaluator,
    Evidence,
    Figure,
    Gallery,
    Metric,
    Picture,
    Series,
    Table,
    TrainedModel,
)
from toolbox.data.index import map_in_threads
from toolbox.statistics import bootstrap
from toolbox.statistics.intervals import Bootstrap
from toolbox.statistics.scores import MetricInfo, PredictionSet, Units
from toolbox_robustness.heavy.corruptions import CORRUPTIONS, Array, Kind

Condition = tuple[Kind, int]
Severity = Annotated[int, Field(ge=1, le=5)]
_AT_ONCE = 32
"""Pictures that are held for the model at a time, about."""


class Robustness(Evaluator):
    """Accuracy when pictures get worse: blur, noise, brightness, darkness, rotation, JPEG.

    Every image is corrupted as the model sees it (resized), in each kind and severity, and predicted anew. What is
    drawn (noise, the side of a rotation) follows from seed, kind, severity and the image's id. Intervals are Wilson's,
    or a bootstrap of whole groups where there are groups. Whether a model must stand up to a rotation or a blur is
    yours to say; one that was trained with such copies does better, and that is no accident.

    Severities and strengths: Hendrycks and Dietterich, ICLR 2019 (ImageNet-C).
    """

    needs_images = True
    needs_model = True

    def __init__(
        self,
        *,
        kinds: Annotated[tuple[Kind, ...], Field(min_length=1, description="ways to get worse")] = tuple(CORRUPTIONS),
        severities: Annotated[tuple[Severity, ...], Field(min_length=1, description="1 (mild) to 5 (severe)")] = (
            1,
            3,
            5,
        ),
        resamples: Annotated[int, Field(ge=100, le=100_000, description="bootstrap resamples")] = bootstrap.RESAMPLES,
    ) -> None:
        self.conditions: list[Condition] = [
            (kind, severity) for kind in dict.fromkeys(kinds) for severity in sorted(set(severities))
        ]
        self.resamples = resamples

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class."""
        if not len(evidence.ids):
            raise UsageError("there are no predictions to evaluate")
        assert evidence.images is not None and evidence.model is not None
        order = sorted(range(len(evidence.ids)), key=lambda at: evidence.ids[at])
        kept, probabilities = self._predicted(evidence, evidence.model(), order)
        if not kept:
            return Evaluation()
        units = Units.from_groups([evidence.groups[at] for at in kept] if evidence.groups else [], len(kept))
        targets = evidence.targets[kept]
        clean = self._accuracy(PredictionSet(targets, evidence.probabilities[kept], units), evidence.seed, "clean")
        answers = {
            condition: PredictionSet(targets, probabilities[:, number], units)
            for number, condition in enumerate(self.conditions)
        }
        found = {condition: self._accuracy(given, evidence.seed, condition) for condition, given in answers.items()}
        right = np.stack([given.correct for given in answers.values()], 1).mean(1)
        return Evaluation(
            metrics={"corrupted_accuracy": self._mean(right, next(iter(answers.values())), evidence.seed)},
            tables=[_table(clean, found, len(kept))],
            figures=[self._figure(clean, found)],
            galleries=[self._examples(evidence, evidence.model(), kept[0])],
        )

    def _predicted(
        self, evidence: Evidence, model: TrainedModel, order: Sequence[int]
    ) -> tuple[list[int], npt.NDArray[np.float64]]:
        """The samples whose pictures are there, and what the model says of each under every condition.

        Probabilities are float64 ``[samples, conditions, K]``.
        """
        read = tracked(self._prepared(evidence, model, order), evidence.reporter, "corrupting", len(order), "images")
        there = ((at, image) for at, image in read if image is not None)
        kept: list[int] = []
        found: list[npt.NDArray[np.float64]] = []
        while some := list(islice(there, max(1, _AT_ONCE // len(self.conditions)))):
            worse = [
                self._corrupted(image, evidence, at, condition) for at, image in some for condition in self.conditions
            ]
            kept += [at for at, _ in some]
            found.append(model.probabilities(np.stack(worse)).reshape(len(some), len(self.conditions), -1))
        return kept, np.concatenate(found) if found else np.empty((0, 0, 0))

    def _prepared(
        self, evidence: Evidence, model: TrainedModel, order: Sequence[int]
    ) -> Iterator[tuple[int, Array | None]]:
        images = evidence.images
        assert images is not None

        def read(at: int) -> tuple[int, Array | None]:
            image = images(at)
            return at, None if image is None else model.prepared(image)

        return map_in_threads(read, order)

    def _corrupted(self, image: Array, evidence: Evidence, at: int, condition: Condition) -> Array:
        kind, severity = condition
        rng = bootstrap.generator("robustness", evidence.seed, kind, severity, evidence.ids[at])
        corruption = CORRUPTIONS[kind]
        return corruption.apply(image, corruption.strengths[severity - 1], rng)

    def _accuracy(self, answers: PredictionSet, seed: int, of: object) -> Metric:
        return Bootstrap(answers, ("robustness", seed, of), self.resamples).metric("accuracy")

    def _mean(self, right: npt.NDArray[np.float64], answers: PredictionSet, seed: int) -> Metric:
        """The mean over images and conditions; its interval by a bootstrap of units, since conditions share images."""
        units = answers.units
        hits, sizes = np.bincount(units.index, right, units.count), np.bincount(units.index, minlength=units.count)
        rng = bootstrap.generator("robustness", seed, "mean")
        drawn, left_out = (
            (hits @ weights) / np.maximum(sizes @ weights, 1e-9)
            for weights in (
                bootstrap.draw_weights(units.count, self.resamples, rng),
                bootstrap.jackknife_weights(units.count),
            )
        )
        info = MetricInfo(f"accuracy under {len(self.conditions)} corruptions (mean)")
        return Bootstrap(answers, (), self.resamples).bootstrap_metric(float(right.mean()), drawn, left_out, info)

    def _figure(self, clean: Metric, found: dict[Condition, Metric]) -> Figure:
        kinds = list(dict.fromkeys(kind for kind, _ in found))
        series = []
        for kind in kinds:
            of_kind = [(severity, metric.value) for (other, severity), metric in found.items() if other == kind]
            points = [(0, clean.value), *of_kind]
            series.append(Series(kind, [float(x) for x, _ in points], [y for _, y in points]))
        lowest = min(found.items(), key=lambda item: item[1].value or 0)
        return Figure(
            name="robustness",
            title="Accuracy on corrupted images",
            kind="lines",
            alt=(
                f"Accuracy over severity for {', '.join(kinds)}: {clean.value or 0:.2f} on the images as they are,"
                f" lowest {lowest[1].value or 0:.2f} under {lowest[0][0]} of severity {lowest[0][1]}."
            ),
            x_label="severity (0: as they are)",
            y_label="accuracy",
            series=series,
        )

    def _examples(self, evidence: Evidence, model: TrainedModel, at: int) -> Gallery:
        """One image under every kind at the largest severity that was asked for."""
        assert evidence.images is not None
        image = evidence.images(at)
        worst = dict(self.conditions)  # severities rise
        pictures = []
        for kind, severity in worst.items() if image is not None else ():
            shown = self._corrupted(model.prepared(image), evidence, at, (kind, severity))  # type: ignore[arg-type]  # there
            picture = Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown)
            words = f"{kind}, severity {severity}: {CORRUPTIONS[kind].words(severity)}"
            pictures.append(Picture(picture, f"The image {evidence.ids[at]} under {words}.", words))
        note = f"{evidence.ids[at]} as the model sees it, at the largest severity asked for."
        return Gallery("robustness", "What was done to the images", pictures, note)


def _table(clean: Metric, found: dict[Condition, Metric], count: int) -> Table:
    rows: list[list[str | float | int | None]] = [["as they are", 0, "", clean.value, clean.low, clean.high, 0.0]]
    for (kind, severity), metric in found.items():
        lost = (clean.value or 0) - (metric.value or 0)
        words = CORRUPTIONS[kind].words(severity)
        rows.append([kind, severity, words, metric.value, metric.low, metric.high, lost])
    columns = ["corruption", "severity", "strength", "accuracy", "low", "high", "lost"]
    title = f"Accuracy on corrupted images ({count:,} images, {clean.method})"
    return Table("robustness-accuracy", title, columns, rows, brief=True)
