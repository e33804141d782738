"""Start-up: help and listings import nothing heavy. Counted in modules; the time is the benchmark's affair."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Not pydantic: Typer itself imports it to parse an option.
HEAVY = (
    "torch",
    "timm",
    "kornia",
    "kornia_rs",
    "torchmetrics",
    "numpy",
    "scipy",
    "statsmodels",
    "sklearn",
    "matplotlib",
    "PIL",
    "pluggy",
)
MODULES = """
import sys
from toolbox.cli.app import run
code = run({arguments!r})
print("\\n" + " ".join(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
sys.exit(code)
"""


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(arguments=list(arguments))], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["finetune", "--help"],
        ["augment", "--help"],
        ["compare", "--help"],
        ["data", "split", "--help"],
    ],
)
def test_help_imports_nothing_heavy_and_no_plugin(arguments: list[str]) -> None:
    imported = modules_after(*arguments)
    assert imported.isdisjoint(HEAVY)
    assert not {name for name in imported if name.startswith("toolbox_")}


@pytest.mark.parametrize("arguments", [["list"], ["plugins", "list"]])
def test_listings_import_no_plugins_heavy_half(arguments: list[str]) -> None:
    assert modules_after(*arguments).isdisjoint(("torch", "timm", "kornia", "torchmetrics", "scipy", "matplotlib"))
