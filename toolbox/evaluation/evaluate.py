"""From a run's predictions to its ``evaluation.json``, through the evaluators that the settings name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Metric
from toolbox.evaluation.evidence import EvidenceSource
from toolbox.evaluation.galleries import delete_stale, write_gallery
from toolbox.plugin import guard
from toolbox.plugin.spec import Spec, parse
from toolbox.runs.evaluation import EvaluationRecord, GalleryRecord, LeakageRecord, SubsetRecord
from toolbox.runs.folder import EVALUATION, FOLDER, Run
from toolbox.runs.predictions import Predictions

_NO_RUN: dict[str, Any] = {
    **dict.fromkeys(("run", "model", "split", "weights", "train_on", "note"), ""),
    "held_out": True,
    "n": 0,
    "classes": [],
    "leaky": False,
}
"""What a record must say of a run, to check the rest of it."""


def evaluate(
    source: EvidenceSource,
    predictions: Predictions,
    split: str,
    *,
    validation: Predictions | None = None,
    external: str = "",
    tag: str = "",
) -> EvaluationRecord:
    """Have the evaluators judge ``predictions``; galleries are written to the run's figures.

    ``validation``: predictions on the validation split, which a threshold may be chosen on. ``external``: the dataset,
    if it is not the run's own. ``tag`` keeps the galleries of several evaluations apart.

    Raises
    ------
    UsageError: a label that the run does not know, or a metric or gallery that two evaluators give.
    EnvironmentFailure: an evaluator needs images that are not available.
    """
    run, registry = source.run, source.registry
    evidence = source.evidence(predictions, split, validation)
    specs = [parse(spec) for spec in source.settings.evaluators]
    # All are looked up before the first one works for minutes.
    evaluators = [(spec, registry.evaluator(spec)) for spec in specs]
    results = [(spec, _run_evaluator(spec, evaluator, evidence, source)) for spec, evaluator in evaluators]
    record = run.record
    values: dict[str, Any] = {
        "run": run.id,
        "path": f"{FOLDER}/{run.id}",
        "model": record.model,
        "split": split,
        "held_out": split == "test",
        "external": external,
        "n": len(predictions.ids),
        "metrics": _merged_metrics(results),
        "classes": list(predictions.classes),
        "leaky": record.leaky,
        "weights": record.weights,
        "untrained": record.untrained,
        "train_on": record.train_on,
        "note": record.data.note,
        "notes": list(dict.fromkeys(note for _, result in results for note in result.notes)),
        "tables": [table for _, result in results for table in result.tables],
        "figures": [figure for _, result in results for figure in result.figures],
        "galleries": _write_galleries(run, results, tag),
        "evaluators": [str(spec) for spec in specs],
        "leakage": _evaluate_leakage(source, evaluators, predictions, split, validation),
    }
    for _, result in results:
        values.update({key: value for key, value in result.extra.items() if key not in values})
    # Not strict: an evaluator may give a tuple where the file has a list.
    return EvaluationRecord.model_validate(values, strict=False)


def save(run: Run, evaluation: EvaluationRecord, tag: str = "") -> None:
    """Write the evaluation, and delete the pictures of the one that it replaces."""
    try:
        before = EvaluationRecord.read(run.path / (f"evaluation-{tag}.json" if tag else EVALUATION))
    except UsageError:  # there was none, or it was damaged
        before = None
    run.save_evaluation(evaluation, tag)
    if before is not None:
        delete_stale(run, before, evaluation)


def _evaluate_leakage(
    source: EvidenceSource,
    evaluators: Sequence[tuple[Spec, Evaluator]],
    predictions: Predictions,
    split: str,
    validation: Predictions | None,
) -> LeakageRecord | None:
    """The metrics apart on leaked and on clean images; ``None`` where no image leaked, or that is unknown."""
    leaks = predictions.leaks
    if leaks is None or not any(leaks):
        return None
    quick = [(spec, each) for spec, each in evaluators if not (each.needs_images or each.needs_model)]

    def evaluate_subset(leaked: bool) -> SubsetRecord:
        part = predictions.subset([index for index, kind in enumerate(leaks) if bool(kind) == leaked])
        if not part.ids:
            return SubsetRecord(n=0)
        evidence = source.evidence(part, split, validation)
        results = [(spec, _run_evaluator(spec, evaluator, evidence, source)) for spec, evaluator in quick]
        return SubsetRecord(n=len(part.ids), metrics=_merged_metrics(results))

    kinds = Counter(kind for kind in leaks if kind)
    return LeakageRecord(kinds=dict(kinds), leaked=evaluate_subset(True), clean=evaluate_subset(False))


def run_evaluator(evaluator: Evaluator, evidence: Evidence) -> Evaluation:
    """The result of ``evaluator``, checked.

    Raises
    ------
    ComponentError: it fails, or returns something that can't be written to ``evaluation.json``.
    """
    with guard.isolate(evaluator, evidence.reporter), guard.guard(evaluator):
        result = evaluator.evaluate(evidence)
    if not isinstance(result, Evaluation):
        guard.refuse(evaluator, guard.a_type(result), "an Evaluation")
    if problem := find_invalid(result):
        guard.refuse(evaluator, f"an invalid value ({problem})", "what evaluation.json can hold")
    return result


def find_invalid(evaluation: Evaluation) -> str:
    """What can't be written to ``evaluation.json``: where, and why; empty if all can."""
    results = {name: getattr(evaluation, name) for name in ("metrics", "tables", "figures", "notes")}
    try:
        record = EvaluationRecord.model_validate({**evaluation.extra, **_NO_RUN, **results}, strict=False)
        json.dumps(record.document(), allow_nan=False)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _run_evaluator(spec: Spec, evaluator: Evaluator, evidence: Evidence, source: EvidenceSource) -> Evaluation:
    """The result of ``evaluator`` on the parts of ``evidence`` that it asks for."""

    def limited(part: Evidence) -> Evidence:
        images = part.images if evaluator.needs_images else None
        model = part.model if evaluator.needs_model else None
        validation = limited(part.validation) if part.validation else None
        return replace(part, images=images, model=model, validation=validation)

    result = run_evaluator(evaluator, limited(evidence))
    left_out = source.describe_left_out(spec.name) if evaluator.needs_images else ""
    return replace(result, notes=[*result.notes, left_out]) if left_out else result


def _merged_metrics(results: Sequence[tuple[Spec, Evaluation]]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for spec, result in results:
        for name, metric in result.metrics.items():
            if name in metrics:
                raise UsageError(f"two evaluators give the metric {name!r}", f"Leave one out; the second is {spec}.")
            metrics[name] = metric
    return metrics


def _write_galleries(run: Run, results: Sequence[tuple[Spec, Evaluation]], tag: str) -> list[GalleryRecord]:
    records: list[GalleryRecord] = []
    for spec, result in results:
        for gallery in result.galleries:
            if any(gallery.name == other.name for other in records):
                raise UsageError(
                    f"two evaluators give the gallery {gallery.name!r}", f"Leave one out; the second is {spec}."
                )
            records.append(write_gallery(run, gallery, "-".join(filter(None, [gallery.name, tag]))))
    return records
