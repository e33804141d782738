"""From a run's predictions to its ``evaluation.json``, through the evaluators that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolbox import runs
from toolbox.data.manifest import Row
from toolbox.errors import UsageError
from toolbox.files import atomic
from toolbox.plugin.protocols import Evaluation, Evidence, Figure, Metric, Series, Table
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.runs import Run
from toolbox.settings.schema import ComponentSpec


@dataclass(frozen=True)
class Predictions:
    """What ``predictions.csv`` holds. ``probabilities``: float64 ``[N, K]`` for ``classes``."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]

    def part(self, split: str) -> Predictions:
        """Those of ``split``."""
        chosen = [index for index, name in enumerate(self.splits) if name == split]
        return Predictions(
            ids=tuple(self.ids[index] for index in chosen),
            labels=tuple(self.labels[index] for index in chosen),
            groups=tuple(self.groups[index] for index in chosen),
            splits=(split,) * len(chosen),
            classes=self.classes,
            probabilities=self.probabilities[chosen],
        )


def read(path: Path) -> Predictions:
    """The predictions in ``path``.

    Raises
    ------
    UsageError: it isn't such a file.
    """
    lines = list(runs.read_predictions(path))
    if not lines:
        raise UsageError(f"{path} holds no predictions")
    columns = [name for name in lines[0] if name.startswith("p:")]
    try:
        return Predictions(
            ids=tuple(line["id"] for line in lines),
            labels=tuple(line["label"] for line in lines),
            groups=tuple(line["group"] for line in lines),
            splits=tuple(line["split"] for line in lines),
            classes=tuple(name.removeprefix("p:") for name in columns),
            probabilities=np.array([[float(line[name]) for name in columns] for line in lines]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no file of predictions: {error}") from error


def of_rows(rows: Sequence[Row], classes: Sequence[str], probabilities: npt.NDArray[np.float64]) -> Predictions:
    """Predictions for samples that are at hand."""
    return Predictions(
        ids=tuple(row.id for row in rows),
        labels=tuple(row.label for row in rows),
        groups=tuple(row.group for row in rows),
        splits=tuple(row.split for row in rows),
        classes=tuple(classes),
        probabilities=probabilities,
    )


def split_of(predictions: Predictions) -> str:
    """The split that stands for unseen data: test, else validation, else training."""
    return next(split for split in ("test", "val", "train") if split in predictions.splits)


def evaluate(
    run: Run,
    predictions: Predictions,
    evaluators: Sequence[ComponentSpec],
    registry: Registry,
    split: str,
    held_out: bool,
    external: str = "",
) -> dict[str, Any]:
    """What the evaluators say of ``predictions``, as ``evaluation.json`` holds it.

    Raises
    ------
    UsageError: a label that the run knows no class for, or a metric that two evaluators claim.
    """
    number = {name: index for index, name in enumerate(predictions.classes)}
    strangers = sorted(set(predictions.labels) - set(number))
    if strangers:
        raise UsageError(
            f"the run {run.id} knows no class {strangers[0]!r}", f"Its classes: {', '.join(predictions.classes)}."
        )
    evidence = Evidence(
        ids=predictions.ids,
        targets=np.array([number[label] for label in predictions.labels], dtype=np.int64),
        probabilities=predictions.probabilities,
        classes=predictions.classes,
        split=split,
        groups=predictions.groups,
        seed=int(run.record["seed"]),
    )
    record = run.record
    document: dict[str, Any] = {
        "run": run.id,
        "path": f"{runs.FOLDER}/{run.id}",
        "model": record["model"],
        "split": split,
        "held_out": held_out,
        "external": external,
        "n": len(predictions.ids),
        "metrics": {},
        "classes": list(predictions.classes),
        "leaky": record["leaky"],
        "weights": record["weights"],
        "untrained": record.get("untrained", False),
        "train_on": record["train_on"],
        "note": record["data"]["note"],
        "tables": [],
        "figures": [],
        "evaluators": [],
    }
    for given in evaluators:
        spec = parse(given)
        _take_in(document, str(spec), registry.evaluator(spec).evaluate(evidence))
    return document


def save(run: Run, document: Mapping[str, Any], name: str = runs.EVALUATION) -> None:
    """Write the evaluation into the run's folder."""
    atomic.write_json(run.path / name, dict(document))
    run.__dict__.pop("evaluation", None)


def restored(document: Mapping[str, Any]) -> Evaluation:
    """The evaluation that ``evaluation.json`` holds, as the classes it was written from.

    Raises
    ------
    UsageError: it lacks something.
    """
    try:
        return Evaluation(
            metrics={name: Metric(**value) for name, value in document["metrics"].items()},
            tables=[Table(**table) for table in document["tables"]],
            figures=[
                Figure(**{**figure, "series": [Series(**series) for series in figure["series"]]})
                for figure in document["figures"]
            ],
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"the evaluation of {document.get('run', '?')} is incomplete: {error}") from error


def _take_in(document: dict[str, Any], spec: str, evaluation: Evaluation) -> None:
    for name, metric in evaluation.metrics.items():
        if name in document["metrics"]:
            raise UsageError(f"two evaluators give the metric {name!r}", f"Leave one out; the second is {spec}.")
        document["metrics"][name] = asdict(metric)
    document["tables"] += [asdict(table) for table in evaluation.tables]
    document["figures"] += [asdict(figure) for figure in evaluation.figures]
    document["evaluators"].append(spec)
    document.update({key: value for key, value in evaluation.extra.items() if key not in document})
