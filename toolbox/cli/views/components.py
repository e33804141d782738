"""What ``toolbox list``, ``show`` and ``doctor`` print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.tables import table
from toolbox.plugin.registry import Offer, PluginStatus, Registry
from toolbox.plugin.schema import Parameter


def components_table(offers: Sequence[Offer]) -> list[RenderableType]:
    """All components, by kind."""
    rows = table("name", "summary", "plugin")
    for kind, group in groupby(offers, key=lambda offer: offer.component.kind):
        rows.add_row(Text(f"{kind}s", "bold cyan"))
        for offer in sorted(group, key=lambda offer: (offer.plugin, offer.component.name)):
            component = offer.component
            rows.add_row(Text(f"  {component.name}", "bold"), Text(component.summary), Text(offer.plugin))
        rows.add_section()
    return [rows, Text("'toolbox show KIND NAME' describes one, with an example.", "dim")]


def component_details(
    offer: Offer, description: str, parameters: Sequence[Parameter], example: str
) -> list[RenderableType]:
    """A component's description, its parameters, and an example."""
    component = offer.component
    rows = table("parameter", "type", "default", "meaning")
    for item in parameters:
        default = "required" if item.required else _default(item.default)
        rows.add_row(Text(item.name, "bold"), Text(item.type), Text(default), Text(item.description))
    return [
        Text.assemble((component.name, "bold"), f"  {component.kind} of plugin {offer.plugin} ({offer.distribution})"),
        Text(_unwrap(description) or component.summary),
        "",
        rows if parameters else Text("It has no parameters.", "dim"),
        "",
        Text("For example:", "dim"),
        Text(f"  {example}"),
    ]


def model_parts(outline: Mapping[str, Any]) -> list[RenderableType]:
    """A model's input, trunk, last block and head."""
    size, channels, blocks = outline["size"], outline["channels"], len(outline["blocks"])
    facts = {"input": f"{channels} × {size} × {size} pixels, mean {outline['mean']}"}
    for part in ("trunk", "last", "head"):
        modules = ", ".join(outline[part]["modules"]) or "none"
        facts[part] = f"{modules} ({outline[part]['parameters']:,} parameters)"
    if blocks:
        facts["blocks"] = f"{blocks}; --unfreeze N trains the last N"
    facts["weights"] = outline["weights"] or "none of its own"
    return ["", *(Text.assemble((f"{name:<8}", "bold"), text) for name, text in facts.items())]


def environment_table(report: Mapping[str, str]) -> RenderableType:
    """Versions and hardware."""
    rows = table()
    for name, value in report.items():
        rows.add_row(Text(name, "bold"), Text(value))
    return rows


def plugin_failures(registry: Registry) -> list[RenderableType]:
    """Each plugin that failed, the reason, and how to fix it; or that there is none."""
    failures = registry.failures()
    if not failures:
        return [Text(f"all {len(registry.plugins)} plugins load", "green")]
    lines: list[RenderableType] = []
    for plugin in failures:
        origin = " ".join(word for word in (plugin.distribution or plugin.module, plugin.version) if word)
        lines.append(Text(f"plugin {plugin.name} ({origin}): {plugin.error}", "red"))
        lines.extend(Text(f"  {line}") for line in (plugin.hint, *_remedies(plugin)) if line)
    return lines


def _remedies(plugin: PluginStatus) -> list[str]:
    if plugin.shipped:
        return ["It comes with the toolbox: pip install --force-reinstall vision-toolbox"]
    disable = f"Disable it:    toolbox plugins disable {plugin.name}"
    if not plugin.distribution:
        return [disable]
    return [
        f"Upgrade it:    toolbox plugins install --upgrade {plugin.distribution}",
        f"Uninstall it:  toolbox plugins uninstall {plugin.distribution}",
        disable,
    ]


def _unwrap(text: str) -> str:
    """``text`` with the lines of each paragraph joined, so that the terminal can wrap them to its width."""
    lines: list[str] = []
    for line in text.replace("``", "").splitlines():
        begins = not line.strip() or line.lstrip().startswith("- ") or not lines or not lines[-1]
        if begins:
            lines.append(line.strip())
        else:
            lines[-1] += f" {line.strip()}"
    return "\n".join(lines)


def _default(value: Any) -> str:
    """A default as a spec takes it: lists as JSON."""
    if isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else repr(value) if value == "" else str(value)
