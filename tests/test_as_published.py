"""Study B as it was: copies dealt to validation, inputs divided by 255, Keras's initial weights, torchvision's."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import UsageError
from toolbox.api.model import ModelRequest
from toolbox.models.build import build_model, configure_model
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.settings.layers import Layer, resolve
from toolbox.settings.schema import Settings

TINY = "timm:arch=test_resnet"


def settings(**values: object) -> Settings:
    return resolve([Layer("test", {"training.pretrained": False, "training.size": 32, **values})])


def build(registry: Registry, given: Settings):  # type: ignore[no-untyped-def]
    spec = parse(TINY)
    torch.manual_seed(0)
    return build_model(configure_model(spec, registry.model(spec), given, 2, finetune=True), given.training)


def test_validation_is_dealt_from_copies_and_the_test_split_is_untouched(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = tmp_path / "photos", tmp_path / "ws"
    write_photos(data / "train", per_class=10)
    write_photos(tmp_path / "more", per_class=14)
    for label in ("left", "right"):
        (data / "test" / label).mkdir(parents=True)
        for number in range(10, 14):
            path = tmp_path / "more" / label / f"{label}-{number}.png"
            path.rename(data / "test" / label / path.name)
    common = ("--data", data, "-C", ws, "--protocol", "augment-then-validate", "--set", "split.val=0.3")
    done = toolbox("augment", *common, "--factor", 4, "--size", 32, "--json")
    assert done.code == 0 and done.document["sources"] == 20, done.stderr
    rows = list(csv.DictReader((ws / done.document["path"] / "manifest.csv").open()))
    assert all(row["source"].startswith("train/") for row in rows)
    sources = {split: {row["source"] for row in rows if row["split"] == split} for split in ("train", "val", "test")}
    assert not sources["test"] and len(sources["train"] & sources["val"]) > 10
    assert sum(row["split"] == "val" for row in rows) == 2 * math.floor(0.3 * 40)

    options = (*common, "--train-on", "augmented", "--epochs", 1, "--size", 32)
    trained = toolbox("train", "alzheimer-cnn", *options, "--json")
    assert trained.code == 0, trained.stderr
    assert (trained.document["n"], trained.document["leaky"], trained.document["leakage"]) == (8, False, None)
    assert "validation split are copies" in trained.stderr
    predictions = list(csv.DictReader((ws / "runs" / trained.document["run"] / "predictions.csv").open()))
    leaks = {split: {row["leak"] for row in predictions if row["split"] == split} for split in ("val", "test")}
    assert leaks["test"] == {""} and "copies-of-one-source" in leaks["val"]
    assert toolbox("evaluate", "-C", ws, "--json").document["n"] == 8


def test_inputs_are_divided_by_255_and_a_run_remembers_it(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    options = ("--data", photos, "-C", tmp_path, "--size", 32, "--epochs", 1, "--no-pretrained")
    divided = ("--set", "training.mean=[0]", "--set", "training.std=[1]")
    assert toolbox("finetune", TINY, *options, *divided).code == 0
    assert json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())["mean"] == [0.0, 0.0, 0.0]
    own = list(csv.DictReader(next((tmp_path / "runs").glob("*/predictions.csv")).open()))
    again = toolbox("predict", 1, photos / own[0]["path"], "-C", tmp_path, "--json").document
    for name, value in again["images"][0]["probabilities"].items():
        assert value == pytest.approx(float(own[0][f"p:{name}"]), abs=1e-5)
    wrong = toolbox("finetune", TINY, *options, "--set", "training.mean=[0,1]")
    assert wrong.code == 2 and "3 channels" in wrong.stderr


def test_the_head_starts_as_in_keras(registry: Registry) -> None:
    built = build(registry, settings(**{"head.type": "flatten-64", "head.init": "glorot"}))
    weights = {name: value for name, value in built.module.named_parameters() if name in built.parts.head}
    biases = [value for name, value in weights.items() if name.endswith("bias")]
    assert len(biases) == 2 and not any(value.any() for value in biases)
    for value in (value for value in weights.values() if value.dim() == 2):
        limit = math.sqrt(6 / sum(value.shape))
        assert value.abs().max() <= limit and value.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1)
    other = build(registry, settings(**{"head.type": "flatten-64"}))
    assert not torch.equal(other.module.get_parameter(next(iter(weights))), weights[next(iter(weights))])


def test_a_mean_of_another_number_of_channels_is_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"training\.std"):
        build(registry, settings(**{"training.std": [1, 1]}))


def test_resnet50_has_torchvisions_weights_too(registry: Registry) -> None:
    own, theirs = registry.model(parse("resnet50")), registry.model(parse("resnet50:weights=tv_in1k"))
    assert "resnet50.a1_in1k" in own.weights_name and "resnet50.tv_in1k" in theirs.weights_name
    built = [each.build(ModelRequest(2, 3, 32, pretrained=False)) for each in (own, theirs)]
    assert built[0].parts == built[1].parts


def test_a_weight_file_of_a_variant_is_not_taken_for_another(tmp_path: Path, registry: Registry) -> None:
    from toolbox.models.weights import find_weight_file

    for name in ("resnet50", "resnet50.tv_in1k"):
        (tmp_path / f"{name}.pth").touch()
    found = find_weight_file(str(tmp_path), ["resnet50.tv_in1k", "resnet50"])
    assert found is not None and found.name == "resnet50.tv_in1k.pth"
