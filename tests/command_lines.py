"""Command lines in the documentation, and a parser that reads them without running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer

from toolbox.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path for path in (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "plugins/README.md")) if path.is_file()
) + sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])

_BLOCK = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(toolbox [a-z-][^`]*)`")


def command_lines(text: str) -> Iterator[str]:
    """Every ``toolbox …`` line in the code blocks of a Markdown page, and what torchrun starts."""
    for language, block in _BLOCK.findall(text):
        for line in [] if language else block.splitlines():
            before, found, command = line.strip().partition("toolbox ")
            if found and (not before or before.startswith("torchrun ") or before.endswith("&& ")):
                yield f"toolbox {command}"


def mentions(text: str) -> Iterator[str]:
    """Every ``toolbox …`` between backticks on a Markdown page; a command alone stands there without its arguments."""
    for command in _INLINE.findall(text):
        yield " ".join(command.split())


def parse_command_line(words: list[str], *, complete: bool = True) -> None:
    """Have Typer read a command line without running it; it raises on what it doesn't understand.

    Without ``complete`` a command may lack all its arguments.
    """
    command = typer.main.get_command(app)
    # These act at once; their names are all there is to check.
    immediate = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    words = [word for word in words if word not in immediate]
    context = None
    while words and hasattr(command, "resolve_command"):
        context = command.make_context("toolbox", words, parent=context)
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    if words or (complete and context is not None and not hasattr(command, "resolve_command")):
        command.make_context("toolbox", words, parent=context)


def split_words(line: str) -> list[str]:
    """The words of a command line after ``toolbox``."""
    return shlex.split(line, comments=True)[1:]
