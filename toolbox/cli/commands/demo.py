"""``toolbox demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli import options


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(rich_help_panel="Begin")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to work; made if need be.")] = Path(
        "toolbox-demo"
    ),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Go the whole way on the embedded dataset, with no network: augment, train, fine-tune, report."""
    import time

    from rich.markup import escape

    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import duration, run_result, runs_table
    from toolbox.demo import steps
    from toolbox.workspace import REPORT

    terminal = Terminal(as_json, quiet)
    start = time.perf_counter()
    trained = []
    for step in steps(folder, terminal.reporter()):
        terminal.show(f"\n[bold cyan]$ {escape(step.command)}[/]  [dim]# {escape(step.purpose)}[/]")
        run = step.run()
        if run is not None:
            trained.append(run)
            terminal.show(*run_result(run, terminal.results.width))
    seconds = time.perf_counter() - start
    terminal.show(
        "",
        *runs_table(trained),
        f"\nDone in {duration(seconds)}. Open [bold]{escape(str(folder / REPORT))}[/] in a browser;"
        " the same commands work in a folder of your own after [bold]toolbox init PATH[/].",
    )
    terminal.emit(
        {
            "path": str(folder),
            "report": str(folder / REPORT),
            "seconds": round(seconds, 1),
            "runs": [run.evaluation.document() for run in trained],
        }
    )
