"""Nine broken plugins, each a distribution of its own in a folder that goes on ``PYTHONPATH``."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

HOOK = """
from toolbox.api.components import DatasetComponent, ModelComponent
from toolbox.api.hooks import hookimpl

@hookimpl
"""
BROKEN = {
    "raises": ("raise RuntimeError('no luck')", "no luck"),
    "raises-in-hook": (HOOK + "def toolbox_models():\n    raise OSError('hook')", "OSError: hook"),
    "wrong-signature": (
        HOOK + "def toolbox_models(registry):\n    return []",
        "are declared in the hookimpl",
    ),
    "misspelt-hook": (HOOK + "def toolbox_augmentres():\n    return []", "unknown hook 'toolbox_augmentres'"),
    "bad-descriptor": (HOOK + "def toolbox_datasets():\n    yield 'a dataset'", "'a dataset', which is no dataset"),
    "taken-name": (
        HOOK + "def toolbox_models():\n    yield ModelComponent('resnet50', 'not the one', 'broken_taken_name:f')",
        "offers the model 'resnet50', a name that timm has",
    ),
    "exits": ("import sys; sys.exit('bye')", "called sys.exit('bye')"),
    "prints": ("import os\nprint('hello')\nos.write(1, b'hello')\nraise ValueError('and fails')", "and fails"),
    "other-api": (
        HOOK + "def toolbox_datasets():\n    yield DatasetComponent('x', 'y', 'a:b', api_version=99)",
        "plugin API 99",
    ),
}
"""By plugin: its module, and what ``plugins list`` must say of it."""


def distribution(site: Path, name: str, module: str, text: str, version: str = "1.0") -> None:
    """A distribution ``toolbox-NAME`` in ``site`` as an installer leaves it, with one plugin in one module."""
    (site / f"{module}.py").write_text(textwrap.dedent(text), "utf-8")
    info = site / f"toolbox_{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toolbox-{name}\nVersion: {version}\n", "utf-8")
    (info / "INSTALLER").write_text("pip\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[toolbox]\n{name} = {module}\n", "utf-8")
    (info / "RECORD").touch()
    files = [f"{module}.py", *(f"{info.name}/{file.name}" for file in info.iterdir())]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), "utf-8")


def install_all(site: Path) -> dict[str, str]:
    """Install all of them in ``site``; return the environment variables for a process that sees them."""
    for name, (text, _) in BROKEN.items():
        distribution(site, name, f"broken_{name.replace('-', '_')}", text)
    return environment(site)


def environment(site: Path) -> dict[str, str]:
    """What makes ``site`` a place where distributions are, for a process that is started."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}
