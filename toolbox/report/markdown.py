"""A report as Markdown (CommonMark with GitHub's tables), for a wiki, a pull request or another program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import toolbox
from toolbox.files.names import printable
from toolbox.report import tables
from toolbox.report.inputs import AuditView, DataView, ReportInputs, RunView
from toolbox.report.summary import summarize
from toolbox.report.tables import Cell, TextTable
from toolbox.report.wording import counted, result_columns, run_name

if TYPE_CHECKING:
    from toolbox.evaluation.compare import ComparisonResult

# What could begin an element wherever it stands in a line.
_ACTIVE = re.compile(r"([\\`*_\[\]<>|&#~$])")


def render(inputs: ReportInputs) -> str:
    """The report's words and tables. Equal inputs give equal text."""
    summary, columns = summarize(inputs), result_columns(inputs.runs)
    blocks: list[str] = [f"# {text(inputs.title)}", text(f"{summary.finding} {summary.limits}")]
    blocks += [f"> **{text(each.title)}.** {text(each.text)}" for each in summary.caveats]
    if inputs.runs:
        blocks += ["## Results", table(tables.results(inputs.runs, columns))]
        blocks += chain.from_iterable(_comparison(each) for each in inputs.comparisons)
        blocks += [bullets(inputs.not_comparable)] if inputs.not_comparable else []
    for run in inputs.runs:
        blocks += _run(run, columns)
    blocks += _data(inputs.data) if inputs.data else []
    if inputs.steps or inputs.versions:
        blocks.append("## Repeat this report")
        blocks += chain.from_iterable((f"{text(step.purpose)}:", code(step.command)) for step in inputs.steps)
        blocks += [bullets([f"{name} {version}" for name, version in inputs.versions])] if inputs.versions else []
    blocks += ["## Notes", bullets(inputs.notes)] if inputs.notes else []
    blocks.append(f"Written by toolbox {toolbox.__version__}. Intervals are at the 95 % level.")
    return "\n\n".join(blocks) + "\n"


def text(words: str) -> str:
    """``words`` on one line, with nothing in them that Markdown or HTML would obey."""
    return _ACTIVE.sub(r"\\\1", " ".join(printable(words).split()))


def code(words: str) -> str:
    """A block of code, fenced by more backticks than it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{fence}\n{printable(words)}\n{fence}"


def bullets(lines: Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {text(line)}" for line in lines)


def table(content: TextTable) -> str:
    """A table under its title; a value's interval follows it in brackets."""
    heads = [text(column.text) or " " for column in content.columns]
    rules = ["---:" if column.numeric else "---" for column in content.columns]
    rows = [[_cell(cell) for cell in row] for row in content.rows]
    lines = [f"| {' | '.join(each)} |" for each in (heads, rules, *rows)]
    return f"{text(content.title)}:\n\n" + "\n".join(lines)


def _cell(cell: Cell) -> str:
    return text(f"{cell.text} ({cell.below})" if cell.below else cell.text)


def _comparison(comparison: ComparisonResult) -> Iterator[str]:
    yield from (
        table(content) for content in (tables.arms(comparison), tables.verdicts(comparison)) if content is not None
    )
    if comparison.notes:
        yield bullets(comparison.notes)


def _run(run: RunView, columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"## {text(run_name(run))}"
    yield from (f"> {text(warning)}" for warning in run.warnings)
    if run.history:
        yield text(f"Trained for {counted(len(run.history), 'epoch')}.")
    for figure in run.evaluation.figures:
        if figure.kind == "matrix" and len(figure.columns) <= 12:
            yield table(tables.matrix(figure))
    leakage = tables.leakage(run.evaluation)
    for content in (leakage, *tables.of_evaluation(run.evaluation.tables), tables.all_metrics(run)):
        if content is not None:
            yield table(content)
    external = tables.external(run, columns)
    if external is not None:
        yield table(external)
    yield bullets([f"{label}: {value}" for label, value in run.facts])


def _data(data: DataView) -> Iterator[str]:
    yield "## Data"
    yield text(data.description)
    if data.note:
        yield f"> {text(data.note)}"
    if data.license:
        yield text(f"License, from {data.license[0]}: {data.license[1]}")
    yield table(tables.class_counts(data))
    yield bullets([*(f"{label}: {value}" for label, value in data.split_facts), f"fingerprint: {data.fingerprint}"])
    yield from _audit(data.audit)
    if data.quarantined:
        yield table(tables.quarantined(data.quarantined))


def _audit(audit: AuditView | None) -> Iterator[str]:
    if audit is None or not audit.current:
        yield "Leaks: not audited since the data or split changed. Run `toolbox data audit`."
    elif audit.leaks:
        yield table(tables.leaks(audit))
    else:
        yield f"No leaks; {counted(audit.warnings, 'warning')}. {text(audit.compared)}"
