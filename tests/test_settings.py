"""Settings: one order everywhere, every name known, every value in its range."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from toolbox.api.errors import UsageError
from toolbox.settings import layers, template
from toolbox.settings.schema import Settings, known_names


def test_later_layers_win() -> None:
    suggested = layers.from_names("dataset", {"training.size": 64, "augment.size": 64})
    file = layers.from_table("toolbox.toml", {"seed": 3, "augment": {"size": 128, "factor": 7}})
    line = layers.from_assignments(["augment.factor=9"])
    settings = layers.resolve([suggested, file, line])
    assert (settings.training.size, settings.augment.size, settings.augment.factor, settings.seed) == (64, 128, 9, 3)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("training.learning_rate", ""),
        ("training.epoch", "training.epochs"),
        ("augment.factr", "augment.factor"),
        ("batch_size", "training.batch_size"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_closest(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        layers.from_assignments([f"{name}=1"])
    assert name in caught.value.message and meant in caught.value.hint


@pytest.mark.parametrize(
    "assignment",
    [
        "split.test=1.5",
        "split.val=-0.1",
        "augment.factor=0",
        "augment.quality=101",
        "training.lr=nan",
        "training.optimizer=adma",
        "device=tpu",
        "seed=x",
    ],
)
def test_a_bad_value_is_an_error_that_names_the_setting_and_where_it_came_from(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        layers.resolve([layers.from_assignments([assignment])])
    assert assignment.partition("=")[0] in caught.value.message and "--set" in caught.value.message


@pytest.mark.parametrize("assignment", ["seed", "=3", ""])
def test_set_wants_key_and_value(assignment: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        layers.from_assignments([assignment])


def test_a_relative_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    file = tmp_path / "toolbox.toml"
    file.write_text('data = "photos"\n')
    assert layers.from_file(file).values["data"] == str(tmp_path / "photos")
    file.write_text('data = "phantom"\n')
    assert layers.from_file(file).values["data"] == "phantom"


@pytest.mark.parametrize(
    "text", ["seed = ", "\x00", "[split]\ntets = 0.1", "split = 3", "a = 1", '[augment]\nsize = "big"']
)
def test_a_bad_file_is_a_usage_error_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "toolbox.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"toolbox\.toml"):
        layers.resolve([layers.from_file(file)])


def test_the_template_shows_every_setting_at_its_default(tmp_path: Path) -> None:
    text = template.render(str(tmp_path))
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and not line.startswith("# Settings") else line
        for line in text.splitlines()
    )
    table = tomllib.loads(uncommented)
    shown = {name for name, value in table.items() if not isinstance(value, dict)}
    shown |= {f"{section}.{key}" for section, values in table.items() if isinstance(values, dict) for key in values}
    fallbacks = {name for name in known_names() if name.startswith(("head.", "last.")) and name not in shown}
    assert shown | fallbacks == set(known_names())
    table["data"] = Settings().data
    assert layers.resolve([layers.from_table("template", table)]) == Settings()


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[1] / "examples").glob("*/toolbox.toml")), ids=lambda path: path.parent.name
)
def test_every_example_is_valid(file: Path) -> None:
    settings = layers.resolve([layers.from_file(file)])
    assert settings.augment.factor in (5, 50)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("none", "none"),
        ("last", "last"),
        ("all", "all"),
        ("2", "2"),
        ("'02'", "2"),
        ("layer3, layer4", "layer3,layer4"),
    ],
)
def test_what_is_unfrozen_has_one_form(assignment: str, value: str) -> None:
    settings = layers.resolve([layers.from_assignments([f"last.unfreeze={assignment}"])])
    assert settings.last.unfreeze == value


@pytest.mark.parametrize("assignment", ["0", "-1", "true", "''", "layer3,,layer4", "1.5"])
def test_what_can_not_be_unfrozen_is_a_usage_error(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"last\.unfreeze"):
        layers.resolve([layers.from_assignments([f"last.unfreeze={assignment}"])])
