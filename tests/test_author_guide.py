"""The author's guide, from its first line to its last: every example is run as it stands."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fresh import environment
from toolbox.api.errors import UsageError
from toolbox.plugin import reference
from toolbox.plugin.registry import Registry

GUIDE = Path(__file__).parents[1] / "plugins" / "README.md"
TEXT = GUIDE.read_text("utf-8")
BLOCK = re.compile(r"^(?:<!-- (run|file: \S+) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def written() -> str:
    """The guide without what is generated."""
    return TEXT.partition(reference.BEGIN)[0] + TEXT.partition(reference.END)[2]


def slides(folder: Path) -> None:
    """What the guide calls ``slides``: CLASS_PATIENT_NUMBER.png, the classes of different brightness."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(60):
        bright = number // 3 % 2
        pixels = rng.integers(0, 90, (40, 40, 3)) + 120 * bright
        name = f"{('none', 'tumour')[bright]}_p{number // 3:02d}_{number % 3}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)


@pytest.mark.slow  # two minutes: every command in a process of its own
def test_the_whole_guide(tmp_path: Path) -> None:
    """Its commands, in an environment of their own, and its files where it says, one after the other."""
    fresh = environment(tmp_path / "environment")
    here = tmp_path / "here"
    here.mkdir()
    slides(here / "slides")
    said = []
    for mark, _, content in BLOCK.findall(written()):
        assert mark, f"this block of the guide says neither 'run' nor 'file', so that no test runs it: {content}"
        if mark != "run":
            path = here / mark.removeprefix("file: ")
            assert path.is_file(), f"{path} is none of the files that 'plugins new' wrote"
            path.write_text(content, "utf-8")
            continue
        for line in content.splitlines():
            program, *arguments = shlex.split(line)
            module = {"toolbox": ["-m", "toolbox"], "pip": ["-m", "pip"], "python": []}[program]
            done = fresh.run(*module, *arguments, cwd=here, PYTHONDONTWRITEBYTECODE="1")
            assert done.code == 0, f"{line}:\n{done.stdout}\n{done.stderr}"
            said.append(done.stdout)
    assert (here / "preview.png").is_file() and len(list(here.glob("augmented/grain-*/*/*.jpg"))) > 100
    everything = "\n".join(said)
    assert "grain: passes" in everything and "lab: passes" in everything
    assert "where the model is sure (0.6)" in everything


def test_the_hook_reference_is_up_to_date() -> None:
    assert reference.update(TEXT) == TEXT, "python -m toolbox.plugin.reference plugins/README.md"
    with pytest.raises(UsageError, match="no place"):
        reference.update("# Another file")


@pytest.mark.parametrize("name", reference.hooks())
def test_the_references_examples_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a whole plugin once its imports stand before it, and its factory can be imported."""
    hook = reference.hooks()[name]
    code = f"from toolbox import *\n\n\n{reference.example(hook)}\n"
    module = f"example_of_{name}"
    (tmp_path / f"{module}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry = Registry([EntryPoint("example", module, "toolbox")])
    monkeypatch.delitem(sys.modules, module)
    assert not registry.failures()
    (offer,) = registry.offers()
    assert type(offer.component) is reference.descriptor_of(hook) and callable(registry.factory(offer))
