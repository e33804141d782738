"""What ``toolbox plugins`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.tables import table

if TYPE_CHECKING:
    from toolbox.plugin.registry import PluginStatus
    from toolbox.testing import Finding


def plugins_table(plugins: Sequence[PluginStatus]) -> RenderableType:
    """Each plugin, its distribution, and what it offers or why it doesn't."""
    rows = table("plugin", "from", "offers")
    for plugin in plugins:
        rows.add_row(Text(plugin.name, "bold"), Text(f"{plugin.distribution} {plugin.version}"), _offers(plugin))
    return rows


def check_lines(
    plugin: str, findings: Sequence[Finding], incomplete: Sequence[tuple[str, str, Sequence[str]]]
) -> list[RenderableType]:
    """A plugin's problems, and its components that were not checked because they need parameters."""
    number = len(findings)
    verdict = Text(f"{number} problem{'s' * (number > 1)}", "red") if findings else Text("passes", "green")
    return [
        Text.assemble((plugin, "bold"), ": ", verdict),
        *(Text(f"  {item.component or plugin}: {item.check}: {item.problem}") for item in findings),
        *(
            Text(f"  {kind} {component}: not checked, as it needs {', '.join(names)}; see its own tests", "dim")
            for kind, component, names in incomplete
        ),
    ]


def _offers(plugin: PluginStatus) -> Text:
    offers = ", ".join(f"{component.kind} {component.name}" for component in plugin.components)
    if plugin.disabled_by:
        return Text(f"disabled by {plugin.disabled_by}", "dim")
    if plugin.error:
        return Text(f"{offers}; " if offers else "").append(f"failed: {plugin.error}", "red")
    return Text(offers or "nothing")
