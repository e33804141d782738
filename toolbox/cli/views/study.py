"""Studies as tables in the terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from toolbox.cli.views.tables import duration, gigabytes, table
from toolbox.report.wording import number

if TYPE_CHECKING:
    from toolbox.study.estimate import StudyEstimate
    from toolbox.study.file import StudyFile
    from toolbox.study.ledger import Entry
    from toolbox.study.plan import Plan, PlannedRun
    from toolbox.study.results import Results
    from toolbox.study.runner import Outcome
    from toolbox.study.study import Study

_STYLES = {"finished": "green", "failed": "red", "started": "yellow", "missing": "yellow", "waiting": "dim"}


def studies_table(studies: Mapping[str, StudyFile]) -> list[RenderableType]:
    """The built-in studies."""
    rows = table("name", "title", "arms", "seeds")
    for name, file in studies.items():
        rows.add_row(Text(name, "bold"), Text(file.title), str(len(file.arms)), str(len(file.seeds)))
    return [rows, Text("'toolbox study show NAME' prints one, 'toolbox study new NAME' copies it for editing.", "dim")]


def plan_table(study: Study, estimate: StudyEstimate) -> list[RenderableType]:
    """Every arm with its runs (seeds, folds) and their time, and the whole study's."""
    plan, entries = study.plan, study.status()
    cells: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        cells.setdefault(run.cell_name, []).append(run)
    rows = table("arm", "training", "runs", "each", "", right=(2, 3))
    for name, members in cells.items():
        first = members[0]
        unfreeze = first.settings.get("last.unfreeze", "none")
        how = f"{first.method} {first.model}" + (f", unfreeze {unfreeze}" if unfreeze != "none" else "")
        states = Counter(entries[run.key].status for run in members if run.key in entries)
        state = ", ".join(f"{count} {state}" for state, count in states.items())
        each = "?" if first.key in estimate.problems else duration(estimate.costs[first.key].seconds)
        rows.add_row(Text(name), Text(how), str(len(members)), each, Text(state, "dim"))
    whole = f"{len(plan.runs)} runs, about {duration(estimate.seconds)} in all, {gigabytes(estimate.bytes)} of disk"
    failing = [
        Text(f"{name}: {estimate.problems[members[0].key]}; it will fail", "yellow")
        for name, members in cells.items()
        if members[0].key in estimate.problems
    ]
    finished = sum(estimate.costs[key].seconds for key in study.finished())
    return [
        Text(plan.study.title, "bold"),
        rows,
        *failing,
        Text(f"{whole} (less where trainings stop early)."),
        *([f"Finished already: about {duration(finished)} of it."] if finished else []),
    ]


def outcome_line(outcome: Outcome) -> RenderableType:
    """How a run of the study ended."""
    entry, failed = outcome.entry, outcome.entry.status == "failed"
    result = entry.error if failed else duration(entry.seconds)
    return Text(f"{outcome.planned.name}: {entry.status}, {result}", "yellow" if failed else "dim")


def status_table(plan: Plan, entries: Mapping[str, Entry]) -> list[RenderableType]:
    """The state of each run."""
    rows = table("run", "state", "time", "")
    counts: dict[str, int] = {}
    for run in plan.runs:
        entry = entries.get(run.key)
        state = entry.status if entry else "waiting"
        counts[state] = counts.get(state, 0) + 1
        took = duration(entry.seconds) if entry and entry.seconds else ""
        remark = (entry.error or entry.run) if entry else ""
        rows.add_row(Text(run.name), Text(state, _STYLES.get(state, "")), took, Text(remark, "dim"))
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    return [Text(plan.study.title, "bold"), rows, Text(f"{len(plan.runs)} runs: {summary}.")]


def watch_status(study: Study, console: Console) -> None:
    """Print a table and update it until every run has ended."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            entries = study.status()
            live.update(Group(*status_table(study.plan, entries)), refresh=True)
            ended = [entries.get(run.key) for run in study.plan.runs]
            if all(entry is not None and entry.status in ("finished", "failed") for entry in ended):
                return
            time.sleep(2)


def results_tables(file: StudyFile, results: Results) -> list[RenderableType]:
    """Each arm over its seeds and folds, then what was leakage, and the comparisons in words."""
    rows = table("arm", "runs", results.label, "95 % interval", "SD of seeds", "")
    for cell in results.cells:
        interval = f"{number(cell.low)}–{number(cell.high)}" if cell.low is not None and cell.high is not None else ""
        remark = "leaky" if cell.leaky else ("" if cell.held_out else "not held out")
        if cell.failed:
            remark = ", ".join(filter(None, [remark, f"{cell.failed} failed"]))
        spread = number(cell.spread) if cell.spread is not None else ""
        rows.add_row(Text(cell.name), f"{cell.runs}", number(cell.value), interval, spread, Text(remark, "yellow"))
    things: list[RenderableType] = [Text(file.title, "bold"), rows]
    if results.leakage:
        things.append(Text("How much of the accuracy was leakage", "bold"))
        things += [Text(f"{comparison.title}: {comparison.words}") for comparison in results.leakage]
    if file.question and results.comparisons:
        things.append(Text(file.question, "bold"))
    things += [Text(f"{comparison.title}: {comparison.words}") for comparison in results.comparisons]
    return things
