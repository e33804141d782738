"""Shell completion: components, their parameters, settings and runs.

Pressing TAB costs no more than a listing; only to complete a component's parameters is its factory imported. On any
error nothing is offered: a message would land in the middle of the user's command line.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from toolbox.api.components import Kind

VARIABLE = "_TOOLBOX_COMPLETE"
"""Set by the shell's completion function, with the action that it asks for."""

_SPECIAL = frozenset(" ,:='\"\\[]{}()$&;|<>*?#!`~")
"""Characters with a meaning in a spec or a shell."""

Offered = Iterable[str | tuple[str, str]]
"""Words, some with a description, which some shells show."""

Complete = Callable[[typer.Context, str], list[str | tuple[str, str]]]


def spec(kind: Kind, *, or_folder: bool = False) -> Complete:
    """Completes a component spec: its name, then keys, then values."""

    def complete(ctx: typer.Context, incomplete: str) -> Offered:
        name, colon, rest = incomplete.partition(":")
        if colon:
            head, comma, last = rest.rpartition(",")
            before = f"{name}:{head}{comma}"
            return [(before + word, meaning) for word, meaning in _parameters(kind, name, last, head)]
        folders = [path.name for path in Path().iterdir() if path.is_dir()] if or_folder and incomplete else []
        return [*_names(kind), *sorted(folder for folder in folders if not folder.startswith("."))]

    return _silent(complete)


def _names(kind: Kind) -> Iterator[tuple[str, str]]:
    from toolbox.plugin.registry import Registry

    for offer in Registry().offers(kind):
        yield offer.component.name, offer.component.summary


def _parameters(kind: Kind, name: str, last: str, before: str) -> Iterator[tuple[str, str]]:
    """``key=`` for each parameter not yet given, or ``key=value`` for each value that completes ``last``."""
    from toolbox.plugin.registry import Registry

    registry = Registry()
    known = registry.parameters(registry.find(kind, name))
    keys = {piece.partition("=")[0].strip() for piece in before.split(",")}
    matches = [option for option in known if option.name not in keys and option.name.startswith(last)]
    complete = [option for option in known if last.startswith(f"{option.name}=")]
    for option in matches:
        yield f"{option.name}=", option.description
    # With one key left, offer its values too: otherwise the shell considers the word complete and adds a space.
    for option in complete or matches[: len(matches) == 1]:
        for value in option.choices or _typed(option.default):
            yield f"{option.name}={value}", option.description


def _typed(default: Any) -> list[str]:
    """A default as the user would type it; empty if that takes quotes."""
    text = str(default)
    plain = text.isascii() and set(text).isdisjoint(_SPECIAL)
    return [text] if isinstance(default, int | float | str) and text and plain else []


def settings(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes ``--set KEY=VALUE``."""
    from toolbox.settings.schema import known_names, setting_info

    names = [name for name in known_names() if name.startswith(incomplete)]
    for name in names:
        yield f"{name}=", setting_info(name).description
    key = incomplete.partition("=")[0] if "=" in incomplete else names[0] if len(names) == 1 else ""
    if key in known_names():
        for value in setting_info(key).choices or _typed(setting_info(key).default):
            yield f"{key}={value}", setting_info(key).description


def setting_value(name: str) -> Complete:
    """Completes the value of the setting ``name``, for an option that writes it."""

    def complete(ctx: typer.Context, incomplete: str) -> Offered:
        from toolbox.settings.schema import setting_info

        return [choice for choice in setting_info(name).choices if choice.startswith(incomplete)]

    specs = {"data": DATA, "augment.augmenter": AUGMENTER}
    return specs.get(name) or _silent(complete)


def kinds(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes a kind of component."""
    from toolbox.api.components import KINDS

    return KINDS


def of_kind(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes the name of a component of the kind that stands before it."""
    from toolbox.plugin.registry import as_kind

    return list(_names(as_kind(ctx.params["kind"])))


def plugins(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes the name of an installed plugin. None is loaded."""
    from toolbox.plugin.discovery import installed

    return [(plugin.name, f"{plugin.distribution} {plugin.version}") for plugin in installed()]


def runs(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes the id of a run in the workspace."""
    from toolbox.runs.folder import list_runs

    return [run.id for run in list_runs(Path(ctx.params.get("workspace") or "."))]


def studies(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes the name of a built-in study, or a study file of the folder."""
    from toolbox.study.builtin import builtin_studies

    return [*builtin_studies(), *sorted(path.name for path in Path().glob("*.toml"))]


def _silent(function: Callable[[typer.Context, str], Offered]) -> Complete:
    """``function`` with errors turned into no offers."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str | tuple[str, str]]:
        try:
            return list(function(ctx, incomplete))
        except Exception:
            return []

    return complete


SETTING, KIND, OF_KIND, PLUGIN, RUN, STUDY = map(_silent, (settings, kinds, of_kind, plugins, runs, studies))
DATA, AUGMENTER, EVALUATOR = spec("dataset", or_folder=True), spec("augmenter"), spec("evaluator")
MODEL = spec("model")


@contextmanager
def answer() -> Iterator[None]:
    """Let Typer answer the shell: fast, with nothing on stderr, and with words as the user sees them.

    Bash ends words at ``:`` and ``=``: ``alzheimer:ro`` arrives as three, and an offer replaces the last of them. The
    words are joined before, and the part that bash keeps is removed from the offers after.
    """
    prefix = ""
    if os.environ[VARIABLE] == "complete_bash":
        words, current, prefix = joined(
            os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", 0))
        )
        os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(current))
    output = io.StringIO()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    copies = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in copies:
            os.dup2(nowhere, stream)
        with redirect_stdout(output):
            yield
    finally:
        for stream, copy in copies.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
        lines = [line.removeprefix(prefix) for line in output.getvalue().splitlines() if line]
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def joined(words: Sequence[str], current: int) -> tuple[list[str], int, str]:
    """Bash's ``words`` as the user typed them, the index of the current one, and the part of it that bash keeps.

    >>> joined(["toolbox", "augment", "--augmenter", "mri", ":", "sh"], 5)
    (['toolbox', 'augment', '--augmenter', 'mri:sh'], 3, 'mri:')
    """
    whole: list[str] = []
    unfinished, after_break = "", False
    for word in [*words, ""][: current + 1]:
        is_break = bool(word) and not word.strip(":=")
        continues = bool(whole) and (is_break or after_break)
        # If the word is the break itself, bash appends the offer to it.
        unfinished = (whole[-1] if continues else "") + (word if is_break else "")
        whole[-1:] = [whole[-1] + word] if continues else [*whole[-1:], word]
        after_break = is_break
    # After --option=, the value alone is completed.
    return whole, len(whole) - 1, unfinished.partition("=")[2] if unfinished.startswith("--") else unfinished
