"""The conformance kit: checks that a component has the properties that the toolbox relies on. For plugin authors.

From the shell, on an installed plugin::

    toolbox plugins check demo

In a plugin's tests, one test for each check (see :mod:`toolbox.testing.pytest_plugin`)::

    @pytest.mark.toolbox_plugin("demo")
    def test_it_conforms(toolbox_check):
        toolbox_check()

or all in one test, also for a component that needs a parameter::

    def test_the_dataset_conforms(tmp_path):
        write_archive(tmp_path / "few.npz")
        assert check_component("dataset", {"name": "npz", "path": str(tmp_path / "few.npz")}) == []

The checks are in :mod:`toolbox.testing.kinds`: ``common`` holds those of all components, and each kind has a file or
two. Importing this package imports nothing heavy.
"""

from toolbox.testing.check import Check, Finding
from toolbox.testing.runner import check_component, check_plugin, checks, missing_parameters

__all__ = ["Check", "Finding", "check_component", "check_plugin", "checks", "missing_parameters"]
