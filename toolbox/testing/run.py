"""Makes the checks, one after the other, and turns what they say into findings."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from toolbox.api.components import Kind
from toolbox.api.errors import UsageError, closest
from toolbox.api.quiet import quiet
from toolbox.plugin.registry import PluginStatus, Registry, as_kind
from toolbox.plugin.spec import Spec
from toolbox.testing.finding import Check, Finding
from toolbox.testing.kinds import common
from toolbox.testing.subject import NotMadeError, Subject

MOST = 5
"""Problems that one check names; more of the same kind help nobody."""

_FILES: dict[Kind, tuple[str, ...]] = {
    "dataset": ("datasets",),
    "augmenter": ("augmenters", "tensors", "mixing"),
    "model": ("models", "parts"),
    "evaluator": ("evaluators",),
    "tracker": ("trackers",),
    "engine": ("engines",),
}


def checks_of(kind: Kind) -> list[Check]:
    """Every check for components of ``kind``."""
    found = [*common.check, *common.made]
    for name in _FILES[as_kind(kind)]:
        found += import_module(f"toolbox.testing.kinds.{name}").check
    return found


def of_component(
    kind: Kind, spec: str | Mapping[str, Any] | Spec, registry: Registry | None = None, only: str = ""
) -> list[Finding]:
    """See :func:`toolbox.testing.check_component`."""
    return list(findings(Subject(as_kind(kind), spec, registry or Registry()), only))


def of_plugin(name: str, registry: Registry | None = None) -> list[Finding]:
    """See :func:`toolbox.testing.check_plugin`."""
    registry = registry or Registry()
    plugin = _plugin(name, registry)
    if plugin.error:
        return [Finding(f"plugin {name}", "loads", plugin.error)]
    if not plugin.components:
        return [Finding(f"plugin {name}", "loads", "it offers no component")]
    found = []
    for component in plugin.components:
        try:
            subject = Subject(component.kind, Spec(component.name), registry)
        except UsageError as error:  # another plugin has this name too, and neither can be used
            found.append(Finding(f"{component.kind} {component.name}", "described", error.message))
        else:
            found += list(findings(subject))
    return found


def wanting(name: str, registry: Registry | None = None) -> list[tuple[Kind, str, list[str]]]:
    """See :func:`toolbox.testing.needs_more`."""
    registry = registry or Registry()
    found = []
    for component in _plugin(name, registry).components:
        with suppress(UsageError):
            if needed := _needed(Subject(component.kind, Spec(component.name), registry)):
                found.append((component.kind, component.name, needed))
    return found


def findings(subject: Subject, only: str = "") -> Iterator[Finding]:
    """What the checks (the one called ``only``) say of ``subject``.

    Raises
    ------
    UsageError: no check is called so.
    """
    known = checks_of(subject.kind)
    if only and only not in {check.name for check in known}:
        raise UsageError(f"no check of {subject.kind}s is called {only!r}", closest(only, [c.name for c in known]))
    for check in known:
        if only in ("", check.name) and applies(check, subject):
            yield from made(check, subject)


def applies(check: Check, subject: Subject) -> bool:
    """Whether ``check`` can be made: some are for what was made, and some for one protocol of a kind alone."""
    if check.without_making:
        return True
    if _needed(subject):
        return False
    if check.protocol is object:
        return True
    try:
        return isinstance(subject.made, check.protocol)
    except NotMadeError:
        return False  # a check of its own says so


def made(check: Check, subject: Subject) -> Iterator[Finding]:
    """What ``check`` says of ``subject``; whatever the component raises is a finding too."""
    try:
        with quiet():
            for problem in islice(check.run(subject), MOST):
                yield Finding(str(subject), check.name, problem)
    except NotMadeError:
        return
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a third party's code may raise anything, SystemExit included
        yield Finding(str(subject), check.name, _raised(error))


def _raised(error: BaseException) -> str:
    """What was raised, and where: the author's own line, as a rule."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"raises {type(error).__name__}{': ' if text else ''}{text}{where}"


def _needed(subject: Subject) -> list[str]:
    try:
        return subject.wanting
    except Exception:  # a factory that is not there, or without types: checks of their own say so
        return []


def _plugin(name: str, registry: Registry) -> PluginStatus:
    for plugin in registry.plugins:
        if plugin.name == name:
            return plugin
    names = [plugin.name for plugin in registry.plugins]
    raise UsageError(f"no plugin is called {name!r}", closest(name, names) or "See 'toolbox plugins list'.")
