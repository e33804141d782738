"""Runs checks on components and collects what they find."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolbox.api.components import Kind
from toolbox.api.errors import UsageError, closest
from toolbox.api.quiet import quiet
from toolbox.testing.check import Check, Finding

if TYPE_CHECKING:
    from toolbox.plugin.registry import PluginStatus, Registry
    from toolbox.testing.subject import Subject

MAX_PROBLEMS = 5
"""Problems that one check reports."""

MODULES: dict[Kind, tuple[str, ...]] = {
    "dataset": ("datasets",),
    "augmenter": ("augmenters", "mixing"),
    "model": ("models", "parts"),
    "evaluator": ("evaluators",),
    "tracker": ("trackers",),
    "engine": ("engines",),
}


def checks(kind: Kind) -> list[Check]:
    """All checks for components of ``kind``, in the order in which they run."""
    modules = (import_module(f"toolbox.testing.kinds.{name}") for name in ("common", *MODULES[kind]))
    return [check for module in modules for check in module.CHECKS]


def check_component(
    kind: Kind, spec: str | Mapping[str, Any], registry: Registry | None = None, only: str = ""
) -> list[Finding]:
    """Check one component; an empty list means that all is well.

    Parameters
    ----------
    kind: dataset, augmenter, model, evaluator, tracker or engine.
    spec: its name, with the parameters that it needs: ``"npz:path=few.npz"``, or a mapping with ``name``.
    registry: where to look it up; by default all installed plugins.
    only: the name of the one check to run; by default all.

    Raises
    ------
    toolbox.api.errors.UsageError: no such component or check.
    """
    subject = subject_of(kind, spec, registry)
    known = checks(kind)
    names = [check.name for check in known]
    if only and only not in names:
        raise UsageError(f"{kind}s have no check named {only!r}", closest(only, names))
    return [
        finding
        for check in known
        if only in ("", check.name) and applies(check, subject)
        for finding in run(check, subject)
    ]


def check_plugin(name: str, registry: Registry | None = None) -> list[Finding]:
    """Check every component of the installed plugin ``name``; an empty list means that all is well.

    A component that needs parameters (:func:`missing_parameters`) is checked as far as possible without building it:
    descriptor, imports, parameters. Call :func:`check_component` with a whole spec for the rest.

    Raises
    ------
    toolbox.api.errors.UsageError: no plugin of this name is installed.
    """
    plugin, registry = find_plugin(name, registry)
    if plugin.error or not plugin.components:
        return [Finding(f"plugin {name}", "loads", plugin.error or "it offers no components")]
    findings: list[Finding] = []
    for component in plugin.components:
        findings += check_component(component.kind, component.name, registry)
    return findings


def missing_parameters(name: str, registry: Registry | None = None) -> list[tuple[Kind, str, list[str]]]:
    """The components of plugin ``name`` that can't be built without parameters: kind, name, and these parameters."""
    plugin, registry = find_plugin(name, registry)
    offers = [(each.kind, each.name) for each in plugin.components if not plugin.error]
    missing = [(kind, each, _missing(subject_of(kind, each, registry))) for kind, each in offers]
    return [item for item in missing if item[2]]


def subject_of(kind: Kind, spec: str | Mapping[str, Any], registry: Registry | None) -> Subject:
    """The component to check.

    Raises
    ------
    UsageError: there is none.
    """
    from toolbox.plugin.registry import Registry
    from toolbox.testing.subject import Subject

    return Subject(kind, spec, registry or Registry())


def applies(check: Check, subject: Subject) -> bool:
    """Whether ``check`` is for ``subject``; with parameters missing, only checks that build nothing are."""
    from toolbox.testing.subject import BuildError

    if not check.builds:
        return True
    if _missing(subject):
        return False
    try:
        return isinstance(subject.component, check.protocol)
    except BuildError:
        return False  # the check can-be-built reports it


def run(check: Check, subject: Subject) -> Iterator[Finding]:
    """What ``check`` finds; whatever the component raises is a finding too."""
    from toolbox.testing.subject import BuildError

    try:
        with quiet():
            for problem in islice(check.run(subject), MAX_PROBLEMS):
                yield Finding(str(subject), check.name, problem)
    except (BuildError, GeneratorExit):
        return
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything, SystemExit included
        yield Finding(str(subject), check.name, _describe(error))


def _describe(error: BaseException) -> str:
    """What was raised, and the line that raised it."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    line = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"raises {type(error).__name__}{': ' if text else ''}{text}{line}"


def _missing(subject: Subject) -> list[str]:
    with suppress(Exception):  # no factory, or one without annotations: reported by checks of their own
        return subject.missing
    return []


def find_plugin(name: str, registry: Registry | None) -> tuple[PluginStatus, Registry]:
    """The plugin ``name``, and the registry that knows it.

    Raises
    ------
    UsageError: there is none.
    """
    from toolbox.plugin.registry import Registry

    registry = registry or Registry()
    plugins = {plugin.name: plugin for plugin in registry.plugins}
    if name not in plugins:
        raise UsageError(f"no plugin is called {name!r}", closest(name, plugins) or "See 'toolbox plugins list'.")
    return plugins[name], registry
