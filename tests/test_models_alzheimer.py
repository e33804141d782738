"""Study A's networks: their shapes, how they start, and the three steps of their forward pass."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.heads import WIDEST, DenseHead, HeadPlan, parse_head
from toolbox.api.model import BuiltModel, ModelRequest
from toolbox.plugin.schema import validate
from toolbox_alzheimer.model import AlzheimerModel

STUDY = ModelRequest(classes=2, channels=1, size=64)


def built(request: ModelRequest = STUDY, **parameters: object) -> BuiltModel:
    return AlzheimerModel(**parameters).build(request)  # type: ignore[arg-type]


def layers(module: nn.Module) -> str:
    """The layers in their order, one letter each; what does nothing here is left out."""
    letters = {nn.Conv2d: "C", nn.ReLU: "r", nn.MaxPool2d: "P", nn.Flatten: "F", nn.Linear: "D"}
    return "".join(letters.get(type(layer), "") for layer in module.modules())


def dense_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def weights_and_biases(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    weights = [value.flatten() for name, value in module.named_parameters() if name.endswith("weight")]
    biases = [value.flatten() for name, value in module.named_parameters() if name.endswith("bias")]
    return torch.cat(weights), torch.cat(biases)


def convolution(inputs: int, outputs: int) -> int:
    return 9 * inputs * outputs + outputs


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


# ------------------------------------------------------------------------------------------------------ shapes


def test_the_defaults_are_the_studys() -> None:
    model = AlzheimerModel()
    built_model = model.build(STUDY)
    assert (model.size, model.channels, model.weights_name) == (64, 1, "")
    assert (built_model.mean, built_model.std, built_model.weights) == ((0.0,), (1.0,), "random")


@pytest.mark.parametrize(
    ("variant", "structure", "parameters"),
    [
        (
            "proposed",
            "CPr" * 4 + "FDrDrD",
            convolution(1, 32) + 3 * convolution(32, 32) + dense(32 * 4 * 4, 128) + dense(128, 64) + dense(64, 2),
        ),
        (
            "test-1",
            "CPr" * 2 + "FDrD",
            convolution(1, 32) + convolution(32, 32) + dense(32 * 16 * 16, 128) + dense(128, 2),
        ),
        (
            "test-2",
            "CrCPr" + "FDrDrD",
            convolution(1, 32) + convolution(32, 32) + dense(32 * 32 * 32, 128) + dense(128, 64) + dense(64, 2),
        ),
    ],
)
def test_each_variant_has_the_papers_layers(variant: str, structure: str, parameters: int) -> None:
    module = built(variant=variant).module
    assert layers(module) == structure
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters


def test_filters_and_dense_sizes_can_be_chosen() -> None:
    module = built(filters=8, dense=[20, 10, 5]).module
    widths = [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert widths == [8] * 4
    assert [layer.out_features for layer in dense_layers(module)] == [20, 10, 5, 2]


def test_without_dense_layers_the_output_stands_on_the_features() -> None:
    assert layers(built(dense=[]).module).endswith("FD")


def test_dropout_comes_before_every_dense_layer() -> None:
    head = built(dropout=0.4).module.get_submodule("head")
    following = [type(layer).__name__ for layer in head]  # type: ignore[attr-defined]
    assert [following[i - 1] for i, name in enumerate(following) if name == "Linear"] == ["Dropout"] * 3
    assert {layer.p for layer in head.modules() if isinstance(layer, nn.Dropout)} == {0.4}


def test_dropout_is_random_in_training_and_absent_in_evaluation() -> None:
    module, images = built(dropout=0.5).module, torch.rand(4, 1, 64, 64)
    assert not torch.equal(module(images), module(images))
    module.eval()
    assert torch.equal(module(images), module(images))


def test_weights_go_from_a_network_with_dropout_to_one_without() -> None:
    assert list(built(dropout=0.5).module.state_dict()) == list(built().module.state_dict())


# ---------------------------------------------------------------------------------------------- initial weights


def test_glorot_uniform_keeps_each_layer_within_its_bound() -> None:
    module = built().module
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
            bound = (6 / (fan_in + fan_out)) ** 0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound


def test_glorot_normal_has_its_deviation() -> None:
    layer = max(dense_layers(built(init="glorot-normal").module), key=lambda layer: layer.weight.numel())
    assert layer.weight.std().item() == pytest.approx((2 / (512 + 128)) ** 0.5, rel=0.05)


def test_he_has_its_deviation() -> None:
    layer = max(dense_layers(built(init="he").module), key=lambda layer: layer.weight.numel())
    assert layer.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.05)


@pytest.mark.parametrize(("init", "value"), [("zeros", 0.0), ("ones", 1.0)])
def test_constant_weights(init: str, value: float) -> None:
    weights, biases = weights_and_biases(built(init=init).module)
    assert set(weights.tolist()) == {value}
    assert biases.unique().tolist() == [pytest.approx(0.01)]


@pytest.mark.parametrize("init", ["glorot-uniform", "glorot-normal", "he", "zeros", "ones"])
def test_every_bias_starts_at_the_given_value(init: str) -> None:
    _, biases = weights_and_biases(built(init=init, bias=0.25).module)
    assert biases.unique().tolist() == [0.25]


def test_pytorchs_own_initialisation_draws_the_biases_too() -> None:
    _, biases = weights_and_biases(built(init="pytorch").module)
    assert len(biases.unique()) > 100


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    first = built().module.state_dict()
    torch.manual_seed(5)
    second = built().module.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---------------------------------------------------------------------------------------------- parts and stages


@pytest.mark.parametrize("variant", ["proposed", "test-1", "test-2"])
def test_the_last_convolution_is_the_last_block_and_the_dense_layers_are_the_head(variant: str) -> None:
    built_model = built(variant=variant)
    parts, module = built_model.parts, built_model.module
    assert {name for name, _ in module.named_parameters()} == parts.trunk | parts.last | parts.head
    assert not (parts.trunk & parts.last or parts.trunk & parts.head or parts.last & parts.head)
    convolutions = [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
    assert parts.last == {f"{convolutions[-1]}.weight", f"{convolutions[-1]}.bias"}
    assert parts.trunk == {f"{name}.{kind}" for name in convolutions[:-1] for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("variant", "head", "channels", "classes", "size"),
    [
        *product(["proposed", "test-1", "test-2"], ["linear", "flatten-12"], [1, 3], [2, 7], [64]),
        *product(["proposed", "test-1", "test-2"], ["linear"], [1], [3], [16, 17, 50]),
    ],
)
def test_the_three_steps_give_what_the_module_gives(
    variant: str, head: str, channels: int, classes: int, size: int
) -> None:
    request = ModelRequest(classes=classes, channels=channels, size=size, head=head)
    built_model = built(request, variant=variant, dropout=0.3)
    module, stages = built_model.module.eval(), built_model.stages
    assert stages is not None
    images = torch.rand(3, channels, size, size)
    logits = module(images)
    assert logits.shape == (3, classes)
    assert len(built_model.mean) == len(built_model.std) == channels
    assert torch.equal(stages.head(stages.last(stages.trunk(images))), logits)


def test_a_flatten_head_takes_the_place_of_the_dense_layers() -> None:
    module = built(ModelRequest(2, 1, 64, head="flatten-100"), init="ones", bias=0.5).module
    assert layers(module) == "CPr" * 4 + "FDrD"
    assert [layer.out_features for layer in dense_layers(module)] == [100, 2]
    weights, biases = weights_and_biases(module)
    assert (weights == 1).all() and (biases == 0.5).all()


# ------------------------------------------------------------------------------------------------------- refusals


def test_there_are_no_pretrained_weights() -> None:
    with pytest.raises(WeightsUnavailable, match="no pretrained weights") as caught:
        built(ModelRequest(2, 1, 64, pretrained=True))
    assert "toolbox train alzheimer-cnn" in caught.value.hint
    assert "--weights FILE" in caught.value.hint


@pytest.mark.parametrize("variant", ["proposed", "test-1", "test-2"])
def test_an_image_below_sixteen_pixels_is_refused(variant: str) -> None:
    with pytest.raises(UsageError, match="at least 16 pixels a side, not 15"):
        built(ModelRequest(2, 1, 15), variant=variant)


def test_dense_sizes_and_a_flatten_head_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="twice"):
        built(ModelRequest(2, 1, 64, head="flatten-10"), dense=[5])


@pytest.mark.parametrize(
    "parameters",
    [
        {"variant": "test-3"},
        {"filters": 0},
        {"dropout": 1.0},
        {"init": "xavier"},
        {"bias": float("nan")},
        {"dense": ["many"]},
        {"dense": [1] * 17},
        {"units": 3},
    ],
)
def test_bad_parameters_are_usage_errors(parameters: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(parameters))):
        validate(AlzheimerModel, parameters, "the model 'alzheimer-cnn'")


@pytest.mark.parametrize("units", [0, -1, WIDEST + 1])
def test_a_dense_layer_has_a_sensible_number_of_units(units: int) -> None:
    with pytest.raises(UsageError, match="dense"):
        AlzheimerModel(dense=[64, units])


# ---------------------------------------------------------------------------------------------------- head names


@pytest.mark.parametrize(
    ("head", "plan"),
    [
        ("linear", None),
        ("flatten-1", HeadPlan((1,), pooled=False)),
        ("flatten-4096", HeadPlan((4096,), pooled=False)),
        ("mlp-512-128", HeadPlan((512, 128), pooled=True)),
        ("mlp-7", HeadPlan((7,), pooled=True)),
    ],
)
def test_head_names(head: str, plan: HeadPlan | None) -> None:
    assert parse_head(head) == plan


@pytest.mark.parametrize(
    ("head", "meant"),
    [
        ("lineer", "'linear'"),
        ("Linear", "'linear'"),
        ("flaten-512", "'flatten-512'"),
        ("flatten", "'flatten-4096'"),
        ("flatten-0", "'flatten-4096'"),
        ("flatten-012", "'flatten-12'"),
        ("flatten-4096\n", "'flatten-4096'"),
        ("flatten--7", "'flatten-7'"),
        ("mlp", "'mlp-512-128'"),
        ("mlp-512,128", "'mlp-512-128'"),
        ("mlp-8-", "'mlp-8'"),
        ("", "linear, flatten-N"),
    ],
)
def test_an_unknown_head_names_the_closest(head: str, meant: str) -> None:
    with pytest.raises(UsageError, match="there is no head") as caught:
        parse_head(head)
    assert meant in caught.value.hint


def test_a_head_has_a_widest_size() -> None:
    assert parse_head(f"flatten-{WIDEST}") == HeadPlan((WIDEST,), pooled=False)
    for head in (f"flatten-{WIDEST + 1}", f"mlp-8-{WIDEST + 1}-8"):
        with pytest.raises(UsageError, match="too wide"):
            parse_head(head)


def test_a_dense_head_is_flatten_then_dense_relu_then_dense() -> None:
    head, features = DenseHead(12, [5], 3).eval(), torch.randn(4, 3, 2, 2)
    first, second = dense_layers(head)
    by_hand = second(first(features.flatten(1)).clamp(min=0))
    assert torch.equal(head(features), by_hand)
