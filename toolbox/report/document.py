"""A report as plain data, for other programs. No picture is in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from toolbox.report.inputs import DataView, ReportInputs, RunView
from toolbox.report.summary import summarize
from toolbox.report.wording import clean


def document(inputs: ReportInputs) -> dict[str, Any]:
    """What ``report.json`` holds. Values that are not defined are ``null``."""
    summary = summarize(inputs)
    found: dict[str, Any] = _plain(
        {
            "title": inputs.title,
            "workspace": inputs.workspace,
            "summary": {
                "finding": summary.finding,
                "limits": summary.limits,
                "caveats": [asdict(each) for each in summary.caveats],
            },
            "runs": [_run(run) for run in inputs.runs],
            "comparisons": [asdict(each) for each in inputs.comparisons],
            "refused": inputs.not_comparable,
            "data": _data(inputs.data) if inputs.data else None,
            "steps": [{"command": step.command, "makes": step.purpose} for step in inputs.steps],
            "versions": dict(inputs.versions),
            "notes": inputs.notes,
        }
    )
    return found


def _run(run: RunView) -> dict[str, Any]:
    evaluation = run.evaluation
    return {
        "id": run.id,
        "model": run.model,
        "command": run.command,
        "split": run.split,
        "n": run.n,
        "held_out": run.held_out,
        "leaky": run.leaky,
        "metrics": {key: asdict(metric) for key, metric in evaluation.metrics.items()} if evaluation else None,
        "tables": [asdict(table) for table in evaluation.tables] if evaluation else [],
        "figures": [asdict(figure) for figure in evaluation.figures] if evaluation else [],
        "history": [asdict(epoch) for epoch in run.history],
        "facts": dict(run.facts),
        "warnings": run.warnings,
        "external": [
            {
                "data": each.data,
                "n": each.n,
                "leaky": each.leaky,
                "trained_on": each.trained_on,
                "metrics": {key: asdict(metric) for key, metric in each.evaluation.metrics.items()},
            }
            for each in run.external
        ],
    }


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


def _plain(value: Any) -> Any:
    """``value`` as JSON can say it: what is not finite becomes ``null``, what UTF-8 can't hold is replaced."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_plain(each) for each in value]
    return value
