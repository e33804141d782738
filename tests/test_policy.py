"""What holds for every hook and every component of the first party, those that are yet to be written included."""

from __future__ import annotations

import importlib
import shlex
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.command_lines import parse_command_line
from tests.conftest import Toolbox
from toolbox.plugin import reference, schema
from toolbox.plugin.registry import PROTOCOLS, Offer, Registry
from toolbox.plugin.spec import parse
from toolbox.testing import checks

ROOT = Path(__file__).parents[1]
HOOKS = reference.hooks()
OWN = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["toolbox"]
FIRST_PARTY = Registry([EntryPoint(name, value, "toolbox") for name, value in OWN.items()])
OFFERS = [pytest.param(offer, id=f"{offer.component.kind} {offer.component.name}") for offer in FIRST_PARTY.offers()]

PLUGIN = """
from toolbox import hookimpl
from toolbox.api.components import {descriptor}, {other}

@hookimpl
def {hook}():
    yield {offered}("one", "one of them", "{module}:make")

def make(*, much: int = 1):
    return much
"""


def test_the_first_party_loads() -> None:
    assert FIRST_PARTY.failures() == [] and len(OFFERS) >= len(OWN)


# ------------------------------------------------------------------------------------------------------- hooks


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_documented(name: str) -> None:
    """In the author's guide, with its example and with everything that its factory's product has."""
    guide = (ROOT / "plugins" / "README.md").read_text("utf-8")
    section = guide.partition(f"### `{name}`\n")[2].partition("\n### ")[0]
    descriptor = reference.descriptor_of(HOOKS[name])
    assert reference.example(HOOKS[name]) in section and f"def {name}():" in section
    for made in PROTOCOLS[descriptor.kind]:
        assert f"`{made.__module__}.{made.__name__}`" in section
        assert [method for method in made.__abstractmethods__ if f"- `{method}(" not in section] == []


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_called_and_what_it_gives_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin with this hook alone offers its component; one that gives another kind's descriptor is refused."""
    descriptor = reference.descriptor_of(HOOKS[name])
    other = next(reference.descriptor_of(hook) for other, hook in HOOKS.items() if other != name)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, offered in ((f"right_{name}", descriptor), (f"wrong_{name}", other)):
        names = {"descriptor": descriptor.__name__, "other": other.__name__, "offered": offered.__name__}
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(hook=name, module=module, **names), "utf-8")
    importlib.invalidate_caches()
    right = Registry([EntryPoint("right", f"right_{name}", "toolbox")])
    (offer,) = right.offers()
    assert type(offer.component) is descriptor and not right.failures()
    assert right.factory(offer)(much=3) == 3
    wrong = Registry([EntryPoint("wrong", f"wrong_{name}", "toolbox")])
    (failed,) = wrong.failures()
    assert name in failed.error and f"no {descriptor.kind} component" in failed.error and not wrong.offers()
    for module in (f"right_{name}", f"wrong_{name}"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_a_kit_and_a_third_party_example(name: str) -> None:
    """The kit checks what it returns; the scaffold and the example plugin implement it."""
    kind = reference.descriptor_of(HOOKS[name]).kind
    assert len(checks(kind)) > 8
    example = (ROOT / "examples/third_party/src/toolbox_example/__init__.py").read_text("utf-8")
    assert f"def {name}(" in example
    assert (ROOT / f"toolbox/plugin/template/toolbox_sketch/{kind}.py").is_file()


# -------------------------------------------------------------------------------------------------- components


@pytest.mark.parametrize("offer", OFFERS)
def test_each_component_is_shown_with_an_example(offer: Offer, toolbox: Toolbox) -> None:
    """One that is a command line as the toolbox reads it, with parameters that the component has."""
    example = offer.component.example
    assert example, f"{offer.component.name} of {offer.plugin} has no example in its descriptor"
    program, *words = shlex.split(example)
    assert program == "toolbox"
    parse_command_line(words)
    values = [*words, *(word.partition("=")[2].strip("[]'\"") for word in words)]
    spec = next(parse(value) for value in values if value.partition(":")[0] == offer.component.name)
    schema.validate(FIRST_PARTY.factory(offer), spec.parameters, "the example")


def test_show_prints_the_example_or_makes_one(toolbox: Toolbox) -> None:
    assert "toolbox augment --augmenter mri:ghosting=0.1 --factor 5" in toolbox("show", "augmenter", "mri").stdout
    examples = {}
    for offer in FIRST_PARTY.offers():
        plain = type(offer.component)(offer.component.name, "without an example", offer.component.factory)
        examples[plain.name] = schema.example(plain, schema.parameters(FIRST_PARTY.factory(offer), plain.name))
        parse_command_line(shlex.split(examples[plain.name])[1:])
    assert examples["subgroups"] == "toolbox evaluate --evaluator subgroups:column=…"
