"""The kit in pytest: a test for each check. Comes with the toolbox; pytest finds it by its entry point ``toolbox``.

A test that takes the fixture ``toolbox_check`` runs once for each check of the components that its markers name::

    import pytest

    @pytest.mark.toolbox_plugin("demo")                                # all components of an installed plugin
    @pytest.mark.toolbox_component("augmenter", "demo:strength=0.5")   # one component, by its kind and spec
    def test_it_conforms(toolbox_check):
        toolbox_check()

Without a marker, it is the plugins that pytest's configuration names::

    [tool.pytest.ini_options]
    toolbox_plugins = ["demo"]

A component that needs a file which the test makes first is checked by :func:`toolbox.testing.check_component`.

This module is imported whenever pytest starts, and imports nothing of the toolbox but what is light; the rest comes
when a test wants the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from toolbox.plugin.registry import Registry
    from toolbox.testing.finding import Check
    from toolbox.testing.subject import Subject

INI = "toolbox_plugins"
FIXTURE = "toolbox_check"
_MARKERS = {
    "toolbox_plugin(name, ...)": "toolbox_check runs the checks of these installed plugins",
    "toolbox_component(kind, spec)": "toolbox_check runs the checks of this component",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``toolbox_plugins``."""
    parser.addini(INI, "Installed plugins of the toolbox that the fixture toolbox_check checks", "args", [])


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers, so that ``--strict-markers`` knows them."""
    for marker, meaning in _MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check of each component that the test's markers name."""
    if FIXTURE not in metafunc.fixturenames:
        return
    cases = [(subject, check) for subject in _subjects(metafunc) for check in _checks(subject)]
    if not cases:
        raise pytest.Collector.CollectError(
            f"{metafunc.function.__name__} takes {FIXTURE}, but nothing says what to check: mark it with"
            f" toolbox_plugin or toolbox_component, or set {INI}"
        )
    names = [f"{subject}-{check.name}" for subject, check in cases]
    metafunc.parametrize(FIXTURE, cases, ids=names, indirect=True)


@pytest.fixture
def toolbox_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Call it: it makes one check, and fails with what was found, and why that is relied on."""
    subject, check = request.param

    def call() -> None:
        from toolbox.testing.run import made

        found = list(made(check, subject))
        if found:
            pytest.fail("\n".join([*map(str, found), "", check.why]), pytrace=False)

    return call


@cache
def _registry() -> Registry:
    from toolbox.plugin.registry import Registry

    return Registry()


def _subjects(metafunc: pytest.Metafunc) -> Iterator[Subject]:
    from toolbox.plugin.registry import as_kind

    markers = [*metafunc.definition.iter_markers("toolbox_plugin")]
    components = [*metafunc.definition.iter_markers("toolbox_component")]
    names = [name for marker in markers for name in marker.args]
    if not markers and not components:
        names = list(metafunc.config.getini(INI))
    for name in names:
        yield from _of_plugin(name)
    for marker in components:
        kind, spec = marker.args
        yield _subject(as_kind(kind), spec)


def _of_plugin(name: str) -> Iterator[Subject]:
    plugin = next((each for each in _registry().plugins if each.name == name), None)
    if plugin is None or plugin.error:
        reason = "is not installed" if plugin is None else f"does not load: {plugin.error}"
        raise pytest.Collector.CollectError(f"the plugin {name!r} of the toolbox {reason}")
    for component in plugin.components:
        yield _subject(component.kind, component.name)


@cache
def _subject(kind: str, spec: str) -> Subject:
    """One for all its checks, which share what they make."""
    from toolbox.api.errors import ToolboxError
    from toolbox.testing.subject import Subject

    try:
        return Subject(kind, spec, _registry())  # type: ignore[arg-type]
    except ToolboxError as error:
        raise pytest.Collector.CollectError(" ".join(str(error).split())) from error


def _checks(subject: Subject) -> list[Check]:
    """The checks that can be made of it; where it can't even be made, one of them says why."""
    from toolbox.testing.run import applies, checks_of

    return [check for check in checks_of(subject.kind) if applies(check, subject)]
