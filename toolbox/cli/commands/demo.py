"""``toolbox demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolbox.cli.command import Call, command

app = typer.Typer()


@command(app, panel="Begin")
def demo(
    call: Call,
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder to work in.")] = Path("toolbox-demo"),
) -> None:
    """Run a whole experiment on the embedded dataset, without network: augment, train, fine-tune, report."""
    import time

    from rich.markup import escape

    from toolbox.cli.views.runs import run_result, runs_table
    from toolbox.cli.views.tables import duration
    from toolbox.demo import steps
    from toolbox.workspace import REPORT

    terminal = call.terminal
    start = time.perf_counter()
    runs = []
    for step in steps(folder, terminal.reporter()):
        terminal.show(f"\n[bold cyan]$ {escape(step.command)}[/]  [dim]# {escape(step.purpose)}[/]")
        run = step.run()
        if run is not None:
            runs.append(run)
            terminal.show(*run_result(run, terminal.results.width))
    seconds = time.perf_counter() - start
    terminal.show(
        "",
        *runs_table(runs),
        f"\nFinished in {duration(seconds)}. Open [bold]{escape(str(folder / REPORT))}[/] in a browser; the same"
        " commands work in your own folder after [bold]toolbox init PATH[/].",
    )
    terminal.emit(
        {
            "path": str(folder),
            "report": str(folder / REPORT),
            "seconds": round(seconds, 1),
            "runs": [run.evaluation.document() for run in runs],
        }
    )
