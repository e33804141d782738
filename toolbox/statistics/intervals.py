"""Metrics with 95 % intervals: Wilson for proportions of samples, DeLong for areas, BCa bootstrap for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from toolbox.api.evaluator import Metric
from toolbox.statistics import bootstrap, continuity, delong
from toolbox.statistics.proportions import wilson
from toolbox.statistics.scores import METRICS, MetricInfo, PredictionSet

Floats = npt.NDArray[np.float64]
_NONE: Floats = np.empty(0)


@dataclass(frozen=True)
class Bootstrap:
    """Predictions and their bootstrap. Additive quantities are computed once for all metrics."""

    predictions: PredictionSet
    key: tuple[object, ...]
    resamples: int

    @cached_property
    def _rng(self) -> np.random.Generator:
        return bootstrap.generator("classification", *self.key)  # renaming it would change every interval

    @cached_property
    def _weights(self) -> tuple[bootstrap.Weights, bootstrap.Weights, bootstrap.Weights]:
        units = self.predictions.units.count
        point = np.ones((units, 1), dtype=np.float32)
        return point, bootstrap.draw_weights(units, self.resamples, self._rng), bootstrap.jackknife_weights(units)

    @cached_property
    def _unseen(self) -> tuple[PredictionSet, bootstrap.Weights]:
        """Predictions and weights that allow for an answer that was not seen, see :mod:`.continuity`."""
        (predictions,), weights = continuity.extend([self.predictions], self.resamples, self._rng)
        return predictions, weights

    @cached_property
    def _lacks_variety(self) -> bool:
        """Whether some class, true or predicted, has no error or nothing but errors, or there is a single unit."""
        predictions = self.predictions
        if predictions.units.count == 1:
            return True
        sides = (predictions.targets, predictions.predicted)
        return any(continuity.lacks_variety(side, predictions.correct) for side in sides)

    @cached_property
    def additive(self) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
        """All additive metrics: point values, resamples, jackknife, draws with unseen answers (empty if not needed)."""
        point, samples, jackknife = (self.predictions.additive(weights) for weights in self._weights)
        unseen = dict.fromkeys(point, _NONE)
        if self._lacks_variety:
            extended, weights = self._unseen
            unseen = extended.additive(weights)
        return point, samples, jackknife, unseen

    @cached_property
    def average_precision(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Average precision by class, each ``[B, K]``, as :attr:`additive` has it."""
        point, samples, jackknife = (self.predictions.average_precision(weights) for weights in self._weights)
        unseen = np.empty((0, self.predictions.classes))
        if self._lacks_variety or (np.nanmax(samples, 0) - np.nanmin(samples, 0) < 1e-9).any():
            extended, weights = self._unseen
            unseen = extended.average_precision(weights)
        return point, samples, jackknife, unseen

    def metric(self, name: str) -> Metric:
        """A metric of :data:`METRICS` with its interval."""
        predictions, info = self.predictions, METRICS[name]
        if name == "auc":
            return auc_metric(predictions.area, predictions.units.grouped, info)
        if name == "average_precision":
            return self.bootstrap_metric([each.mean(1) for each in self.average_precision], info)
        if name in ("accuracy", "top_k") and not predictions.units.grouped:
            right = predictions.correct if name == "accuracy" else predictions.in_top_k
            return proportion_metric(int(right.sum()), len(right), info.label)
        return self.bootstrap_metric([each[name] for each in self.additive], info)

    def class_metric(self, name: str, k: int, label: str) -> Metric:
        """``precision``, ``recall``, ``specificity`` or ``f1`` of class ``k``; a proportion has Wilson's interval."""
        predictions = self.predictions
        if name != "f1" and not predictions.units.grouped:
            truth, predicted = predictions.targets == k, predictions.predicted == k
            side, right = {
                "precision": (predicted, truth),
                "recall": (truth, predicted),
                "specificity": (~truth, ~predicted),
            }[name]
            return proportion_metric(int((side & right).sum()), int(side.sum()), label)
        columns = [each[f"class_{name}"][..., k] if len(each[f"class_{name}"]) else _NONE for each in self.additive]
        return self.bootstrap_metric(columns, MetricInfo(label))

    def class_average_precision(self, k: int, label: str) -> Metric:
        """Average precision of class ``k`` against the rest."""
        return self.bootstrap_metric([each[:, k] for each in self.average_precision], MetricInfo(label))

    def bootstrap_metric(self, draws: Sequence[Floats], info: MetricInfo) -> Metric:
        """A BCa interval around the value; ``draws``: point value, resamples, jackknife, draws with unseen answers.

        The last widen the interval where a class has no error: see :mod:`toolbox.statistics.continuity`.
        """
        point, samples, jackknife, unseen = draws
        value = float(point[0])
        plain = Metric(value, label=info.label, share=info.share)
        if not math.isfinite(value):
            return replace(plain, value=None)
        low, high = bootstrap.interval(value, samples, jackknife, unseen if len(unseen) else None)
        noun = self.predictions.units.noun
        if not math.isfinite(low + high):
            return replace(plain, method="too few resamples hold every class")
        if high - low < 1e-9:
            return replace(plain, method="the same in every resample")
        method = f"BCa bootstrap of {noun}" + (", and one unseen answer in each class" if len(unseen) else "")
        return replace(plain, low=low, high=high, method=method)


def proportion_metric(hits: int, count: int, label: str) -> Metric:
    """``hits`` of ``count`` with Wilson's interval; not defined for none."""
    if not count:
        return Metric(None, label=label)
    low, high = wilson(hits, count)
    return Metric(hits / count, low, high, "Wilson", label)


def auc_metric(area: delong.Area | None, grouped: bool, info: MetricInfo) -> Metric:
    """An AUC with DeLong's interval on the logit scale."""
    if area is None:
        return Metric(None, label=info.label)
    low, high = area.interval()
    method = "DeLong by groups, logit" if grouped else "DeLong, logit"
    if not area.has_variance:
        method = f"Newcombe on {area.sizes[0]} and {area.sizes[1]} {'groups' if grouped else 'samples'}"
    return Metric(area.value, min(low, area.value), max(high, area.value), method, info.label)
