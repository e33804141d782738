"""Load plugins into one pluggy manager, each in a ``try``: a broken one is named and left out, the others work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from toolbox.api.components import API_VERSION, KINDS, Component, Kind
from toolbox.api.errors import Interrupted, PluginError
from toolbox.api.hooks import PROJECT, Hooks
from toolbox.api.quiet import stdout_on_stderr
from toolbox.plugin.discovery import Installed

HOOKS: dict[Kind, str] = {kind: f"toolbox_{kind}s" for kind in KINDS}


@dataclass(slots=True)
class PluginStatus:
    """One entry point and its state.

    ``components`` is what it offers, ``error`` what is wrong with it, ``hint`` how to fix that, ``disabled_by`` what
    disables it (it is not loaded then), ``shipped`` whether it comes with the toolbox.
    """

    name: str
    module: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    error: str = ""
    hint: str = ""
    disabled_by: str = ""
    shipped: bool = False

    @property
    def api_version(self) -> int | None:
        """The plugin API its components were written for; ``None`` where it offers none."""
        return self.components[0].api_version if self.components else None

    def document(self) -> dict[str, Any]:
        """The state as ``--json`` prints it."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "api_version": self.api_version,
            "components": [{"kind": component.kind, "name": component.name} for component in self.components],
            "enabled": not self.disabled_by,
            "disabled_by": self.disabled_by,
            "error": self.error,
            "hint": self.hint,
        }


def load_plugins(plugins: Iterable[tuple[Installed, str]]) -> list[PluginStatus]:
    """Load each plugin, unless the text beside it says what disables it.

    Whatever a plugin does while it loads (``SystemExit`` included) ends up in its ``error``; what it prints goes to
    stderr.

    Raises
    ------
    Interrupted: the user pressed Ctrl-C; the message names the plugin that was being loaded.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    statuses: list[PluginStatus] = []
    with stdout_on_stderr():
        for plugin, disabled_by in plugins:
            status = PluginStatus(plugin.name, plugin.value, plugin.distribution, plugin.version)
            status.disabled_by, status.shipped = disabled_by, plugin.shipped
            namesake = next((other for other in statuses if other.name == plugin.name), None)
            statuses.append(status)
            if namesake and not disabled_by:
                source = namesake.distribution or namesake.module
                status.error = f"another plugin, from {source}, is already called {plugin.name!r}"
            elif not disabled_by:
                _load(manager, plugin, status)
    return statuses


def describe_error(error: BaseException) -> str:
    """``error`` in one line."""
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load(manager: pluggy.PluginManager, plugin: Installed, status: PluginStatus) -> None:
    try:
        if not plugin.entry_point.pattern.match(plugin.value):
            raise PluginError(f"its entry point {plugin.value!r} is not 'package.module' or 'package.module:name'")
        module = plugin.entry_point.load()
        manager.register(module, plugin.name)
        manager.check_pending()
        status.components = list(_components(manager, module))
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted while the plugin {plugin.name} was being loaded",
            f"If it hangs: toolbox plugins disable {plugin.name}, or add --no-plugins.",
        ) from None
    except BaseException as error:
        if manager.has_plugin(plugin.name):
            manager.unregister(name=plugin.name)
        status.error, status.hint = describe_error(error), _hint(error)


def _components(manager: pluggy.PluginManager, module: Any) -> Iterator[Component]:
    """The checked descriptors that one plugin's hooks return."""
    others = [other for other in manager.get_plugins() if other is not module]
    for kind, hook in HOOKS.items():
        if hasattr(module, hook) and manager.parse_hookimpl_opts(module, hook) is None:
            raise PluginError(f"{hook} is not marked with @hookimpl")
        names: set[str] = set()
        for descriptors in manager.subset_hook_caller(hook, others)():
            for component in descriptors:
                _check(component, kind, hook)
                if component.name in names:
                    raise PluginError(f"{hook} gave the name {component.name!r} twice")
                names.add(component.name)
                yield component


def _check(component: Any, kind: Kind, hook: str) -> None:
    if not isinstance(component, Component) or component.kind != kind:
        raise PluginError(f"{hook} gave {component!r}, which is no {kind} component")
    if component.api_version != API_VERSION:
        newer = isinstance(component.api_version, int) and component.api_version > API_VERSION
        raise PluginError(
            f"its {kind} {component.name!r} was written for plugin API {component.api_version!r};"
            f" this toolbox supports {API_VERSION}",
            "Upgrade the toolbox: pip install --upgrade vision-toolbox" if newer else "Upgrade the plugin.",
        )


def _hint(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return error.hint
    if isinstance(error, pluggy.PluginValidationError):
        return f"Hooks take no arguments. There are: {', '.join(HOOKS.values())}."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install the package that provides the module {error.name.partition('.')[0]!r}."
    return ""
