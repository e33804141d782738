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
from toolbox.api.evaluator import (
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
from toolbox.api.progress import tracked
from toolbox.api.statistics import Bootstrap, MetricInfo, PredictionSet, Units, bootstrap
from toolbox.api.threads import map_in_threads
from toolbox_robustness.heavy.corruptions import CORRUPTIONS, Array, Kind

Condition = tuple[Kind, int]
Severity = Annotated[int, Field(ge=1, le=5)]
_BATCH = 32
"""Approximate number of images per batch."""


class Robustness(Evaluator):
    """Measure accuracy on corrupted images: blur, noise, brightness, darkness, rotation, JPEG.

    Every image is corrupted at the model's input size, by each kind and severity, and predicted again. Random draws
    (noise, the direction of a rotation) follow from seed, kind, severity and image id. Intervals are Wilson's, or a
    bootstrap of whole groups where there are groups. Which corruptions a model must tolerate depends on its use; a
    model trained with such augmentations does better on them.

    Severities and strengths: Hendrycks and Dietterich, ICLR 2019 (ImageNet-C).
    """

    needs_images = True
    needs_model = True

    def __init__(
        self,
        *,
        kinds: Annotated[tuple[Kind, ...], Field(min_length=1, description="kinds of corruption")] = tuple(CORRUPTIONS),
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
            raise UsageError("no predictions to evaluate")
        assert evidence.images is not None and evidence.model is not None
        order = sorted(range(len(evidence.ids)), key=lambda at: evidence.ids[at])
        indices, probabilities = self._predict(evidence, evidence.model(), order)
        if not indices:
            return Evaluation()
        units = Units.from_groups([evidence.groups[at] for at in indices] if evidence.groups else [], len(indices))
        targets = evidence.targets[indices]
        clean = self._accuracy(PredictionSet(targets, evidence.probabilities[indices], units), evidence.seed, "clean")
        predictions = {
            condition: PredictionSet(targets, probabilities[:, number], units)
            for number, condition in enumerate(self.conditions)
        }
        accuracies = {
            condition: self._accuracy(prediction, evidence.seed, condition)
            for condition, prediction in predictions.items()
        }
        right = np.stack([prediction.correct for prediction in predictions.values()], 1).mean(1)
        return Evaluation(
            metrics={"corrupted_accuracy": self._mean(right, next(iter(predictions.values())), evidence.seed)},
            tables=[_table(clean, accuracies, len(indices))],
            figures=[self._figure(clean, accuracies)],
            galleries=[self._examples(evidence, evidence.model(), indices[0])],
        )

    def _predict(
        self, evidence: Evidence, model: TrainedModel, order: Sequence[int]
    ) -> tuple[list[int], npt.NDArray[np.float64]]:
        """Predict every sample whose image can be read under every condition; return their indices and probabilities.

        Probabilities are float64 ``[samples, conditions, K]``.
        """
        read = tracked(self._prepare(evidence, model, order), evidence.reporter, "corrupting", len(order), "images")
        available = ((at, image) for at, image in read if image is not None)
        indices: list[int] = []
        probabilities: list[npt.NDArray[np.float64]] = []
        while batch := list(islice(available, max(1, _BATCH // len(self.conditions)))):
            corrupted_images = [
                self._corrupt(image, evidence, at, condition) for at, image in batch for condition in self.conditions
            ]
            indices += [at for at, _ in batch]
            probabilities.append(
                model.probabilities(np.stack(corrupted_images)).reshape(len(batch), len(self.conditions), -1)
            )
        return indices, np.concatenate(probabilities) if probabilities else np.empty((0, 0, 0))

    def _prepare(
        self, evidence: Evidence, model: TrainedModel, order: Sequence[int]
    ) -> Iterator[tuple[int, Array | None]]:
        images = evidence.images
        assert images is not None

        def read(at: int) -> tuple[int, Array | None]:
            image = images(at)
            return at, None if image is None else model.prepared(image)

        return map_in_threads(read, order)

    def _corrupt(self, image: Array, evidence: Evidence, at: int, condition: Condition) -> Array:
        kind, severity = condition
        rng = bootstrap.generator("robustness", evidence.seed, kind, severity, evidence.ids[at])
        corruption = CORRUPTIONS[kind]
        return corruption.apply(image, corruption.strengths[severity - 1], rng)

    def _accuracy(self, predictions: PredictionSet, seed: int, of: object) -> Metric:
        return Bootstrap(predictions, ("robustness", seed, of), self.resamples).metric("accuracy")

    def _mean(self, right: npt.NDArray[np.float64], predictions: PredictionSet, seed: int) -> Metric:
        """Average over images and conditions. The interval is a bootstrap of units, since conditions share images."""
        units = predictions.units
        hits, sizes = np.bincount(units.index, right, units.count), np.bincount(units.index, minlength=units.count)
        rng = bootstrap.generator("robustness", seed, "mean")
        samples, jackknife = (
            (hits @ weights) / np.maximum(sizes @ weights, 1e-9)
            for weights in (
                bootstrap.draw_weights(units.count, self.resamples, rng),
                bootstrap.jackknife_weights(units.count),
            )
        )
        unseen = np.empty(0)
        if np.ptp(samples) < 1e-9:
            # Every answer is the same: allow for one that was not seen, as the other metrics do.
            weights = rng.standard_exponential((units.count, self.resamples))
            one = sizes.mean() * rng.standard_exponential(self.resamples)
            unseen = (hits @ weights + one * (right.mean() < 0.5)) / (sizes @ weights + one)
        info = MetricInfo(f"accuracy under {len(self.conditions)} corruptions (mean)")
        return Bootstrap(predictions, (), self.resamples).bootstrap_metric(
            [np.array([right.mean()]), samples, jackknife, unseen], info
        )

    def _figure(self, clean: Metric, accuracies: dict[Condition, Metric]) -> Figure:
        kinds = list(dict.fromkeys(kind for kind, _ in accuracies))
        series = []
        for kind in kinds:
            of_kind = [(severity, metric.value) for (other, severity), metric in accuracies.items() if other == kind]
            points = [(0, clean.value), *of_kind]
            series.append(Series(kind, [float(x) for x, _ in points], [y for _, y in points]))
        lowest = min(accuracies.items(), key=lambda item: item[1].value or 0)
        return Figure(
            name="robustness",
            title="Accuracy on corrupted images",
            kind="lines",
            alt=(
                f"Accuracy over severity for {', '.join(kinds)}: {clean.value or 0:.2f} on the original images,"
                f" lowest {lowest[1].value or 0:.2f} under {lowest[0][0]} of severity {lowest[0][1]}."
            ),
            x_label="severity (0: none)",
            y_label="accuracy",
            series=series,
        )

    def _examples(self, evidence: Evidence, model: TrainedModel, at: int) -> Gallery:
        """Show one image under every kind of corruption at its largest severity."""
        assert evidence.images is not None
        image = evidence.images(at)
        worst = dict(self.conditions)  # severities rise
        pictures = []
        for kind, severity in worst.items() if image is not None else ():
            pixels = self._corrupt(model.prepared(image), evidence, at, (kind, severity))  # type: ignore[arg-type]  # there
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            words = f"{kind}, severity {severity}: {CORRUPTIONS[kind].words(severity)}"
            pictures.append(Picture(picture, f"The image {evidence.ids[at]} under {words}.", words))
        note = f"{evidence.ids[at]} at the model's input size and the largest severity."
        return Gallery("robustness", "Examples of the corruptions", pictures, note)


def _table(clean: Metric, accuracies: dict[Condition, Metric], count: int) -> Table:
    rows: list[list[str | float | int | None]] = [["none", 0, "", clean.value, clean.low, clean.high, 0.0]]
    for (kind, severity), metric in accuracies.items():
        lost = (clean.value or 0) - (metric.value or 0)
        words = CORRUPTIONS[kind].words(severity)
        rows.append([kind, severity, words, metric.value, metric.low, metric.high, lost])
    columns = ["corruption", "severity", "strength", "accuracy", "low", "high", "lost"]
    title = f"Accuracy on corrupted images ({count:,} images, {clean.method})"
    return Table("robustness-accuracy", title, columns, rows, brief=True)
