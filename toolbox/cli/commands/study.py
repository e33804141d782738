"""``toolbox study``: a table of runs from a file, run overnight, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolbox.api.errors import EXIT_FAILED
from toolbox.cli import completion, options

if TYPE_CHECKING:
    from toolbox.cli.terminal import Terminal
    from toolbox.study.study import Study

study = typer.Typer(help="Many runs from one file, and their comparison.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Argument(
        metavar="NAME|FILE", help="A built-in study, or a study file (TOML).", autocompletion=completion.STUDY
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(study, name="study", rich_help_panel="Experiment")


@study.command("list")
def list_studies(as_json: options.AsJson = False) -> None:
    """List the built-in studies."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.study.builtin import builtin_studies
    from toolbox.study.file import read

    terminal = Terminal(as_json)
    studies = {name: read(path) for name, path in builtin_studies().items()}
    table = Table("name", "title", "arms", "seeds", box=None, pad_edge=False, header_style="dim")
    for name, file in studies.items():
        table.add_row(Text(name, "bold"), Text(file.title), str(len(file.arms)), str(len(file.seeds)))
    terminal.show(table, Text("Run 'toolbox study show NAME' to read one, 'toolbox study new NAME' to edit it.", "dim"))
    rows = [
        {"name": name, "title": file.title, "question": file.question, "path": str(file.path)}
        for name, file in studies.items()
    ]
    terminal.emit({"studies": rows})


@study.command()
def show(file: File, as_json: options.AsJson = False) -> None:
    """Print a study file."""
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.files.atomic import translate_os_errors
    from toolbox.study.builtin import find_study

    terminal = Terminal(as_json)
    path = find_study(file)
    with translate_os_errors("read", path):
        toml = path.read_text("utf-8")
    terminal.results.print(Text(toml), end="", soft_wrap=True)
    terminal.emit({"path": str(path), "toml": toml})


@study.command()
def new(
    file: File,
    output: Annotated[Path | None, typer.Argument(metavar="[OUTPUT]", help="Where to write it: NAME.toml.")] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Copy a study file, to edit it."""
    from toolbox.api.errors import UsageError
    from toolbox.cli.terminal import Terminal
    from toolbox.files.atomic import write_text
    from toolbox.study.builtin import find_study

    terminal = Terminal(as_json, quiet)
    path = find_study(file)
    copy = output or Path(path.name)
    if copy.exists():
        raise UsageError(f"{copy} exists already", "Give another file name: toolbox study new NAME FILE.")
    write_text(copy, path.read_text("utf-8"))
    terminal.show(f"Wrote {copy}. Edit it, then run: toolbox study plan {copy}")
    terminal.emit({"path": str(copy)})


@study.command()
def plan(
    file: File,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Print every run, with time and disk from a short probe; run none."""
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import duration
    from toolbox.cli.views.study import plan_table

    terminal = Terminal(as_json, quiet)
    opened = _open(file, workspace, terminal, data, sets)
    estimate = opened.estimate()
    terminal.show(*plan_table(opened.plan, estimate, opened.status()))
    done = sum(estimate.costs[key].seconds for key in opened.finished())
    if done:
        terminal.show(f"Finished already: about {duration(done)} of it.")
    document = opened.plan.document()
    for run in document["runs"]:
        run["seconds"] = round(estimate.costs[run["key"]].seconds, 1)
    terminal.emit({**document, "seconds": round(estimate.seconds, 1), "bytes": estimate.bytes})


@study.command()
def run(
    file: File,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Splits that are worked on at the same time.")] = 1,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Run what is not finished yet, compare the arms, and write the report. A killed study goes on where it was."""
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import duration

    terminal = Terminal(as_json, quiet)
    opened = _open(file, workspace, terminal, data, sets)
    there = len(opened.finished())
    if there:
        terminal.reporter().info(f"{there} of {len(opened.plan.runs)} runs are finished already")
    failed = 0
    for outcome in opened.run(jobs):
        failed += outcome.entry.status == "failed"
        words = outcome.entry.error if outcome.entry.status == "failed" else duration(outcome.entry.seconds)
        style = "yellow" if outcome.entry.status == "failed" else "dim"
        terminal.messages.print(Text(f"{outcome.planned.name}: {outcome.entry.status}, {words}", style))
    _conclude(opened, terminal, None)
    if failed:
        raise typer.Exit(EXIT_FAILED)


@study.command()
def status(
    file: File,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking until every run has ended.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Show what has become of each run."""
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.study import status_table, watched

    terminal = Terminal(as_json, quiet)
    opened = _open(file, workspace, terminal, data, sets)
    if watch:
        watched(opened, terminal.results)
    else:
        terminal.show(*status_table(opened.plan, opened.status()))
    entries = opened.status()
    states = {run.key: entries[run.key].status if run.key in entries else "waiting" for run in opened.plan.runs}
    listed = [{"key": run.key, "name": run.name, "status": states[run.key]} for run in opened.plan.runs]
    terminal.emit({"name": opened.file.name, "runs": listed})


@study.command()
def report(
    file: File,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = None,
    force: options.Force = False,
    data: options.Data = None,
    workspace: options.WorkspaceDir = Path(),
    sets: options.Sets = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare the arms by what is finished, and write the study's page."""
    from toolbox.cli.terminal import Terminal

    terminal = Terminal(as_json, quiet)
    _conclude(_open(file, workspace, terminal, data, sets), terminal, output, force)


def _conclude(opened: Study, terminal: Terminal, output: Path | None, force: bool = False) -> None:
    from toolbox.cli.views.study import results_tables

    results = opened.results()
    path = opened.report(output, overwrite=force)
    terminal.show(*results_tables(opened.file, results), f"Report: {path}")
    terminal.emit({"name": opened.file.name, **results.document(), "report": str(path)})


def _open(file: Path, workspace: Path, terminal: Terminal, data: str | None, sets: list[str] | None) -> Study:
    import shlex
    import sys

    from toolbox.cli.faults import mention_faults
    from toolbox.settings.layers import from_assignments
    from toolbox.study.study import Study

    opened = Study(
        file,
        workspace=workspace,
        data=data,
        settings=from_assignments(sets or []).values,
        reporter=terminal.reporter(),
        command=shlex.join(["toolbox", *sys.argv[1:]]),
    )
    mention_faults(opened.registry, terminal.reporter().warn)
    return opened
