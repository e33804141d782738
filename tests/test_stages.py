"""What a fine-tuning unfreezes, for every kind of model; heads of given sizes; the untrained baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import PluginError, UsageError
from toolbox.api.model import BuiltModel, Model, ModelRequest, Parts
from toolbox.api.progress import SilentReporter
from toolbox.models import build
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.training import stages
from toolbox.workspace import Workspace

TINY = "timm:arch=test_resnet"
QUICK = {
    "training.size": 32,
    "training.batch_size": 8,
    "training.pretrained": False,
    "head.epochs": 1,
    "last.epochs": 1,
    "threads": 1,
}


def parts(registry: Registry, model: str, size: int = 32) -> Parts:
    return registry.model(model).build(ModelRequest(2, registry.model(model).channels, size)).parts


def tops(names: frozenset[str], depth: int = 1) -> set[str]:
    return {".".join(name.split(".")[:depth]) for name in names}


@pytest.mark.parametrize(
    ("model", "size", "unfreeze", "expected"),
    [
        (TINY, 32, "last", {"layer4", "fc"}),
        (TINY, 32, "1", {"layer4", "fc"}),
        (TINY, 32, "3", {"layer2", "layer3", "layer4", "fc"}),
        (TINY, 32, "5", {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}),
        (TINY, 32, "all", {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}),
        (TINY, 32, "layer3, layer4", {"layer3", "layer4", "fc"}),
        (TINY, 32, "layer?.0.bn*", {"layer1", "layer2", "layer3", "layer4", "fc"}),
        ("alzheimer-cnn", 64, "2", {"trunk", "last", "head"}),
        ("alzheimer-cnn", 64, "trunk.2", {"trunk", "head"}),
        ("timm:arch=test_vit", 32, "last", {"blocks", "norm", "fc_norm", "head"}),
    ],
)
def test_what_is_unfrozen(registry: Registry, model: str, size: int, unfreeze: str, expected: set[str]) -> None:
    assert tops(stages.unfrozen_parameters(parts(registry, model, size), unfreeze)) <= expected
    if model != "timm:arch=test_vit":
        assert tops(stages.unfrozen_parameters(parts(registry, model, size), unfreeze)) == expected


@pytest.mark.parametrize(
    ("model", "size", "blocks"),
    [
        (TINY, 32, 5),
        ("vgg16", 32, 5),
        ("timm:arch=test_vit", 160, 7),
        ("timm:arch=deit_tiny_distilled_patch16_224", 224, 13),
        ("timm:arch=test_convnext", 32, 5),
        ("efficientnet-lite0", 32, 8),
        ("alzheimer-cnn", 64, 4),
        ("alzheimer-cnn:variant=test-1", 64, 2),
    ],
)
def test_blocks_divide_trunk_and_last_block(registry: Registry, model: str, size: int, blocks: int) -> None:
    result = parts(registry, model, size)
    assert len(result.blocks) == blocks and result.blocks[-1] == result.last
    assert sorted(name for block in result.blocks for name in block) == sorted(result.trunk | result.last)
    counts = [len(stages.unfrozen_parameters(result, str(number))) for number in range(1, blocks + 1)]
    assert counts == sorted(set(counts)) and counts[-1] == len(result.trunk | result.last | result.head)


@pytest.mark.parametrize(
    ("unfreeze", "reason"),
    [("6", "no 6 blocks"), ("0", "no 0 blocks"), ("layer9", "no module or parameter 'layer9'"), ("", "parameter ''")],
)
def test_what_cannot_be_unfrozen(registry: Registry, unfreeze: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        stages.unfrozen_parameters(parts(registry, TINY), unfreeze)


def test_a_model_without_blocks_still_unfreezes_its_last(registry: Registry) -> None:
    without_blocks = replace(parts(registry, TINY), blocks=())
    assert stages.unfrozen_parameters(without_blocks, "1") == without_blocks.last | without_blocks.head
    with pytest.raises(UsageError, match="only names the last one") as caught:
        stages.unfrozen_parameters(without_blocks, "2")
    assert "--unfreeze-all" in caught.value.hint


def test_blocks_that_are_no_division_are_the_plugins_fault(registry: Registry) -> None:
    class Wrong(Model):
        def build(self, request: ModelRequest) -> BuiltModel:
            built = registry.model(TINY).build(request)
            return replace(built, parts=replace(built.parts, blocks=(built.parts.trunk, built.parts.head)))

    config = build.ModelConfig(parse("wrong"), Wrong(), ModelRequest(2, 3, 32))
    with pytest.raises(PluginError, match="returned blocks that don't divide its trunk"):
        build.build_model(config)


@pytest.mark.parametrize("unfreeze", ["2", "all", "layer3"])
def test_more_than_the_last_block_is_trained_and_the_rest_frozen_to_the_bit(
    photos: Path, tmp_path: Path, unfreeze: str
) -> None:
    reporter = SilentReporter()
    place = Workspace(tmp_path, data=photos, settings={**QUICK, "last.layer_decay": 0.5}, reporter=reporter)
    run = place.finetune(TINY, unfreeze=unfreeze)
    head, last = run.record.stages
    assert run.record.config["last"]["unfreeze"] == unfreeze and head.cached and not last.cached
    assert last.frozen_before == last.frozen_after and last.model_extra and last.model_extra["layer_decay"] == 0.5
    assert any("trains the trunk too" in text for text in reporter.infos)
    assert last.trained_parameters > head.trained_parameters


@pytest.mark.parametrize("model", [TINY, "alzheimer-cnn", "timm:arch=deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("head", ["mlp-16-8", "flatten-16"])
def test_heads_of_given_sizes(registry: Registry, model: str, head: str) -> None:
    size = registry.model(model).size if "deit" in model else 64
    channels = registry.model(model).channels
    built = registry.model(model).build(ModelRequest(3, channels, size, head))
    heads = sorted({name.rpartition(".")[0] for name in built.parts.head})
    widths = [built.module.get_submodule(name).out_features for name in heads if "dense" in name]
    assert sorted(widths) == sorted(([16, 8] if head.startswith("mlp") else [16]) * (2 if "deit" in model else 1))
    images = torch.rand(2, channels, size, size)
    module = built.module.eval()
    with torch.inference_mode():
        assert built.stages is not None
        assert torch.equal(built.stages.head(built.stages.last(built.stages.trunk(images))), module(images))
    if head.startswith("mlp") and model == TINY:
        assert built.module.get_parameter("fc.dense1.weight").shape == (16, built.module.num_features)


def test_without_epochs_the_untrained_model_is_measured(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    settings = [word for name, value in QUICK.items() if "epochs" not in name for word in ("--set", f"{name}={value}")]
    common = ("-C", tmp_path / "ws", "--data", photos, "--json", *settings)
    done = toolbox("finetune", TINY, "--unfreeze-last", "--epochs", 0, *common)
    assert done.code == 0 and "untrained" in done.stderr
    place = Workspace(tmp_path / "ws")
    run = place.run()
    assert run.record.untrained and [stage.epochs_run for stage in run.record.stages] == [0, 0]
    assert not run.history() and run.metrics["accuracy"].value is not None
    assert "Untrained" in place.report().read_text()
    toolbox("finetune", TINY, "--epochs", 1, *common)
    assert not place.run().record.untrained


@pytest.mark.parametrize(
    ("init", "learns"),
    [("glorot-uniform", 1), ("glorot-normal", 1), ("he", 1), ("pytorch", 1), ("zeros", 0), ("ones", 0)],
)
def test_constant_weights_fail_and_every_other_start_learns(init: str, learns: int, tmp_path: Path) -> None:
    """As in study A: with zeros or ones all filters stay alike, and one class is predicted for every image."""
    data = write_photos(tmp_path / "photos", per_class=24)
    settings = {
        "training.size": 32,
        "training.batch_size": 8,
        "training.optimizer": "adam",
        "training.weight_decay": 0.0,
        "training.epochs": 12,
        "training.early_stopping": False,
        "threads": 1,
    }
    run = Workspace(tmp_path / "ws", data=data, settings=settings).train(f"alzheimer-cnn:init={init},variant=test-1")
    if learns:
        assert run.metrics["accuracy"].value > 0.9
    else:
        assert run.metrics["accuracy"].value == 0.5
        assert len({line.split(",")[6] for line in (run.path / "predictions.csv").read_text().splitlines()[1:]}) == 1
