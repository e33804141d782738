"""``toolbox list``, ``show`` and ``doctor``: what there is, and what is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import completion, options

if TYPE_CHECKING:
    from toolbox.plugin.registry import Registry


_KINDS = "dataset, augmenter, model, evaluator, tracker or engine."


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("list", rich_help_panel="Look around")(list_components)
    app.command(rich_help_panel="Look around")(show)
    app.command(rich_help_panel="Look around")(doctor)


def list_components(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[KIND]",
            help=_KINDS,
            autocompletion=completion.KIND,
        ),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """List the components on offer, by kind, and the plugin that each comes from."""
    from itertools import groupby

    from rich.table import Table
    from rich.text import Text

    from toolbox.cli.faults import mention_faults
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin.registry import Registry, as_kind

    terminal = Terminal(as_json)
    registry = Registry()
    offers = registry.offers(as_kind(kind) if kind else None)
    table = Table("name", "what it is", "plugin", box=None, pad_edge=False, header_style="dim")
    for of_kind, group in groupby(offers, key=lambda offer: offer.component.kind):
        table.add_row(Text(f"{of_kind}s", "bold cyan"))
        for offer in sorted(group, key=lambda offer: (offer.plugin, offer.component.name)):
            component = offer.component
            table.add_row(Text(f"  {component.name}", "bold"), Text(component.summary), Text(offer.plugin))
        table.add_section()
    terminal.show(table, Text("'toolbox show KIND NAME' tells more of one, and an example.", "dim"))
    mention_faults(registry, terminal.reporter().warn)
    rows = [
        {
            "kind": offer.component.kind,
            "name": offer.component.name,
            "summary": offer.component.summary,
            "plugin": offer.plugin,
            "distribution": offer.distribution,
        }
        for offer in offers
    ]
    terminal.emit({"components": rows})


def show(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=_KINDS,
            autocompletion=completion.KIND,
        ),
    ],
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The component, or a spec of a model.", autocompletion=completion.OF_KIND),
    ],
    as_json: options.AsJson = False,
) -> None:
    """Show one component: what it does, its parameters, and where it comes from."""
    from rich.table import Table
    from rich.text import Text

    from toolbox.cli.terminal import Terminal
    from toolbox.plugin import schema
    from toolbox.plugin.registry import Registry, as_kind, describe
    from toolbox.plugin.spec import parse

    terminal = Terminal(as_json)
    registry = Registry()
    spec = parse(name)
    offer = registry.find(as_kind(kind), spec.name)
    factory = registry.factory(offer)
    parameters = schema.parameters(factory, f"{offer.component.kind} {spec.name!r}")
    terminal.show(
        Text.assemble((spec.name, "bold"), f"  {offer.component.kind} of plugin {offer.plugin} ({offer.distribution})"),
        Text(_unwrapped(describe(factory)) or offer.component.summary),
    )
    table = Table("parameter", "type", "default", "meaning", box=None, pad_edge=False, header_style="bold")
    for item in parameters:
        default = "required" if item.required else _shown(item.default)
        table.add_row(Text(item.name, "bold"), Text(item.type), Text(default), Text(item.description))
    terminal.show("", table if parameters else Text("It has no parameters.", "dim"))
    example = schema.example(offer.component, parameters)
    terminal.show("", Text("For example:", "dim"), Text(f"  {example}"))
    document: dict[str, Any] = {
        "kind": offer.component.kind,
        "name": spec.name,
        "plugin": offer.plugin,
        "summary": offer.component.summary,
        "description": describe(factory),
        "example": example,
        "parameters": [
            {
                "name": item.name,
                "type": item.type,
                "default": item.default if _is_json(item.default) else str(item.default),
                "required": item.required,
                "description": item.description,
            }
            for item in parameters
        ],
    }
    if offer.component.kind == "model" and not any(
        item.required for item in parameters if item.name not in spec.parameters
    ):
        document["parts"] = _show_parts(registry, spec, terminal)
    terminal.emit(document)


def doctor(as_json: options.AsJson = False) -> None:
    """Show what is installed, which device is used, and which plugins failed, why, and how to mend it."""
    from rich.table import Table
    from rich.text import Text

    from toolbox import environment
    from toolbox.cli.faults import faults
    from toolbox.cli.terminal import Terminal
    from toolbox.plugin.registry import Registry

    terminal = Terminal(as_json)
    registry = Registry()
    report = {**environment.versions(), **environment.hardware()}
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in report.items():
        table.add_row(Text(name, "bold"), Text(value))
    terminal.show(table, *faults(registry))
    failed = [
        {"name": plugin.name, "distribution": plugin.distribution, "error": plugin.error, "hint": plugin.hint}
        for plugin in registry.failures()
    ]
    terminal.emit({"environment": report, "plugins": len(registry.plugins), "failed_plugins": failed})


def _show_parts(registry: Registry, spec: Any, terminal: Any) -> dict[str, Any]:
    """Print what a model's trunk, last block and head are."""
    from rich.text import Text

    from toolbox.models.describe import outline

    found = outline(spec, registry.model(spec))
    size, channels = found["size"], found["channels"]
    terminal.show("", Text.assemble(("input  ", "bold"), f"{channels} × {size} × {size} pixels, mean {found['mean']}"))
    for part in ("trunk", "last", "head"):
        modules, count = ", ".join(found[part]["modules"]) or "none", found[part]["parameters"]
        terminal.show(Text.assemble((f"{part:<7}", "bold"), f"{modules} ({count:,} parameters)"))
    if found["blocks"]:
        terminal.show(Text.assemble(("blocks ", "bold"), f"{len(found['blocks'])}; --unfreeze N trains the last N"))
    terminal.show(Text.assemble(("weights ", "bold"), found["weights"] or "none of its own"))
    return found


def _unwrapped(text: str) -> str:
    """``text`` with the lines of each paragraph joined, so that the terminal can wrap them to its width."""
    lines: list[str] = []
    for line in text.replace("``", "").splitlines():
        begins = not line.strip() or line.lstrip().startswith("- ") or not lines or not lines[-1]
        if begins:
            lines.append(line.strip())
        else:
            lines[-1] += f" {line.strip()}"
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """A default as a spec takes it: lists as JSON."""
    if isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else repr(value) if value == "" else str(value)


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | dict)
