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
from toolbox.statistics.scores import METRICS, Answers, Info

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Answers with their bootstrap. What adds up is computed once, for the point, the resamples and the jackknife."""

    answers: Answers
    key: tuple[object, ...]
    resamples: int

    @cached_property
    def _drawn(self) -> tuple[bootstrap.Drawn, bootstrap.Drawn, bootstrap.Drawn]:
        units = self.answers.units.count
        rng = bootstrap.generator("classification", *self.key)  # the name that earlier figures were drawn by
        point = np.ones((units, 1), dtype=np.float32)
        return point, bootstrap.draw(units, self.resamples, rng), bootstrap.leave_out(units)

    @cached_property
    def additive(self) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
        """Every additive metric: at the point, of the resamples, of the jackknife."""
        point, drawn, left_out = self._drawn
        return self.answers.additive(point), self.answers.additive(drawn), self.answers.additive(left_out)

    @cached_property
    def average_precision(self) -> tuple[Floats, Floats, Floats]:
        """By class, ``[B, K]`` each: at the point, of the resamples, of the jackknife."""
        point, drawn, left_out = (self.answers.average_precision(weights) for weights in self._drawn)
        return point, drawn, left_out

    def metric(self, name: str) -> Metric:
        """A metric of :data:`METRICS` with its interval."""
        answers, info = self.answers, METRICS[name]
        if name == "auc":
            return of_area(answers.area, answers.units.grouped, info)
        if name == "average_precision":
            point, drawn, left_out = (each.mean(1) for each in self.average_precision)
            return self.bootstrapped(float(point[0]), drawn, left_out, info)
        if name in ("accuracy", "top_k") and not answers.units.grouped:
            right = answers.correct if name == "accuracy" else answers.in_top_k
            return proportion(int(right.sum()), len(right), info.label)
        point, drawn, left_out = (each[name] for each in self.additive)
        return self.bootstrapped(float(point[0]), drawn, left_out, info)

    def of_class(self, name: str, k: int, label: str) -> Metric:
        """``precision``, ``recall``, ``specificity`` or ``f1`` of class ``k``; a proportion has Wilson's interval."""
        answers = self.answers
        if name != "f1" and not answers.units.grouped:
            truth, guess = answers.targets == k, answers.predicted == k
            side, right = {
                "precision": (guess, truth),
                "recall": (truth, guess),
                "specificity": (~truth, ~guess),
            }[name]
            return proportion(int((side & right).sum()), int(side.sum()), label)
        point, drawn, left_out = (each[f"class_{name}"][:, k] for each in self.additive)
        return self.bootstrapped(float(point[0]), drawn, left_out, Info(label))

    def average_precision_of(self, k: int, label: str) -> Metric:
        """Average precision of class ``k`` against the rest."""
        point, drawn, left_out = (each[:, k] for each in self.average_precision)
        return self.bootstrapped(float(point[0]), drawn, left_out, Info(label))

    def bootstrapped(self, value: float, drawn: Floats, left_out: Floats, info: Info) -> Metric:
        """A BCa interval within the metric's range and around its value.

        A figure that is the same in every resample (at 0 or 1, say) would get an interval without width; where it is a
        share, Wilson's on the number of units stands instead, scaled to the metric's range.
        """
        plain = Metric(value, label=info.label, share=info.share)
        if not math.isfinite(value):
            return replace(plain, value=None)
        units = self.answers.units
        usable = drawn[np.isfinite(drawn)]
        if not len(usable) or np.ptp(usable) < 1e-9:
            if not info.higher_is_better or info.least is None or info.most is None:
                return replace(plain, method="the same in every resample")
            span = info.most - info.least
            low, high = (
                info.least + span * end for end in wilson((value - info.least) / span * units.count, units.count)
            )
            method = f"Wilson on {units.count} {units.noun}"
            return replace(plain, low=min(low, value), high=max(high, value), method=method)
        found = bootstrap.bca(value, drawn, left_out)
        if found is None:
            return replace(plain, method="too few resamples hold every class")
        return replace(
            plain, low=min(found[0], value), high=max(found[1], value), method=f"BCa bootstrap of {units.noun}"
        )


def proportion(hits: int, count: int, label: str) -> Metric:
    """``hits`` of ``count`` with Wilson's interval; not defined for none."""
    if not count:
        return Metric(None, label=label)
    low, high = wilson(hits, count)
    return Metric(hits / count, low, high, "Wilson", label)


def of_area(area: delong.Area | None, grouped: bool, info: Info) -> Metric:
    """An AUC with DeLong's interval on the logit scale."""
    if area is None:
        return Metric(None, label=info.label)
    low, high = area.interval()
    method = "DeLong by groups, logit" if grouped else "DeLong, logit"
    if not area.spreads:
        method = f"Newcombe on {area.sizes[0]} and {area.sizes[1]} {'groups' if grouped else 'samples'}"
    return Metric(area.value, min(low, area.value), max(high, area.value), method, info.label)
