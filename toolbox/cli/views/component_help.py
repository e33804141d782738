"""Help of a command with the parameters of the components that stand on its line, a panel for each.

``toolbox augment --help`` alone loads no plugin. ``toolbox augment --augmenter mri --help`` asks about ``mri``, too,
and lists its parameters and the plugin that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolbox.api.components import Kind

EPILOG = "With a component on the line ('--augmenter mri --help'), its parameters are told, too."
_WORDS = "toolbox.words"
_OPTIONS: dict[str, Kind] = {"--augmenter": "augmenter", "--evaluator": "evaluator", "--data": "dataset"}


class Command(TyperCommand):
    """A command that takes components."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words for :meth:`format_help`: it is called before they are understood."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The command's own help, then the panels."""
        super().format_help(ctx, formatter)
        takes_model = any(parameter.name == "model" for parameter in self.params)
        asked = list(_components(ctx.meta.get(_WORDS, []), takes_model))
        if asked:
            from rich.console import Console

            Console().print(*_panels(asked))


def _components(words: list[str], takes_model: bool) -> Iterator[tuple[Kind, str]]:
    """The components on the line: kind and spec. A folder after ``--data`` is none."""
    from toolbox.plugin.spec import looks_like_path

    if takes_model and words and not words[0].startswith("-"):
        yield "model", words[0]
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        option, equals, value = word.partition("=")
        value = value if equals else after
        if option in _OPTIONS and not value.startswith("-") and not looks_like_path(value):
            yield _OPTIONS[option], value


def _panels(asked: list[tuple[Kind, str]]) -> Iterator[RenderableType]:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from toolbox.api.errors import ToolboxError
    from toolbox.plugin.registry import Registry

    registry = Registry()
    for kind, spec in asked:
        name = spec.partition(":")[0]
        try:
            offer = registry.find(kind, name)
            parameters = registry.parameters(offer)
        except ToolboxError as error:
            yield Text(f"{error.message}. {error.hint}", "yellow")
            continue
        table = Table(box=None, show_header=False, pad_edge=False)
        for option in parameters:
            default = "" if option.default in (None, "") else str(option.default)
            meaning = Text(option.description)
            meaning.append(f" ({', '.join(option.choices)})" if option.choices else "", "dim")
            meaning.append(f" [default: {default}]" if default else "", "dim")
            table.add_row(Text(f"{option.name}=", "bold cyan"), meaning)
        yield Panel(
            table if table.row_count else f"See 'toolbox show {kind} {name}'.",
            title=f"{kind} {name}, of plugin {offer.plugin}",
            title_align="left",
            border_style="dim",
        )
