"""The evaluator ``sketch``."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Metric, Table


class SketchEvaluator(Evaluator):
    """How often the true class is among the likeliest few, in all and by class."""

    perfect: ClassVar = {"sketch_hits": 1.0}
    """What the metrics are where every prediction is right; the toolbox's kit checks that."""

    def __init__(self, *, k: Annotated[int, Field(ge=1, description="how many of the likeliest count")] = 1) -> None:
        self.k = k

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """The share of hits, with Wilson's interval, and a table by class."""
        if len(evidence.targets) == 0:
            raise UsageError("there are no predictions to evaluate")
        targets = np.asarray(evidence.targets)
        true = evidence.probabilities[np.arange(len(targets)), targets]
        hits = (evidence.probabilities > true[:, None]).sum(axis=1) < self.k
        rows: list[list[str | float | None]] = []
        for number, name in enumerate(evidence.classes):
            of_class = hits[targets == number]
            # A class without samples has no share, which is not the same as a share of 0.
            rows.append([name, len(of_class), float(of_class.mean()) if len(of_class) else None])
        label = f"true class among the likeliest {self.k}"
        return Evaluation(
            metrics={"sketch_hits": _share(int(hits.sum()), len(hits), label)},
            tables=[Table("sketch_hits", label.capitalize(), ["class", "images", "share"], rows)],
        )


def _share(hits: int, count: int, label: str, z: float = 1.959964) -> Metric:
    """``hits`` of ``count`` with Wilson's 95 % interval."""
    share = hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    low, high = max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))
    return Metric(share, low, high, method="wilson", label=label)
