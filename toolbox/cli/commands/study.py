"""``toolbox study``: many runs from one file, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.api.errors import EXIT_FAILED
from toolbox.cli import completion, options
from toolbox.cli.command import Call, command

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.study.study import Study

app = typer.Typer(help="Many runs from one file, and their comparison.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Argument(
        metavar="NAME|FILE", help="A built-in study, or a study file (TOML).", autocompletion=completion.STUDY
    ),
]


@command(app, name="list")
def list_studies(call: Call) -> None:
    """List the built-in studies."""
    from toolbox.cli.views.study import studies_table
    from toolbox.study.builtin import builtin_studies
    from toolbox.study.file import read

    studies = {name: read(path) for name, path in builtin_studies().items()}
    call.terminal.show(*studies_table(studies))
    rows = [
        {"name": name, "title": file.title, "question": file.question, "path": str(file.path)}
        for name, file in studies.items()
    ]
    call.terminal.emit({"studies": rows})


@command(app)
def show(call: Call, file: File) -> None:
    """Print a study file."""
    from rich.text import Text

    from toolbox.files.atomic import translate_os_errors
    from toolbox.study.builtin import find_study

    path = find_study(file)
    with translate_os_errors("read", path):
        toml = path.read_text("utf-8")
    call.terminal.results.print(Text(toml), end="", soft_wrap=True)
    call.terminal.emit({"path": str(path), "toml": toml})


@command(app)
def new(
    call: Call,
    file: File,
    output: Annotated[
        Path | None, typer.Argument(metavar="[OUTPUT]", help="File to write; default: NAME.toml.")
    ] = None,
) -> None:
    """Copy a study file, to edit it."""
    from toolbox.api.errors import UsageError
    from toolbox.files.atomic import write_text
    from toolbox.study.builtin import find_study

    path = find_study(file)
    copy = output or Path(path.name)
    if copy.exists():
        raise UsageError(f"{copy} already exists", "Give another file name: toolbox study new NAME FILE.")
    write_text(copy, path.read_text("utf-8"))
    call.terminal.show(f"Wrote {copy}. Edit it, then run: toolbox study plan {copy}")
    call.terminal.emit({"path": str(copy)})


@command(app, *options.DATASET)
def plan(call: Call, file: File) -> None:
    """Show every run, with time and disk space from a short probe; run none."""
    from toolbox.cli.views.study import plan_table

    study = call.open_study(file)
    estimate = study.estimate()
    call.terminal.show(*plan_table(study, estimate))
    document = study.plan.document()
    for run in document["runs"]:
        run["seconds"] = round(estimate.costs[run["key"]].seconds, 1)
    call.terminal.emit({**document, "seconds": round(estimate.seconds, 1), "bytes": estimate.bytes})


@command(app, *options.DATASET)
def run(
    call: Call,
    file: File,
    jobs: Annotated[int, typer.Option(min=1, help="Number of splits to work on at the same time.")] = 1,
) -> None:
    """Run what is not finished yet, compare the arms, and write the report. Run it again to continue a study."""
    from toolbox.cli.views.study import outcome_line

    study, terminal = call.open_study(file), call.terminal
    finished = len(study.finished())
    if finished:
        terminal.reporter().info(f"{finished} of {len(study.plan.runs)} runs are already finished")
    failed = 0
    for outcome in study.run(jobs):
        failed += outcome.entry.status == "failed"
        terminal.messages.print(outcome_line(outcome))
    _report(study, terminal, None)
    if failed:
        raise typer.Exit(EXIT_FAILED)


@command(app, *options.DATASET)
def status(
    call: Call,
    file: File,
    watch: Annotated[bool, typer.Option("--watch", help="Update the table until every run has ended.")] = False,
) -> None:
    """Show the status of each run."""
    from toolbox.cli.views.study import status_table, watch_status

    study, terminal = call.open_study(file), call.terminal
    if watch:
        watch_status(study, terminal.results)
    else:
        terminal.show(*status_table(study.plan, study.status()))
    entries = study.status()
    states = {run.key: entries[run.key].status if run.key in entries else "waiting" for run in study.plan.runs}
    runs = [{"key": run.key, "name": run.name, "status": states[run.key]} for run in study.plan.runs]
    terminal.emit({"name": study.file.name, "runs": runs})


@command(app, *options.DATASET, options.FORCE)
def report(
    call: Call,
    file: File,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = None,
) -> None:
    """Compare the arms by the finished runs, and write the study's page."""
    _report(call.open_study(file), call.terminal, output, call.force)


def _report(study: Study, terminal: Terminal, output: Path | None, force: bool = False) -> None:
    from toolbox.cli.views.study import results_tables

    results = study.results()
    path = study.report(output, overwrite=force)
    terminal.show(*results_tables(study.file, results), f"Report: {path}")
    terminal.emit({"name": study.file.name, **results.document(), "report": str(path)})
