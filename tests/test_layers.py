"""Imports run downward only, wherever in a file they stand, and plugins import nothing but the public API."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = (
    "cli",
    "testing",
    "study",
    "workspace",
    "report",
    "evaluation",
    "training",
    "models",
    "runs",
    "augment",
    "data",
    "settings",
    "plugin",
    "cache",
    "files",
    "statistics",
    "api",
)
"""From the top. The folders and modules in one line don't import each other."""

ALLOWED = {
    # A window for plugins on what the core itself computes with.
    ("toolbox.api.statistics", "statistics"),
    # For annotations alone. The page may move to study/, which is the only place that writes it.
    ("toolbox.report.study_page", "study"),
}
"""Modules that import a higher layer. This set only shrinks."""


def modules() -> dict[str, Path]:
    """The modules of ``toolbox`` by name, without the package itself and the template for new plugins."""
    paths = [path for path in (ROOT / "toolbox").rglob("*.py") if "template" not in path.parts]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    return {name: path for name, path in names.items() if name not in ("toolbox", "toolbox.__main__")}


def imports(path: Path) -> Iterator[str]:
    """Every name that a file imports, in functions and for annotations, too: ``package.module.name``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def graph() -> dict[str, set[str]]:
    """The modules that each module imports."""
    known = modules()
    owners = {
        name: name if name in known else name.rpartition(".")[0] for path in known.values() for name in imports(path)
    }
    return {name: {owners[each] for each in imports(path)} & known.keys() - {name} for name, path in known.items()}


def test_imports_run_downward() -> None:
    rank = {part: number for number, parts in enumerate(LAYERS) for part in parts.split()}
    upward = set()
    for name, others in graph().items():
        own = name.split(".")[1]
        upward |= {
            (name, part) for part in {other.split(".")[1] for other in others} - {own} if rank[part] <= rank[own]
        }
    assert upward == ALLOWED


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = graph()
    for name, part in ALLOWED:
        edges[name] = {other for other in edges[name] if other.split(".")[1] != part}
    TopologicalSorter(edges).prepare()  # a CycleError names the circle


def test_plugins_import_the_public_api_alone() -> None:
    files = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "toolbox/plugin/template").rglob("toolbox_*/*.py")]
    foreign = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in imports(path)
        if name.split(".")[0] == "toolbox" and name.split(".")[1:2] != ["api"]
    }
    assert len(files) > 50 and foreign == set()
