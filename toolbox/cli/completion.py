"""What the shell offers at a press of TAB: components, their parameters, settings and runs.

A press of TAB costs no more than a listing; only to complete a component's parameters is its factory imported. Whatever
goes wrong, nothing is offered: a message in the middle of a command line would help nobody.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from toolbox.api.components import Kind

VARIABLE = "_TOOLBOX_COMPLETE"
"""Set by the shell's completion function, with what it wants done."""

_NOT_PLAIN = frozenset(" ,:='\"\\[]{}()$&;|<>*?#!`~")
"""What a spec or a shell would take for something else."""

Offered = Iterable[str | tuple[str, str]]
"""Words, some with their meaning, which some shells show."""

Complete = Callable[[typer.Context, str], list[str | tuple[str, str]]]


def spec(kind: Kind, *, or_folder: bool = False) -> Complete:
    """Completes a component spec: the name, after its colon a key, after the equals sign a value that is known."""

    def complete(ctx: typer.Context, incomplete: str) -> Offered:
        name, colon, rest = incomplete.partition(":")
        if colon:
            head, comma, last = rest.rpartition(",")
            before = f"{name}:{head}{comma}"
            return [(before + word, meaning) for word, meaning in _parameters(kind, name, last, head)]
        folders = [path.name for path in Path().iterdir() if path.is_dir()] if or_folder and incomplete else []
        return [*_names(kind), *sorted(folder for folder in folders if not folder.startswith("."))]

    return _guarded(complete)


def _names(kind: Kind) -> Iterator[tuple[str, str]]:
    from toolbox.plugin.registry import Registry

    for offer in Registry().offers(kind):
        yield offer.component.name, offer.component.summary


def _parameters(kind: Kind, name: str, last: str, given: str) -> Iterator[tuple[str, str]]:
    """``key=`` for each parameter that is not given yet, or ``key=value`` for each value that ``last`` can become."""
    from toolbox.plugin.registry import Registry

    registry = Registry()
    known = registry.parameters(registry.find(kind, name))
    there = {piece.partition("=")[0].strip() for piece in given.split(",")}
    fitting = [option for option in known if option.name not in there and option.name.startswith(last)]
    chosen = [option for option in known if last.startswith(f"{option.name}=")]
    for option in fitting:
        yield f"{option.name}=", option.description
    # With one key left its values too: else the shell takes the word for finished and puts a space after "=".
    for option in chosen or fitting[: len(fitting) == 1]:
        for value in option.choices or _written(option.default):
            yield f"{option.name}={value}", option.description


def _written(default: Any) -> list[str]:
    """A default as it is typed; none where it can't be typed as one plain word."""
    text = str(default)
    plain = text.isascii() and set(text).isdisjoint(_NOT_PLAIN)
    return [text] if isinstance(default, int | float | str) and text and plain else []


def settings(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes ``--set KEY=VALUE``."""
    from toolbox.settings.schema import Settings, choices, known_names

    known = known_names()
    fitting = [name for name in known if name.startswith(incomplete)]
    for name in fitting:
        yield f"{name}=", known[name]
    key = incomplete.partition("=")[0] if "=" in incomplete else fitting[0] if len(fitting) == 1 else ""
    if key in known:
        for value in choices(key) or _written(reduce(getattr, key.split("."), Settings())):
            yield f"{key}={value}", known[key]


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
    from toolbox.runs.folder import all_of

    return [run.id for run in all_of(Path(ctx.params.get("workspace") or "."))]


def studies(ctx: typer.Context, incomplete: str) -> Offered:
    """Completes the name of a built-in study, or a study file of the folder."""
    from toolbox.study.builtin import builtin_studies

    return [*builtin_studies(), *sorted(path.name for path in Path().glob("*.toml"))]


def _guarded(function: Callable[[typer.Context, str], Offered]) -> Complete:
    """``function``, which then neither fails nor says anything."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str | tuple[str, str]]:
        try:
            return list(function(ctx, incomplete))
        except Exception:
            return []

    return complete


SETTING, KIND, OF_KIND, PLUGIN, RUN, STUDY = map(_guarded, (settings, kinds, of_kind, plugins, runs, studies))
DATA, AUGMENTER, EVALUATOR = spec("dataset", or_folder=True), spec("augmenter"), spec("evaluator")
MODEL = spec("model")


@contextmanager
def answering() -> Iterator[None]:
    """Meanwhile Typer answers the shell: quickly, nothing on stderr, and by words as the user sees them.

    Bash takes ``:`` and ``=`` for the ends of words, so that ``alzheimer:ro`` reaches us as three, and what we offer
    for it goes in the place of the last. They are joined before, and what bash has already is taken off after.
    """
    there = ""
    if os.environ[VARIABLE] == "complete_bash":
        words, at, there = joined(os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", 0)))
        os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(at))
    answer = io.StringIO()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in kept:
            os.dup2(nowhere, stream)
        with redirect_stdout(answer):
            yield
    finally:
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
        lines = [line.removeprefix(there) for line in answer.getvalue().splitlines() if line]
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def joined(words: Sequence[str], current: int) -> tuple[list[str], int, str]:
    """Bash's ``words`` as the user typed them, the number of the one being typed, and what of it bash will keep.

    >>> joined(["toolbox", "augment", "--augmenter", "mri", ":", "sh"], 5)
    (['toolbox', 'augment', '--augmenter', 'mri:sh'], 3, 'mri:')
    """
    whole: list[str] = []
    kept, after_break = "", False
    for word in [*words, ""][: current + 1]:
        is_break = bool(word) and not word.strip(":=")
        goes_on = bool(whole) and (is_break or after_break)
        # Where the word is the break itself, bash puts what is offered after it.
        kept = (whole[-1] if goes_on else "") + (word if is_break else "")
        whole[-1:] = [whole[-1] + word] if goes_on else [*whole[-1:], word]
        after_break = is_break
    # Of --option=value, what is offered is for the value.
    return whole, len(whole) - 1, kept.partition("=")[2] if kept.startswith("--") else kept
