"""From a run's predictions to its ``evaluation.json``, through the evaluators that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from toolbox import runs
from toolbox.errors import UsageError
from toolbox.evaluation.predictions import Predictions
from toolbox.files import atomic
from toolbox.plugin.protocols import Evaluation, Evidence, Figure, Metric, Series, Table
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.runs import Run
from toolbox.settings.schema import ComponentSpec


def evaluate(
    run: Run,
    predictions: Predictions,
    evaluators: Sequence[ComponentSpec],
    registry: Registry,
    split: str,
    held_out: bool,
    external: str = "",
    validation: Predictions | None = None,
) -> dict[str, Any]:
    """What the evaluators say of ``predictions``, as ``evaluation.json`` holds it.

    ``validation``: the run's predictions on its validation split, which a threshold may be chosen on.

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

    def evidence_of(part: Predictions, split: str, validation: Evidence | None = None) -> Evidence:
        return Evidence(
            ids=part.ids,
            targets=np.array([number[label] for label in part.labels], dtype=np.int64),
            probabilities=part.probabilities,
            classes=part.classes,
            split=split,
            groups=part.groups,
            seed=int(run.record["seed"]),
            validation=validation,
        )

    chosen_on = evidence_of(validation, "val") if validation is not None and validation.ids else None
    evidence = evidence_of(predictions, split, chosen_on)
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
