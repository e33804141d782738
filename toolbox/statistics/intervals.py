"""Metrics with 95 % intervals: Wilson for proportions of samples, DeLong for areas, BCa bootstrap for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from toolbox.api.evaluator import Metric
from toolbox.statistics import bootstrap, delong
from toolbox.statistics.proportions import wilson
from toolbox.statistics.scores import METRICS, MetricInfo, PredictionSet

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bootstrap:
    """Predictions and their bootstrap. Additive quantities are computed once for all metrics."""

    predictions: PredictionSet
    key: tuple[object, ...]
    resamples: int

    @cached_property
    def _weights(self) -> tuple[bootstrap.Weights, bootstrap.Weights, bootstrap.Weights]:
        units = self.predictions.units.count
        rng = bootstrap.generator(
            "classification", *self.key
        )  # part of the key: renaming it would change every interval
        point = np.ones((units, 1), dtype=np.float32)
        return point, bootstrap.draw_weights(units, self.resamples, rng), bootstrap.jackknife_weights(units)

    @cached_property
    def additive(self) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
        """All additive metrics: point values, resamples, jackknife."""
        point, weights, jackknife = self._weights
        return (
            self.predictions.additive(point),
            self.predictions.additive(weights),
            self.predictions.additive(jackknife),
        )

    @cached_property
    def average_precision(self) -> tuple[Floats, Floats, Floats]:
        """Average precision by class, each ``[B, K]``: point values, resamples, jackknife."""
        point, samples, jackknife = (self.predictions.average_precision(weights) for weights in self._weights)
        return point, samples, jackknife

    def metric(self, name: str) -> Metric:
        """A metric of :data:`METRICS` with its interval."""
        predictions, info = self.predictions, METRICS[name]
        if name == "auc":
            return auc_metric(predictions.area, predictions.units.grouped, info)
        if name == "average_precision":
            point, samples, jackknife = (each.mean(1) for each in self.average_precision)
            return self.bootstrap_metric(float(point[0]), samples, jackknife, info)
        if name in ("accuracy", "top_k") and not predictions.units.grouped:
            right = predictions.correct if name == "accuracy" else predictions.in_top_k
            return proportion_metric(int(right.sum()), len(right), info.label)
        point, samples, jackknife = (each[name] for each in self.additive)
        return self.bootstrap_metric(float(point[0]), samples, jackknife, info)

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
        point, samples, jackknife = (each[f"class_{name}"][:, k] for each in self.additive)
        return self.bootstrap_metric(float(point[0]), samples, jackknife, MetricInfo(label))

    def class_average_precision(self, k: int, label: str) -> Metric:
        """Average precision of class ``k`` against the rest."""
        point, samples, jackknife = (each[:, k] for each in self.average_precision)
        return self.bootstrap_metric(float(point[0]), samples, jackknife, MetricInfo(label))

    def bootstrap_metric(self, value: float, samples: Floats, jackknife: Floats, info: MetricInfo) -> Metric:
        """A BCa interval within the metric's range and around its value.

        A figure that is the same in every resample (at 0 or 1, say) would get an interval without width; where it is a
        share, Wilson's on the number of units stands instead, scaled to the metric's range.
        """
        plain = Metric(value, label=info.label, share=info.share)
        if not math.isfinite(value):
            return replace(plain, value=None)
        units = self.predictions.units
        usable = samples[np.isfinite(samples)]
        if not len(usable) or np.ptp(usable) < 1e-9:
            if not info.higher_is_better or info.least is None or info.most is None:
                return replace(plain, method="the same in every resample")
            span = info.most - info.least
            low, high = (
                info.least + span * end for end in wilson((value - info.least) / span * units.count, units.count)
            )
            method = f"Wilson on {units.count} {units.noun}"
            return replace(plain, low=min(low, value), high=max(high, value), method=method)
        interval = bootstrap.bca(value, samples, jackknife)
        if interval is None:
            return replace(plain, method="too few resamples hold every class")
        return replace(
            plain, low=min(interval[0], value), high=max(interval[1], value), method=f"BCa bootstrap of {units.noun}"
        )


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
