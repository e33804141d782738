"""From a run's predictions to its ``evaluation.json``, through the evaluators that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from toolbox.api.errors import PluginError, ToolboxError, UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Figure, Metric, Series, Table
from toolbox.evaluation import galleries
from toolbox.evaluation.evidence import Supply
from toolbox.files import atomic
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse
from toolbox.runs import folder as runs
from toolbox.runs.folder import Run
from toolbox.runs.predictions import Predictions
from toolbox.settings.schema import ComponentSpec


def evaluate(
    run: Run,
    predictions: Predictions,
    evaluators: Sequence[ComponentSpec],
    registry: Registry,
    supply: Supply,
    split: str,
    held_out: bool,
    external: str = "",
    validation: Predictions | None = None,
    tag: str = "",
) -> dict[str, Any]:
    """What the evaluators say of ``predictions``, as ``evaluation.json`` holds it.

    ``validation``: the run's predictions on its validation split, which a threshold may be chosen on. Pictures that
    evaluators give are written to the run's figures; ``tag`` keeps those of several evaluations apart.

    Raises
    ------
    UsageError: a label that the run knows no class for, or a metric that two evaluators claim.
    EnvironmentFailure: an evaluator needs images, and they can't be had.
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
            columns=supply.columns(part.ids),
            seed=int(run.record["seed"]),
            images=supply.images(part.ids),
            model=supply.model,
            validation=validation,
            reporter=supply.reporter,
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
        "notes": [],
        "tables": [],
        "figures": [],
        "galleries": [],
        "evaluators": [],
    }
    specs = [parse(given) for given in evaluators]
    # A misspelt one is told before another has worked for minutes.
    for spec, evaluator in [(spec, registry.evaluator(spec)) for spec in specs]:
        found = _said(spec, evaluator, evidence)
        left_out = supply.left_out(spec.name) if evaluator.needs_images else ""
        _take_in(run, document, spec, replace(found, notes=[*found.notes, *filter(None, [left_out])]), tag)
    return document


def save(run: Run, document: Mapping[str, Any], name: str = runs.EVALUATION) -> None:
    """Write the evaluation into the run's folder, and take away the pictures of the one that it replaces."""
    path = run.path / name
    before = runs.read_json(path) if path.is_file() else {}
    atomic.write_json(path, dict(document))
    galleries.tidy(run, before, document)
    run.__dict__.pop("evaluation", None)


def restored(document: Mapping[str, Any]) -> Evaluation:
    """The evaluation that ``evaluation.json`` holds, as the classes it was written from, without galleries.

    Their pictures are files: see :func:`toolbox.evaluation.galleries.read`.

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
            notes=list(document.get("notes", [])),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"the evaluation of {document.get('run', '?')} is incomplete: {error}") from error


def _said(spec: Spec, evaluator: Evaluator, evidence: Evidence) -> Evaluation:
    """What ``evaluator`` says, given what it asks for and no more."""

    def given(part: Evidence) -> Evidence:
        images = part.images if evaluator.needs_images else None
        model = part.model if evaluator.needs_model else None
        validation = given(part.validation) if part.validation else None
        return replace(part, images=images, model=model, validation=validation)

    try:
        return evaluator.evaluate(given(evidence))
    except (ToolboxError, MemoryError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise PluginError(f"the evaluator {spec} failed: {type(error).__name__}: {text}") from error


def _take_in(run: Run, document: dict[str, Any], spec: Spec, evaluation: Evaluation, tag: str) -> None:
    for name, metric in evaluation.metrics.items():
        if name in document["metrics"]:
            raise UsageError(f"two evaluators give the metric {name!r}", f"Leave one out; the second is {spec}.")
        document["metrics"][name] = asdict(metric)
    document["tables"] += [asdict(table) for table in evaluation.tables]
    document["figures"] += [asdict(figure) for figure in evaluation.figures]
    for gallery in evaluation.galleries:
        if any(gallery.name == other["name"] for other in document["galleries"]):
            raise UsageError(
                f"two evaluators give the gallery {gallery.name!r}", f"Leave one out; the second is {spec}."
            )
        folder = "-".join(filter(None, [gallery.name, tag]))
        document["galleries"].append(galleries.keep(run, gallery, folder))
    document["notes"] += [text for text in evaluation.notes if text not in document["notes"]]
    document["evaluators"].append(str(spec))
    document.update({key: value for key, value in evaluation.extra.items() if key not in document})
