"""A report as plain data, for other programs. No picture is in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from toolbox.files.names import printable
from toolbox.report.inputs import DataView, ReportInputs, RunView
from toolbox.report.summary import summarize
from toolbox.runs.evaluation import EvaluationRecord


def document(inputs: ReportInputs) -> dict[str, Any]:
    """What ``report.json`` holds. Values that are not defined are ``null``."""
    content: dict[str, Any] = _to_json(
        {
            "title": inputs.title,
            "workspace": inputs.workspace,
            "summary": asdict(summarize(inputs)),
            "runs": [_run(run) for run in inputs.runs],
            "comparisons": [each.document() for each in inputs.comparisons],
            "refused": inputs.not_comparable,
            "data": _data(inputs.data) if inputs.data else None,
            "steps": [{"command": step.command, "makes": step.purpose} for step in inputs.steps],
            "versions": dict(inputs.versions),
            "notes": inputs.notes,
        }
    )
    return content


def _run(run: RunView) -> dict[str, Any]:
    evaluation = run.evaluation
    return {
        "id": run.id,
        "model": run.record.model,
        "command": run.record.command,
        "split": evaluation.split,
        "n": evaluation.n,
        "held_out": evaluation.held_out,
        "leaky": run.record.leaky,
        "metrics": _metrics(evaluation),
        "tables": [asdict(table) for table in evaluation.tables],
        "figures": [asdict(figure) for figure in evaluation.figures],
        "history": [asdict(epoch) for epoch in run.history],
        "facts": dict(run.facts),
        "warnings": run.warnings,
        "external": [
            {
                "data": each.external,
                "n": each.n,
                "leaky": each.leaky,
                "trained_on": each.trained_on or 0,
                "metrics": _metrics(each),
            }
            for each in run.external
        ],
    }


def _metrics(evaluation: EvaluationRecord) -> dict[str, Any]:
    return {key: asdict(metric) for key, metric in evaluation.metrics.items()}


def _data(data: DataView) -> dict[str, Any]:
    return {
        "data": data.description,
        "note": data.note,
        "counts": data.counts_before,
        "training_files": data.counts_after,
        "fingerprint": data.fingerprint,
        "split": dict(data.split_facts),
        "licence": data.license,
        "audit": asdict(data.audit) if data.audit else None,
        "quarantined": [{"path": path, "reason": reason} for path, reason in data.quarantined],
    }


def _to_json(value: Any) -> Any:
    """``value`` as JSON can hold it: what is not finite becomes ``null``, what UTF-8 can't hold is replaced."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {printable(str(key)): _to_json(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_to_json(each) for each in value]
    return value
