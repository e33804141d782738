"""How broken plugins are told of: named once by every command, and by ``doctor`` with what to do about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolbox.plugin.registry import PluginStatus, Registry


def mention_faults(registry: Registry, warn: Callable[[str], None]) -> None:
    """One line for all plugins that have a fault; what else they offer and all the others go on working."""
    names = [plugin.name for plugin in registry.failures()]
    if len(names) == 1:
        warn(f"plugin {names[0]} has a fault ({registry.failures()[0].error}); see 'toolbox doctor'")
    elif names:
        warn(f"{len(names)} plugins have a fault: {', '.join(names)}; see 'toolbox doctor'")


def faults(registry: Registry) -> list[RenderableType]:
    """Each plugin that has a fault, its reason, and how to mend it; or that there is none."""
    from rich.text import Text

    failed = registry.failures()
    if not failed:
        return [Text(f"all {len(registry.plugins)} plugins load", "green")]
    lines: list[RenderableType] = []
    for plugin in failed:
        lines.append(Text(f"plugin {plugin.name} ({_origin(plugin)}): {plugin.error}", "red"))
        lines.extend(Text(f"  {line}") for line in (plugin.hint, *remedies(plugin)) if line)
    return lines


def remedies(plugin: PluginStatus) -> list[str]:
    """What a person can do about a plugin that has a fault."""
    if plugin.shipped:
        return ["It comes with the toolbox: pip install --force-reinstall vision-toolbox"]
    without = f"Do without it:   toolbox plugins disable {plugin.name}"
    if not plugin.distribution:
        return [without]
    return [
        f"Upgrade it:      toolbox plugins install --upgrade {plugin.distribution}",
        f"Take it away:    toolbox plugins uninstall {plugin.distribution}",
        without,
    ]


def _origin(plugin: PluginStatus) -> str:
    return " ".join(word for word in (plugin.distribution or plugin.module, plugin.version) if word)
