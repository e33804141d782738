"""The conformance kit: checks that a component does what the toolbox relies on. For authors of plugins.

From the shell, on an installed plugin::

    toolbox plugins check demo

In a plugin's tests, one test for each check (see :mod:`toolbox.testing.pytest_plugin`)::

    @pytest.mark.toolbox_plugin("demo")
    def test_it_conforms(toolbox_check):
        toolbox_check()

or all in one, also for a component that needs a parameter::

    def test_the_dataset_conforms(tmp_path):
        write_archive(tmp_path / "few.npz")
        assert check_component("dataset", {"name": "npz", "path": str(tmp_path / "few.npz")}) == []

What is checked, and why, stands with each check: one file for each kind in :mod:`toolbox.testing.kinds`, and what all
kinds have in common in :mod:`toolbox.testing.kinds.common`. Importing this package imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolbox.testing.finding import Check, Finding

if TYPE_CHECKING:
    from toolbox.api.components import Kind
    from toolbox.plugin.registry import Registry

__all__ = ["Check", "Finding", "check_component", "check_plugin", "checks", "needs_more"]


def check_plugin(name: str, registry: Registry | None = None) -> list[Finding]:
    """What is wrong with the components of the installed plugin ``name``; empty where nothing is.

    A component with parameters that must be given (:func:`needs_more`) is checked as far as that goes without making
    it: descriptor, imports, parameters. Give :func:`check_component` a whole spec for the rest.

    Parameters
    ----------
    name: the plugin's, as ``toolbox plugins list`` shows it.
    registry: where to look; by default everything that is installed.

    Raises
    ------
    toolbox.api.errors.UsageError: no plugin of this name is installed.
    """
    from toolbox.testing.run import of_plugin

    return of_plugin(name, registry)


def check_component(
    kind: Kind, spec: str | Mapping[str, Any], registry: Registry | None = None, only: str = ""
) -> list[Finding]:
    """What is wrong with one component; empty where nothing is.

    Parameters
    ----------
    kind: dataset, augmenter, model or evaluator.
    spec: its name, with parameters where it needs some: ``"npz:path=few.npz"``, or a mapping with ``name``.
    registry: where to look; by default everything that is installed.
    only: the name of the one check to be made; by default all are.

    Raises
    ------
    toolbox.api.errors.UsageError: no such component.
    """
    from toolbox.testing.run import of_component

    return of_component(kind, spec, registry, only)


def checks(kind: Kind) -> list[Check]:
    """Every check for components of ``kind``, in the order in which they are made."""
    from toolbox.testing.run import checks_of

    return checks_of(kind)


def needs_more(name: str, registry: Registry | None = None) -> list[tuple[Kind, str, list[str]]]:
    """The components of plugin ``name`` that can't be made without being told more: kind, name, and parameters."""
    from toolbox.testing.run import wanting

    return wanting(name, registry)
