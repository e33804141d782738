"""timm's models: parts, the three steps of the forward pass, and requests that are refused."""

from __future__ import annotations

from itertools import product

import pytest
import timm
import torch
from torch import nn

from toolbox.api.errors import UsageError
from toolbox.api.model import BuiltModel, ModelRequest, Parts
from toolbox.plugin.schema import parameters, validate
from toolbox_timm import models
from toolbox_timm.heavy import hub
from toolbox_timm.heavy.build import build
from toolbox_timm.heavy.parts import find_parts, trunk_blocks

SIZE = 64
FAMILIES = ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "vgg11", "mobilenetv3_small_050"]
"""One small architecture of each family whose trunk can be computed once."""

OTHERS = ["test_nfnet", "test_byobnet", "resnetv2_18", "test_vit_relpos"]
"""Of families where only the features before the head can be."""


def random_model(arch: str, head: str = "linear", classes: int = 2, channels: int = 3, size: int = SIZE) -> BuiltModel:
    return build(arch, ModelRequest(classes, channels, size, head), {}, "")


def blocks(names: frozenset[str], depth: int) -> set[str]:
    return {".".join(name.split(".")[:depth]) for name in names}


def parts_without_weights(arch: str) -> Parts:
    with torch.device("meta"):
        module = timm.create_model(arch)
    return find_parts(module, trunk_blocks(module), arch)


def assert_partition(parts: Parts, module: nn.Module) -> None:
    names = [name for name, _ in module.named_parameters()]
    assert parts.trunk and parts.last and parts.head
    assert sorted([*parts.trunk, *parts.last, *parts.head]) == sorted(names)


# -------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("arch", "last", "head"),
    [
        ("resnet50", {"layer4"}, {"fc"}),
        ("tf_efficientnet_lite0", {"blocks.6", "conv_head", "bn2"}, {"classifier"}),
        ("vit_tiny_patch16_224", {"blocks.11", "norm"}, {"head"}),
        ("convnext_atto", {"stages.3", "head.norm"}, {"head.fc"}),
        ("mobilenetv3_small_050", {"blocks.5", "conv_head"}, {"classifier"}),
        ("swin_tiny_patch4_window7_224", {"layers.3", "norm"}, {"head.fc"}),
        # Two classifiers, and a grouping that timm does not bring.
        ("deit_tiny_distilled_patch16_224", {"blocks.11", "norm"}, {"head", "head_dist"}),
        ("poolformer_s12", {"stages.3", "head.norm"}, {"head.fc"}),
        ("rdnet_tiny", {"dense_stages.6", "head.norm"}, {"head.fc"}),
    ],
)
def test_last_block_and_head_are_what_the_family_calls_so(arch: str, last: set[str], head: set[str]) -> None:
    parts = parts_without_weights(arch)
    for expected, names in ((last, parts.last), (head, parts.head)):
        prefixes = tuple(f"{prefix}." for prefix in expected)
        assert all(name.startswith(prefixes) for name in names), names
        assert all(any(name.startswith(prefix) for name in names) for prefix in prefixes)
    assert not any(name.startswith(tuple(f"{prefix}." for prefix in last | head)) for name in parts.trunk)


def test_vgg16_is_cut_before_its_fifth_block_and_loses_its_dense_layers() -> None:
    built = random_model("vgg16", size=32)
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert blocks(built.parts.trunk, 2) == {f"features.{index}" for index in convolutions[:10]}
    assert blocks(built.parts.last, 2) == {"features.24", "features.26", "features.28"}
    assert built.parts.head == {"head.fc.weight", "head.fc.bias"}
    assert built.module.get_parameter("head.fc.weight").shape == (2, 512)


@pytest.mark.parametrize(("arch", "head"), [*product([*FAMILIES, *OTHERS], ["linear", "flatten-8"])])
def test_parts_are_disjoint_and_cover_the_module(arch: str, head: str) -> None:
    built = random_model(arch, head)
    assert_partition(built.parts, built.module)


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_flatten_head_leaves_trunk_and_last_block_as_they_are(arch: str) -> None:
    linear, flatten = random_model(arch), random_model(arch, "flatten-8")
    assert (flatten.parts.trunk, flatten.parts.last) == (linear.parts.trunk, linear.parts.last)
    (classifier,) = {name.removesuffix(".weight").removesuffix(".bias") for name in linear.parts.head}
    assert blocks(flatten.parts.head, classifier.count(".") + 2) == {
        f"{classifier}.dense1",
        f"{classifier}.classifier",
    }


# ------------------------------------------------------------------------------------------------------- stages


@pytest.mark.parametrize(
    ("arch", "head", "channels", "classes"),
    [
        *product([*FAMILIES, *OTHERS], ["linear", "flatten-8"], [3], [2]),
        *product(FAMILIES, ["linear", "flatten-8"], [1], [7]),
    ],
)
def test_the_three_steps_give_what_the_module_gives(arch: str, head: str, channels: int, classes: int) -> None:
    built = random_model(arch, head, classes, channels)
    assert built.stages is not None
    assert isinstance(built.stages.trunk, nn.Identity) == (arch in OTHERS)
    assert len(built.mean) == len(built.std) == channels
    module, images = built.module.eval(), torch.randn(3, channels, SIZE, SIZE)
    with torch.inference_mode():
        logits = module(images)
        assert logits.shape == (3, classes)
        assert torch.equal(built.stages.head(built.stages.last(built.stages.trunk(images))), logits)


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("head", ["linear", "flatten-8"])
def test_each_step_uses_the_parameters_of_its_part_and_no_others(arch: str, head: str) -> None:
    built = random_model(arch, head)
    module, stages, parts = built.module.eval(), built.stages, built.parts
    assert stages is not None
    value = torch.randn(2, 3, SIZE, SIZE)
    for step, names in ((stages.trunk, parts.trunk), (stages.last, parts.last), (stages.head, parts.head)):
        module.zero_grad()
        value = step(value.detach())
        value.square().sum().backward()  # type: ignore[no-untyped-call]
        assert {name for name, parameter in module.named_parameters() if parameter.grad is not None} == names


def test_the_steps_follow_the_modules_mode_and_weights() -> None:
    built = random_model("test_resnet")
    stages, images = built.stages, torch.randn(4, 3, SIZE, SIZE)
    assert stages is not None
    running = built.module.get_buffer("bn1.running_mean").clone()
    built.module.eval()
    before = stages.trunk(images)
    assert torch.equal(built.module.get_buffer("bn1.running_mean"), running)
    built.module.train()
    assert not torch.equal(stages.trunk(images), before)
    assert not torch.equal(built.module.get_buffer("bn1.running_mean"), running)
    with torch.no_grad():
        built.module.get_parameter("fc.weight").zero_()
        built.module.get_parameter("fc.bias").fill_(3)
    assert (stages.head(stages.last(stages.trunk(images))) == 3).all()


@pytest.mark.parametrize("head", ["linear", "flatten-8", "mlp-8-4"])
@pytest.mark.parametrize("arch", ["deit_tiny_distilled_patch16_224", "levit_128s", "efficientformerv2_s0"])
def test_what_averages_two_classifiers_has_steps_and_takes_any_head(arch: str, head: str) -> None:
    size = hub.configuration(arch).input_size[-1]
    built = random_model(arch, head, classes=3, size=size)
    assert_partition(built.parts, built.module)
    assert built.stages is not None
    module, images = built.module.eval(), torch.rand(2, 3, size, size)
    with torch.inference_mode():
        features = built.stages.last(built.stages.trunk(images))
        assert features.shape[:2] == (2, 2)
        assert torch.equal(built.stages.head(features), module(images))
    if head == "linear":
        weights = [value for name, value in module.named_parameters() if name in built.parts.head and value.dim() == 2]
        assert len(weights) == 2 and all(float(weight.detach().std()) < 0.02 for weight in weights)


@pytest.mark.slow  # three minutes for the descriptions of a hundred modules, without their weights
@pytest.mark.parametrize("family", timm.list_modules())
def test_every_family_of_timm_has_a_last_block(family: str) -> None:
    small = ("test_", "atto", "pico", "nano", "tiny", "small", "_s", "18")
    architectures = timm.list_models(module=family)
    for arch in sorted(architectures, key=lambda name: (not any(word in name for word in small), len(name)))[:1]:
        with torch.device("meta"):
            module = timm.create_model(arch, num_classes=2)
        parts = find_parts(module, trunk_blocks(module), arch)
        assert_partition(parts, module)
        assert len(parts.blocks) >= 3 and parts.blocks[-1] == parts.last


def test_a_linear_heads_features_are_pooled() -> None:
    stages = random_model("test_resnet").stages
    assert stages is not None
    assert stages.last(stages.trunk(torch.randn(2, 3, SIZE, SIZE))).dim() == 2


# ------------------------------------------------------------------------------------- what a built model is like


def test_a_built_model_is_in_training_mode_on_the_cpu_in_float32() -> None:
    module = random_model("test_efficientnet", "flatten-8").module
    assert all(part.training for part in module.modules())
    assert {(tensor.device.type, tensor.dtype) for tensor in module.parameters()} == {("cpu", torch.float32)}
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_the_seed_alone_decides_random_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(random_model("test_vit", "flatten-8").module.state_dict())
        torch.rand(5)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_linear_head_starts_near_zero(arch: str) -> None:
    built = random_model(arch, classes=7)
    weight, bias = (
        next(built.module.get_parameter(name) for name in built.parts.head if name.endswith(kind))
        for kind in ("weight", "bias")
    )
    assert weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert not bias.any()


def test_building_leaves_batch_statistics_as_they_start() -> None:
    module = random_model("test_resnet").module
    assert not module.get_buffer("bn1.running_mean").any()
    assert module.get_buffer("bn1.num_batches_tracked") == 0


def test_one_channel_gets_the_average_normalisation() -> None:
    built = random_model("resnet18", channels=1)
    assert built.mean == (pytest.approx((0.485 + 0.456 + 0.406) / 3),)
    assert built.std == (pytest.approx((0.229 + 0.224 + 0.225) / 3),)


@pytest.mark.parametrize(("model", "component"), [(models.vgg16(), "vgg16"), (models.resnet50(), "resnet50")])
def test_what_is_said_of_a_model_is_what_timm_says(model: models.TimmModel, component: str) -> None:
    settings = hub.configuration(model.architecture)
    assert model.weights_name == str(hub.origin(settings))
    assert model.size == settings.input_size[-1]
    assert model.name == component


def test_any_architecture_says_its_size_and_where_its_weights_lie() -> None:
    model = models.timm_model(arch="test_vit")
    assert (model.size, model.channels) == (160, 3)
    assert model.weights_name == "model.safetensors of https://huggingface.co/timm/test_vit.r160_in1k"
    assert models.timm_model(arch="convnext_tiny.in12k_ft_in1k_384").size == 384


def test_the_architecture_is_the_one_parameter_and_is_required() -> None:
    (arch,) = parameters(models.timm_model, "the model 'timm'")
    assert (arch.name, arch.required) == ("arch", True)
    assert arch.description
    with pytest.raises(UsageError, match="arch"):
        validate(models.timm_model, {}, "the model 'timm'")


def test_a_transformer_is_built_for_another_size() -> None:
    built = random_model("test_vit", size=96)
    assert built.module.get_parameter("pos_embed").shape[1] == (96 // 16) ** 2 + 1


# ----------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arch", "meant"),
    [
        ("resnet5", "'resnet50'"),
        ("vgg_16", "'vgg16'"),
        ("resnet50.tv_in2k", "'resnet50.tv_in1k'"),
        ("hf-hub:timm/resnet50", "'nf_resnet50'"),
        ("qqqqqq", "timm.list_models()"),
    ],
)
def test_an_unknown_architecture_names_the_closest(arch: str, meant: str) -> None:
    with pytest.raises(UsageError, match="timm has no") as caught:
        models.timm_model(arch=arch)
    assert meant in caught.value.hint


@pytest.mark.parametrize(("arch", "size"), [("vgg11", 16), ("test_vit", 40), ("test_vit", 8)])
def test_an_image_that_the_architecture_cant_take(arch: str, size: int) -> None:
    with pytest.raises(UsageError, match=f"{arch} can't take 3 x {size} x {size} images") as caught:
        random_model(arch, size=size)
    assert "training.size" in caught.value.hint


def test_an_unknown_head_is_refused_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match="there is no head 'flaten-512'"):
        random_model("test_resnet", "flaten-512")


def test_a_head_that_the_architecture_cant_have() -> None:
    arch = "efficientvit_m0"
    size = hub.configuration(arch).input_size[-1]
    with pytest.raises(UsageError, match=f"{arch} can't have the head 'flatten-8'") as caught:
        random_model(arch, "flatten-8", size=size)
    assert "linear" in caught.value.hint


@pytest.mark.slow  # timm has no small one
def test_what_is_no_classifier_is_refused() -> None:
    with pytest.raises(UsageError, match="mobilenetv5_300m_enc"):
        random_model("mobilenetv5_300m_enc")
