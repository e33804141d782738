"""The kit catches what is broken: a good plugin, broken in many ways one at a time, and the check that names each."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.kit_mutations import AUGMENTER, DATASET, ENGINE, EVALUATOR, MIXING, MODEL, TRACKER
from toolbox.api.components import KINDS, Kind
from toolbox.plugin.registry import Registry
from toolbox.testing import check_component, check_plugin, checks

GOOD = (Path(__file__).parent / "good_plugin.py").read_text("utf-8")
REGISTRATION = """
from toolbox.api.components import AugmenterComponent, DatasetComponent, EngineComponent
from toolbox.api.components import EvaluatorComponent, ModelComponent, TrackerComponent
from toolbox.api.hooks import hookimpl

@hookimpl
def toolbox_datasets():
    yield DatasetComponent("squares", "squares to be told apart", "HEAVY:Squares")

@hookimpl
def toolbox_augmenters():
    yield AugmenterComponent("brighten", "brighter or darker", "HEAVY:Brighten")
    yield AugmenterComponent("blend", "each image with its neighbour", "HEAVY:Blend")

@hookimpl
def toolbox_models():
    yield ModelComponent("tiny", "a very small network", "HEAVY:Tiny")

@hookimpl
def toolbox_evaluators():
    yield EvaluatorComponent("right", "how many are right", "HEAVY:Right")

@hookimpl
def toolbox_trackers():
    yield TrackerComponent("lines", "a line for each epoch", "HEAVY:Lines")

@hookimpl
def toolbox_engines():
    yield EngineComponent("serial", "one item after the other", "HEAVY:Serial")
"""
_numbers = itertools.count()

Break = Callable[[str, str], Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Registry]]:
    """Writes the good plugin with a change or two, and gives a registry that knows it alone."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)

    def write(heavy: dict[str, str], light: dict[str, str] | None = None) -> Registry:
        name = f"broken_{next(_numbers)}"
        for suffix, text, changes in (("_heavy", GOOD, heavy), ("", REGISTRATION, light or {})):
            for old, new in changes.items():
                assert old in text, f"the good plugin has no {old!r}"
                text = text.replace(old, new, 1)
            (tmp_path / f"{name}{suffix}.py").write_text(text.replace("HEAVY:", f"{name}_heavy:"), "utf-8")
        return Registry([EntryPoint(name, name, "toolbox")])

    yield write
    for name in set(sys.modules) - known:
        if name.startswith("broken_"):
            del sys.modules[name]


def test_the_good_plugin_is_good(install: Callable[..., Registry]) -> None:
    registry = install({})
    assert check_plugin(registry.plugins[0].name, registry) == []


CASES = [
    pytest.param(kind, name, old, new, check, id=f"{name}: {what}")
    for kind, name, mutations in (
        ("dataset", "squares", DATASET),
        ("augmenter", "brighten", AUGMENTER),
        ("augmenter", "blend", MIXING),
        ("model", "tiny", MODEL),
        ("evaluator", "right", EVALUATOR),
        ("tracker", "lines", TRACKER),
        ("engine", "serial", ENGINE),
    )
    for what, (old, new, check) in mutations.items()
]


@pytest.mark.parametrize(("kind", "name", "old", "new", "check"), CASES)
def test_what_is_broken_is_caught(
    install: Callable[..., Registry], kind: Kind, name: str, old: str, new: str, check: str
) -> None:
    assert check_component(kind, name, install({old: new}), only=check), f"{check} has nothing to say"


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("from toolbox.api.hooks", "import torch\nfrom toolbox.api.hooks", "imports-nothing-heavy"),
        ("brighter or darker", "x" * 200, "described"),
        ('"HEAVY:Brighten"', '"HEAVY:Brighten", example="toolbox augment --augmenter brighten:by=x"', "example-valid"),
        ('"HEAVY:Brighten"', '"HEAVY:Brighten", example="toolbox augment --augmenter darken"', "example-valid"),
        ("HEAVY:Brighten", "HEAVY:Darken", "factory-exists"),
        ("HEAVY:Brighten", "HEAVY:Squares", "can-be-built"),
    ],
)
def test_a_bad_registration_is_caught(install: Callable[..., Registry], old: str, new: str, check: str) -> None:
    assert check_component("augmenter", "brighten", install({}, {old: new}), only=check), f"{check} has nothing to say"


def test_a_plugin_that_does_not_load_is_one_finding(install: Callable[..., Registry]) -> None:
    registry = install({}, {"@hookimpl": "raise RuntimeError('no luck')\n@hookimpl"})
    (finding,) = check_plugin(registry.plugins[0].name, registry)
    assert (finding.check, "no luck" in finding.problem) == ("loads", True)


def test_two_plugins_with_one_name_are_found(install: Callable[..., Registry]) -> None:
    one, two = install({}), install({})
    points = [EntryPoint(each.plugins[0].name, each.plugins[0].module, "toolbox") for each in (one, two)]
    both = Registry(points)
    (found,) = check_plugin(both.plugins[0].name, both)
    assert found.check == "loads" and f"and so does {both.plugins[1].name}" in found.problem


def test_every_property_is_broken_at_least_once() -> None:
    caught = {(kind, check) for kind, _, _, _, check in (case.values for case in CASES)}
    properties = {(kind, check.name) for kind in KINDS for check in checks(kind) if check.builds}
    assert properties <= caught
