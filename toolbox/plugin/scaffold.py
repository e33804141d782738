"""Writes a complete plugin: the package in ``template/`` under another name.

The template is itself a working plugin, called ``sketch``, and is checked and tested as such.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolbox import __version__
from toolbox.api.components import KINDS, Kind
from toolbox.api.errors import UsageError
from toolbox.files.atomic import make_folder, translate_os_errors
from toolbox.plugin.registry import Registry

TEMPLATE = Path(__file__).parent / "template"
OLD = "sketch"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")

SUMMARIES: dict[Kind, str] = {
    "dataset": "drawings of discs and rings",
    "augmenter": "brighter or darker, with more or less contrast",
    "model": "three small blocks of convolutions",
    "evaluator": "how often the true class is among the likeliest few",
    "tracker": "a CSV file of losses in the run's folder",
    "engine": "a few threads of this process",
}
COMMANDS: dict[Kind, str] = {
    "dataset": "toolbox data inspect --data sketch",
    "augmenter": "toolbox augment --augmenter sketch:strength=0.3 --factor 5",
    "model": "toolbox train sketch --epochs 3",
    "evaluator": "toolbox evaluate --evaluator sketch",
    "tracker": "toolbox train resnet50 --set training.trackers=['sketch']",
    "engine": "toolbox augment --set augment.engine=sketch",
}


def write(name: str, kinds: Sequence[Kind], where: Path, registry: Registry) -> list[Path]:
    """A package ``toolbox-NAME`` in ``where`` that offers one component of each of ``kinds``; its files.

    Raises
    ------
    UsageError: the name is not valid or is taken, or the folder exists.
    """
    _check(name, kinds, registry)
    folder = where / f"toolbox-{name}"
    if folder.exists():
        raise UsageError(f"{folder} already exists", "Choose another name, or another folder with --out.")
    make_folder(where)
    with (
        translate_os_errors("write", folder),
        tempfile.TemporaryDirectory(dir=where, prefix=f".{folder.name}.") as temporary,
    ):
        package = Path(temporary) / "package"
        for path, text in _files(name, kinds).items():
            (package / path).parent.mkdir(parents=True, exist_ok=True)
            (package / path).write_text(text, "utf-8", newline="\n")
        shutil.move(package, folder)
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: (len(path.parts), path))


def next_steps(name: str, kinds: Sequence[Kind], folder: Path) -> list[str]:
    """The commands to run after :func:`write`."""
    commands = [_renamed(COMMANDS[kind], name) for kind in KINDS if kind in kinds]
    return [f"pip install -e {folder if folder.is_absolute() else f'./{folder.as_posix()}'}", *commands, check(name)]


def check(name: str) -> str:
    """The command that checks the plugin ``name``."""
    return f"toolbox plugins check {name}"


def _check(name: str, kinds: Sequence[Kind], registry: Registry) -> None:
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} is not a valid name for a plugin",
            "Use lower-case letters and digits, with '-' between words: my-colours",
        )
    if name.startswith("toolbox-"):
        raise UsageError(f"the folder is called toolbox-NAME anyway: leave 'toolbox-' out of {name!r}")
    if any(plugin.name == name and plugin.shipped for plugin in registry.plugins):
        raise UsageError(f"the toolbox itself has a plugin called {name!r}", "Choose another name.")
    for kind in kinds:
        if name in registry.names(kind) and registry.find(kind, name).plugin != name:
            offer = registry.find(kind, name)
            raise UsageError(f"the plugin {offer.plugin} already offers the {kind} {name!r}", "Choose another name.")


def _files(name: str, kinds: Sequence[Kind]) -> dict[str, str]:
    ordered = [kind for kind in KINDS if kind in kinds]
    paths = {"pyproject.toml", "README.md", "tests/test_sketch.py", *(f"toolbox_sketch/{kind}.py" for kind in ordered)}
    files = {path: (TEMPLATE / path).read_text("utf-8") for path in sorted(paths)}
    files["toolbox_sketch/__init__.py"] = _hooks(ordered)
    files["toolbox_sketch/py.typed"] = ""
    files["pyproject.toml"] = files["pyproject.toml"].replace("0.0.0", __version__)
    offers = "\n".join(f"- the {kind} `{OLD}`: {SUMMARIES[kind]}" for kind in ordered)
    commands = "\n".join([*(COMMANDS[kind] for kind in ordered), check(OLD)])
    files["README.md"] = files["README.md"].replace("OFFERS", offers).replace("COMMANDS", commands)
    files["README.md"] = files["README.md"].replace("KIND.py", f"{ordered[0]}.py").replace("KIND", ordered[0])
    return {_renamed(path, name): _renamed(text, name) for path, text in files.items()}


def _hooks(kinds: Sequence[Kind]) -> str:
    """The module that the entry point names. ``api_version`` records what the plugin was written for."""
    imported = ", ".join(sorted(f"{kind.capitalize()}Component" for kind in kinds))
    parts = [
        f'''"""A plugin for toolbox. Nothing heavy is imported here: factories are imported on use."""

from collections.abc import Iterator

from toolbox import {imported}, hookimpl
'''
    ]
    for kind in kinds:
        title = kind.capitalize()
        parts.append(f'''

@hookimpl
def toolbox_{kind}s() -> Iterator[{title}Component]:
    """The {kind} that this plugin offers."""
    yield {title}Component(
        name="sketch",
        summary="{SUMMARIES[kind]}",
        factory="toolbox_sketch.{kind}:Sketch{title}",
        api_version=1,
        example="{COMMANDS[kind]}",
    )
''')
    return "".join(parts)


def _renamed(text: str, name: str) -> str:
    """``text`` with the template's name replaced, as a module, a class and a plain word."""
    words = name.split("-")
    text = re.sub(rf"(?<=toolbox_){OLD}|(?<=test_){OLD}|{OLD}(?=_)", "_".join(words), text)
    return text.replace(OLD.capitalize(), "".join(word.capitalize() for word in words)).replace(OLD, name)
