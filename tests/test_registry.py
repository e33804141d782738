"""Plugins: each loaded by itself, a broken one named and never in the way."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from toolbox.api.components import KINDS, DatasetComponent
from toolbox.api.errors import Interrupted, PluginError, UsageError
from toolbox.plugin import disabled, schema
from toolbox.plugin.registry import Registry, as_kind
from toolbox.plugin.spec import parse

GOOD = """
    from toolbox.api.components import DatasetComponent
    from toolbox.api.hooks import hookimpl
    from toolbox.api.dataset import Dataset, Sample

    class Few(Dataset):
        def __init__(self, *, many: int = 3) -> None:
            self.many = many
        def samples(self):
            yield from (Sample(str(number), str(number), "ab"[number % 2]) for number in range(self.many))

    def not_a_dataset() -> int:
        return 3

    @hookimpl
    def toolbox_datasets():
        yield DatasetComponent("few", "a few", "PLUGIN:Few")
        yield DatasetComponent("wrong", "returns a number", "PLUGIN:not_a_dataset")
        yield DatasetComponent("gone", "has no factory", "PLUGIN:Gone")
"""
HOOK = "from toolbox.api.hooks import hookimpl\n@hookimpl\n"
BROKEN = {
    "raises": "raise RuntimeError('no luck')",
    "exits": "import sys; sys.exit('bye')",
    "syntax": "def (",
    "misspelt": f"{HOOK}def toolbox_dataset():\n    return []",
    "signature": f"{HOOK}def toolbox_datasets(wrong):\n    return []",
    "descriptor": f"{HOOK}def toolbox_datasets():\n    return ['few']",
    "unmarked": "def toolbox_datasets():\n    return []",
    "not_iterable": f"{HOOK}def toolbox_datasets():\n    return 3",
    "twice": (
        "from toolbox.api.components import DatasetComponent\n"
        f"{HOOK}def toolbox_datasets():\n    return [DatasetComponent('x', 'y', 'a:b')] * 2"
    ),
    "endless": (
        "from toolbox.api.components import DatasetComponent\n"
        f"{HOOK}def toolbox_datasets():\n    while True: yield DatasetComponent('x', 'y', 'a:b')"
    ),
    "in_hook": f"{HOOK}def toolbox_datasets():\n    raise OSError('hook')",
    "old_api": (
        "from toolbox.api.components import DatasetComponent\n"
        f"{HOOK}def toolbox_datasets():\n    return [DatasetComponent('x', 'y', 'a:b', api_version=99)]"
    ),
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def plugin(folder: Path, name: str, text: str) -> EntryPoint:
    (folder / f"{name}.py").write_text(textwrap.dedent(text).replace("PLUGIN", name))
    return EntryPoint(name, name, "toolbox")


def test_each_broken_plugin_is_named_with_its_reason_and_the_good_one_works(modules: Path) -> None:
    points = [plugin(modules, name, text) for name, text in BROKEN.items()]
    points += [EntryPoint("no_module", "not a module!", "toolbox")]
    registry = Registry(
        [*points, plugin(modules, "good", GOOD), EntryPoint("absent", "no_such_module_here", "toolbox")]
    )
    assert {status.name for status in registry.failures()} == {*BROKEN, "absent", "no_module"}
    assert all(status.error for status in registry.failures())
    assert registry.names("dataset") == ["few", "gone", "wrong"]
    assert len(list(registry.dataset("few:many=5").samples())) == 5


def test_a_plugin_that_prints_does_not_reach_stdout(modules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Registry([plugin(modules, "loud", "print('hello')")])
    captured = capfd.readouterr()
    assert captured.out == "" and "hello" in captured.err


def test_ctrl_c_names_the_plugin_that_was_being_loaded(modules: Path) -> None:
    points = [plugin(modules, "good", GOOD), plugin(modules, "hangs", "raise KeyboardInterrupt")]
    with pytest.raises(Interrupted, match="while the plugin hangs was being loaded") as caught:
        Registry(points)
    assert "toolbox plugins disable hangs" in caught.value.hint and "--no-plugins" in caught.value.hint


def test_a_plugin_that_fails_leaves_nothing_behind(modules: Path) -> None:
    """One manager serves all: the failed plugin's hooks are neither called nor checked for the ones after it."""
    wrong = HOOK + "def toolbox_datasets(wrong):\n    return []\n" + HOOK + "def toolbox_models():\n    return [3]"
    points = [plugin(modules, "a_wrong", wrong), plugin(modules, "b_misspelt", BROKEN["misspelt"])]
    registry = Registry([*points, plugin(modules, "good", GOOD)])
    assert [status.name for status in registry.failures()] == ["a_wrong", "b_misspelt"]
    assert "toolbox_dataset'" in registry.failures()[1].error and "toolbox_datasets" in registry.failures()[1].hint
    assert registry.names("dataset") == ["few", "gone", "wrong"] and registry.names("model") == []


def test_a_name_that_the_toolbox_has_stays_the_toolboxs(modules: Path) -> None:
    text = GOOD.replace("few", "phantom")
    points = [*entry_points(group="toolbox"), plugin(modules, "aaa", text), plugin(modules, "timm", GOOD)]
    registry = Registry(points)
    assert registry.find("dataset", "phantom").distribution == "vision-toolbox"
    errors = [status.error for status in registry.failures()]
    assert len(errors) == 2 and "a name that phantom has already" in errors[0]
    assert "already called 'timm'" in errors[1]
    assert registry.find("dataset", "wrong").plugin == "aaa"


def test_disabled_plugins_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled.save(["timm"])
    monkeypatch.setenv("TOOLBOX_DISABLE_PLUGINS", "alzheimer,")
    registry = Registry()
    assert {status.name: status.disabled_by for status in registry.plugins if status.disabled_by} == {
        "timm": disabled.BY_COMMAND,
        "alzheimer": "TOOLBOX_DISABLE_PLUGINS",
    }
    with pytest.raises(UsageError, match=r"timm \(by 'toolbox plugins disable'\)"):
        registry.model("resnet50")
    disabled.remove(["timm", "never-heard-of"])
    assert Registry().find("model", "resnet50")


@pytest.mark.parametrize("text", ["{", '{"disabled": 3}', "[]"])
def test_a_broken_list_of_disabled_plugins_is_named(text: str) -> None:
    disabled.save(["timm"])
    disabled.config_file().write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"plugins\.json"):
        Registry()


def test_a_factory_that_breaks_its_contract_is_a_plugin_error(modules: Path) -> None:
    registry = Registry([plugin(modules, "good", GOOD)])
    with pytest.raises(PluginError, match="returned an int; expected a Dataset"):
        registry.dataset("wrong")
    with pytest.raises(PluginError, match="can't be imported"):
        registry.dataset("gone")


def test_two_plugins_with_one_name_are_both_named(modules: Path) -> None:
    registry = Registry([plugin(modules, "one", GOOD), plugin(modules, "two", GOOD)])
    with pytest.raises(UsageError, match=r"one .* and two"):
        registry.dataset("few")


def test_unknown_names_and_keys_name_the_closest(registry: Registry) -> None:
    with pytest.raises(UsageError, match="resnet50"):
        registry.model("resnet5")
    with pytest.raises(UsageError, match="rotation"):
        registry.augmenter("alzheimer:rotatoin=3")
    with pytest.raises(UsageError, match="is a model, not an augmenter"):
        registry.augmenter("resnet50")


def test_every_first_party_plugin_loads(registry: Registry) -> None:
    assert registry.failures() == []
    offered = {(offer.component.kind, offer.component.name) for offer in registry.offers()}
    assert offered >= {
        ("dataset", "folder"),
        ("dataset", "phantom"),
        ("augmenter", "flip-rotate-zoom"),
        ("augmenter", "alzheimer"),
        ("augmenter", "colour"),
        ("augmenter", "mri"),
        ("augmenter", "randaugment"),
        ("augmenter", "trivialaugment"),
        ("augmenter", "mixup"),
        ("augmenter", "cutmix"),
        ("augmenter", "compose"),
        ("model", "alzheimer-cnn"),
        ("model", "vgg16"),
        ("model", "resnet50"),
        ("model", "efficientnet-lite0"),
        ("model", "timm"),
        ("evaluator", "classification"),
        ("tracker", "mlflow"),
        ("tracker", "tensorboard"),
        ("engine", "inline"),
        ("engine", "processes"),
    }


def test_every_parameter_of_every_component_is_described(registry: Registry) -> None:
    for offer in registry.offers():
        for parameter in schema.parameters(registry.factory(offer), offer.component.name):
            assert parameter.description, f"{offer.component.name}: {parameter.name}"


def test_the_signature_is_the_schema() -> None:
    def factory(
        *, side: Annotated[int, Field(ge=1, description="pixels")], border: Literal["a", "b"] = "a"
    ) -> None: ...

    side, border = schema.parameters(factory, "it")
    assert (side.name, side.type, side.required, side.description) == ("side", "int", True, "pixels")
    assert (border.type, border.default) == ("a | b", "a")

    def several(
        *, kinds: tuple[Literal["a", "b"], ...] = ("a",), levels: list[Annotated[int, Field(ge=1)]]
    ) -> None: ...

    assert [each.type for each in schema.parameters(several, "it")] == ["list of a | b", "list of int"]
    assert schema.validate(factory, {"side": "3"}, "it") == {"side": 3}

    def of(*, which: Literal["predicted", "true"] = "true", sure: Literal[True] | None = None) -> None: ...

    assert schema.validate(of, parse("it:which=true").parameters, "it") == {"which": "true"}
    assert schema.validate(of, parse("it:sure=true").parameters, "it") == {"sure": True}
    for bad in ({}, {"side": 0}, {"side": 1, "border": "c"}, {"side": 1, "bordre": "a"}):
        with pytest.raises(UsageError):
            schema.validate(factory, bad, "it")


def test_a_factory_can_have_other_components_made(modules: Path) -> None:
    """By a parameter annotated as Components, which is no option of the component."""
    twice = """
        from toolbox.api.components import DatasetComponent
        from toolbox.api.hooks import hookimpl
        from toolbox.api.components import Components
        from toolbox.api.dataset import Dataset

        class Twice(Dataset):
            def __init__(self, *, of: str, parts: Components) -> None:
                self.of = parts.dataset(of)
            def samples(self):
                yield from self.of.samples()
                yield from self.of.samples()

        @hookimpl
        def toolbox_datasets():
            yield DatasetComponent("twice", "another one, twice", "PLUGIN:Twice")
    """
    registry = Registry([plugin(modules, "good", GOOD), plugin(modules, "more", twice)])
    assert len(list(registry.dataset('twice:of="few:many=5"').samples())) == 10
    assert len(list(registry.dataset({"name": "twice", "of": "twice:of=few"}).samples())) == 12
    factory = registry.factory(registry.find("dataset", "twice"))
    assert [parameter.name for parameter in schema.parameters(factory, "it")] == ["of"]
    with pytest.raises(UsageError, match="no parameter 'parts'"):
        registry.dataset("twice:of=few,parts=3")
    with pytest.raises(UsageError, match="fwe"):
        registry.dataset("twice:of=fwe")


@pytest.mark.parametrize("bad", [{"name": "Has Space"}, {"factory": "no.colon"}, {"summary": " "}])
def test_a_bad_descriptor_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        DatasetComponent(**{"name": "ok", "summary": "fine", "factory": "a.b:c", **bad})


def test_kinds_are_singular_or_plural() -> None:
    assert [as_kind(f"{kind}s") for kind in KINDS] == [as_kind(kind) for kind in KINDS] == list(KINDS)
    with pytest.raises(UsageError):
        as_kind("thing")
