"""Results on stdout, progress and messages on stderr; with ``--json``, one document on stdout."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from toolbox.api.errors import EXIT_FAILED, EXIT_QUARANTINED
from toolbox.api.progress import Task
from toolbox.api.quiet import stdout_on_stderr

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

    from toolbox.data.index import QuarantinedSample

_document_stream: TextIO | None = None


@contextlib.contextmanager
def one_document() -> Iterator[None]:
    """Keep stdout for :meth:`Terminal.emit` alone, as ``--json`` promises."""
    global _document_stream
    with stdout_on_stderr() as _document_stream:
        try:
            yield
        finally:
            _document_stream = None


def open_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console that shows control characters of what it prints (of file names, say) as U+FFFD."""
    from rich.console import Console
    from rich.segment import Segment

    from toolbox.files.names import printable

    class SafeConsole(Console):
        def render(self, *args: Any, **options: Any) -> Iterator[Segment]:
            for segment in super().render(*args, **options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    return SafeConsole(stderr=stderr, highlight=False, quiet=quiet)


class Terminal:
    """The two streams of one command.

    ``quiet`` leaves only errors; ``as_json`` sends everything for people to stderr.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.messages = open_console(stderr=True, quiet=quiet)
        self.results = open_console(stderr=as_json, quiet=quiet)

    def show(self, *things: RenderableType) -> None:
        """Print a command's result as text."""
        for thing in things:
            self.results.print(thing)

    def emit(self, document: Mapping[str, Any] | DataclassInstance, **more: Any) -> None:
        """With ``--json``, print a command's result: a mapping, or the fields of a dataclass, and ``more``."""
        if self.as_json:
            from toolbox.files.atomic import json_text

            values = document if isinstance(document, Mapping) else asdict(document)
            plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
            self.document_stream.write(json_text({**plain, **more}))
            self.document_stream.flush()

    @property
    def document_stream(self) -> TextIO:
        """stdout, which with ``--json`` holds the document alone."""
        return _document_stream or sys.stdout

    def reporter(self) -> RichReporter:
        """Where computing code sends its progress."""
        return RichReporter(self.messages)

    def end(self, quarantined: Sequence[QuarantinedSample] = (), where: str = "quarantine.csv") -> None:
        """End the command; with exit code 3 and a list if files were unreadable. ``where`` names the full list."""
        if not quarantined:
            return
        import typer
        from rich.markup import escape

        number = len(quarantined)
        files = f"{number} files" if number > 1 else "1 file"
        self.messages.print(f"[yellow]{files} could not be read, skipped:[/]")
        for item in quarantined[:10]:
            self.messages.print(f"  {escape(item.path)}: {escape(item.reason)}", soft_wrap=True)
        if number > 10:
            self.messages.print(f"  … and {number - 10} more in {escape(where)}")
        raise typer.Exit(EXIT_QUARANTINED)


class RichReporter:
    """Draws progress bars with rate and time left, which disappear when finished."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def task(self, description: str, total: int | None = None, unit: str = "") -> Task:
        """Begin a bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn(unit, style="dim", markup=False),
            _rate_column(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal or self._console.quiet,
        )
        progress.start()
        return _Bar(progress, progress.add_task(description, total=total))

    def info(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, style="dim", markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line that stands out."""
        self._console.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)

    def describe(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def close(self) -> None:
        self._progress.stop()


def _rate_column() -> Any:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Steps a second."""

        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s", style="dim")

    return Rate()


def failure(message: str, hint: str, code: int, as_json: bool) -> int:
    """Print a failure as one line, with a hint below it; return ``code``."""
    from rich.text import Text

    console = open_console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    if hint:
        console.print(Text(hint, style="dim"), soft_wrap=True)
    if as_json:
        from toolbox.files.atomic import json_text

        sys.stdout.write(json_text({"error": message, "hint": hint, "exit_code": code}))
    return code


def crash(error: Exception, as_json: bool) -> int:
    """Print an unexpected failure as one line, and where its traceback was saved."""
    return failure(
        f"internal error: {type(error).__name__}: {' '.join(str(error).split())}",
        _save_traceback(error),
        EXIT_FAILED,
        as_json,
    )


def debug(error: BaseException) -> None:
    """Print the traceback of ``error`` if ``TOOLBOX_DEBUG`` is set."""
    if os.environ.get("TOOLBOX_DEBUG"):
        sys.stderr.write("".join(traceback.format_exception(error)))


def _save_traceback(error: BaseException) -> str:
    from platformdirs import user_log_path

    try:
        path = user_log_path("toolbox", ensure_exists=True) / "last-error.txt"
        path.write_text("".join(traceback.format_exception(error)), "utf-8")
    except OSError:
        return "Set TOOLBOX_DEBUG=1 to see its traceback."
    return f"This is a bug in the toolbox or in a plugin; its traceback is in {path}."
