"""The kit in pytest: a test for each check. pytest finds this module by its entry point ``toolbox``.

A test that takes the fixture ``toolbox_check`` runs once for each check of the components that its markers name::

    import pytest

    @pytest.mark.toolbox_plugin("demo")                                # all components of an installed plugin
    @pytest.mark.toolbox_component("augmenter", "demo:strength=0.5")   # one component, by its kind and spec
    def test_it_conforms(toolbox_check):
        toolbox_check()

Without a marker, pytest's configuration names the plugins::

    [tool.pytest.ini_options]
    toolbox_plugins = ["demo"]

Use :func:`toolbox.testing.check_component` for a component that needs a file which the test writes first.

pytest imports this module whenever it starts, so that it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from toolbox.api.errors import ToolboxError
from toolbox.testing import runner

if TYPE_CHECKING:
    from toolbox.plugin.registry import Registry
    from toolbox.testing.subject import Subject

INI = "toolbox_plugins"
FIXTURE = "toolbox_check"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``toolbox_plugins``."""
    parser.addini(INI, "Installed plugins of the toolbox that the fixture toolbox_check checks", "args", [])


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers for ``--strict-markers``."""
    for marker, meaning in (
        ("toolbox_plugin(name, ...)", "toolbox_check runs the checks of these installed plugins"),
        ("toolbox_component(kind, spec)", "toolbox_check runs the checks of this component"),
    ):
        config.addinivalue_line("markers", f"{marker}: {meaning}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check of each component that the test's markers name."""
    if FIXTURE not in metafunc.fixturenames:
        return
    try:
        cases = [
            pytest.param((check, subject), id=f"{subject}-{check.name}")
            for subject in _subjects(metafunc)
            for check in runner.checks(subject.kind)
            if runner.applies(check, subject)
        ]
    except ToolboxError as error:
        raise pytest.Collector.CollectError(" ".join(str(error).split())) from error
    if not cases:
        raise pytest.Collector.CollectError(
            f"{metafunc.function.__name__} takes {FIXTURE}, but names nothing to check: mark it with toolbox_plugin or"
            f" toolbox_component, or set {INI}"
        )
    metafunc.parametrize(FIXTURE, cases, indirect=True)


@pytest.fixture
def toolbox_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Call it to run one check; it fails with the findings, and why the toolbox relies on the property."""
    check, subject = request.param

    def call() -> None:
        findings = list(runner.run(check, subject))
        if findings:
            pytest.fail("\n".join([*map(str, findings), "", check.why]), pytrace=False)

    return call


def _subjects(metafunc: pytest.Metafunc) -> Iterator[Subject]:
    from toolbox.plugin.registry import as_kind

    definition = metafunc.definition
    plugins = [name for marker in definition.iter_markers("toolbox_plugin") for name in marker.args]
    components = [marker.args for marker in definition.iter_markers("toolbox_component")]
    if not plugins and not components:
        plugins = list(metafunc.config.getini(INI))
    for name in plugins:
        plugin, _ = runner.find_plugin(name, _registry())
        if plugin.error:
            raise pytest.Collector.CollectError(f"the plugin {name!r} does not load: {plugin.error}")
        for component in plugin.components:
            yield _subject(component.kind, component.name)
    for kind, spec in components:
        yield _subject(as_kind(kind), spec)


@cache
def _registry() -> Registry:
    from toolbox.plugin.registry import Registry

    return Registry()


@cache
def _subject(kind: Any, spec: str) -> Subject:
    """One for all its checks, which share what they build."""
    return runner.subject_of(kind, spec, _registry())
