"""The parameters of the components on a command's line, for its help.

``toolbox augment --help`` loads no plugin. ``toolbox augment --augmenter mri --help`` also describes ``mri``, whose
factory is imported for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from toolbox.api.components import Kind
from toolbox.api.errors import ToolboxError

if TYPE_CHECKING:
    from toolbox.plugin.registry import Registry

_OPTIONS: dict[str, Kind] = {"--augmenter": "augmenter", "--evaluator": "evaluator", "--data": "dataset"}


def component_panels(words: Sequence[str], takes_model: bool) -> list[RenderableType]:
    """A panel for each component among the ``words`` of a command line."""
    components = list(_components(words, takes_model))
    if not components:
        return []
    from toolbox.plugin.registry import Registry

    registry = Registry()
    return [_panel(registry, kind, spec) for kind, spec in components]


def _components(words: Sequence[str], takes_model: bool) -> Iterator[tuple[Kind, str]]:
    """The kinds and specs of the components; a folder after ``--data`` is none."""
    from toolbox.plugin.spec import looks_like_path

    if takes_model and words and not words[0].startswith("-"):
        yield "model", words[0]
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        option, equals, value = word.partition("=")
        value = value if equals else after
        if option in _OPTIONS and not value.startswith("-") and not looks_like_path(value):
            yield _OPTIONS[option], value


def _panel(registry: Registry, kind: Kind, spec: str) -> RenderableType:
    name = spec.partition(":")[0]
    try:
        offer = registry.find(kind, name)
        parameters = registry.parameters(offer)
    except ToolboxError as error:
        return Text(f"{error.message}. {error.hint}", "yellow")
    table = Table(box=None, show_header=False, pad_edge=False)
    for option in parameters:
        default = "" if option.default in (None, "") else str(option.default)
        meaning = Text(option.description)
        meaning.append(f" ({', '.join(option.choices)})" if option.choices else "", "dim")
        meaning.append(f" [default: {default}]" if default else "", "dim")
        table.add_row(Text(f"{option.name}=", "bold cyan"), meaning)
    return Panel(
        table if table.row_count else f"See 'toolbox show {kind} {name}'.",
        title=f"{kind} {name}, of plugin {offer.plugin}",
        title_align="left",
        border_style="dim",
    )
