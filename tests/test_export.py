"""Exports: the same answers elsewhere, with what is needed to use them inside; and runs that plain timm loads."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import timm
import torch
from safetensors import safe_open

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import ToolboxError, UsageError
from toolbox.api.model import BuiltModel
from toolbox.files import fingerprint
from toolbox.models import export as exporting
from toolbox.models import predict
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import Run
from toolbox.workspace import Workspace

QUICK = {"training.size": 32, "head.epochs": 0, "training.epochs": 0, "training.pretrained": False}
CPU = torch.device("cpu")
FORMATS = ("safetensors", "torch-export", "onnx")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace ``ws`` with a run in colour (1) and a grey one (2)."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        photos = write_photos(folder / "photos")
        ws = Workspace(folder / "ws", data=photos, settings={**QUICK, "head.epochs": 1})
        ws.finetune("timm:arch=test_resnet")
        Workspace(folder / "ws", data=photos, settings=QUICK).train("alzheimer-cnn")
    yield folder


@pytest.fixture
def ours(place: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(place, tmp_path / "ours"))


def run_of(place: Path, number: int) -> Run:
    return Run(next((place / "ws" / "runs").glob(f"{number:03d}-*")))


def expected(run: Run, registry: Registry, images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Logits for uint8 ``[N, C, H, W]``, by the formula and the run's module."""
    built = predict.load_model(run, registry, CPU)
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (built.mean, built.std))
    with torch.inference_mode():
        logits: torch.Tensor = built.module((torch.from_numpy(images) / 255 - mean) / std)
    return logits


def pixels(count: int, channels: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (count, channels, 32, 32), np.uint8)


@pytest.mark.parametrize(("number", "channels"), [(1, 3), (2, 1)], ids=["colour", "grey"])
def test_onnx_gives_the_modules_answers_for_any_batch(
    toolbox: Toolbox, registry: Registry, ours: Path, number: int, channels: int
) -> None:
    done = toolbox("export", number, "-C", ours / "ws", "--format", "onnx", "--json")
    assert done.code == 0, done.stderr
    path, run = Path(done.document["path"]), run_of(ours, number)
    assert done.document["difference"] <= done.document["bound"] <= 1e-3 and path.parent == run.path / "export"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    assert (argument.name, argument.type, argument.shape) == ("images", "tensor(uint8)", ["batch", channels, 32, 32])
    for count in (1, 2, 7):
        images = pixels(count, channels)
        logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
        logits_of_run = expected(run, registry, images)
        assert np.allclose(logits, logits_of_run, rtol=0, atol=1e-4)
        assert np.allclose(probabilities, torch.softmax(logits_of_run, 1), rtol=0, atol=1e-4)
    description = session.get_modelmeta().custom_metadata_map
    check_description({name: _value(text) for name, text in description.items()}, run, channels)
    onnx.checker.check_model(str(path), full_check=True)


@pytest.mark.parametrize(("number", "channels"), [(1, 3), (2, 1)], ids=["colour", "grey"])
def test_torch_export_gives_the_modules_answers_for_any_batch(
    toolbox: Toolbox, registry: Registry, ours: Path, number: int, channels: int
) -> None:
    out = ours / "model.pt2"
    assert toolbox("export", number, "-C", ours / "ws", "--format", "torch-export", "--out", out).code == 0
    extra: dict[str, Any] = {exporting.DESCRIPTION: ""}
    module = torch.export.load(out, extra_files=extra).module()
    for count in (1, 2, 7):
        images = pixels(count, channels)
        logits, probabilities = module(torch.from_numpy(images))
        assert torch.allclose(logits, expected(run_of(ours, number), registry, images), rtol=0, atol=1e-4)
        assert torch.allclose(probabilities, torch.softmax(logits, 1))
    check_description(json.loads(extra[exporting.DESCRIPTION]), run_of(ours, number), channels)


def test_safetensors_hold_the_weights_and_can_be_started_from(toolbox: Toolbox, ours: Path) -> None:
    out = ours / "weights.safetensors"
    assert toolbox("export", 1, "-C", ours / "ws", "--out", out).code == 0
    run = run_of(ours, 1)
    with safe_open(out, "pt") as file, safe_open(run.path / "model.safetensors", "pt") as own:
        assert set(file.keys()) == set(own.keys())
        assert all(torch.equal(file.get_tensor(name), own.get_tensor(name)) for name in own.keys())  # noqa: SIM118
        check_description({name: _value(text) for name, text in file.metadata().items()}, run, 3)
    again = ("finetune", "timm:arch=test_resnet", "--weights", out, "--epochs", 0, "--size", 32)
    assert toolbox(*again, "-C", ours / "ws", "--data", ours / "photos").code == 0
    assert run_of(ours, 3).record.mean == run.record.mean


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_description(description: dict[str, Any], run: Run, channels: int) -> None:
    record = run.record
    assert description["classes"] == ["left", "right"] and description["run"] == run.id
    assert (description["size"], description["channels"]) == (32, channels)
    assert (description["mean"], description["std"]) == (record.mean, record.std)
    assert description["data_fingerprint"] == record.data.fingerprint
    assert description["split_fingerprint"] == record.data.split_fingerprint
    assert description["weights_sha256"] == fingerprint.of_bytes((run.path / "model.safetensors").read_bytes())
    assert description["leaky"] is False and f"[batch, {channels}, 32, 32]" in description["input"]


def test_what_differs_is_never_put_in_place(ours: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that answers otherwise than it did when it was exported is what a wrong export looks like."""
    run, out = run_of(ours, 1), ours / "out"
    out.write_text("old")
    original = exporting.Deployable.forward
    for form in FORMATS[1:]:
        calls: list[int] = []

        def drifting(
            self: exporting.Deployable, images: torch.Tensor, calls: list[int] = calls
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits, probabilities = original(self, images)
            if not torch.compiler.is_exporting():
                logits = logits + 0.01
            return logits, probabilities

        monkeypatch.setattr(exporting.Deployable, "forward", drifting)
        with pytest.raises(ToolboxError, match=r"differ by 1\.0e-02"):
            exporting.export(run, form, out, registry, overwrite=True)
        assert out.read_text() == "old" and not list(ours.glob(".out*"))


def test_what_is_no_number_is_never_put_in_place(ours: Path, registry: Registry) -> None:
    built = predict.load_model(run_of(ours, 1), registry, CPU)
    whole = exporting.Deployable(built).eval()
    with pytest.raises(ToolboxError, match="differ by inf"):
        exporting._verify(whole, (3, 32, 32), lambda images: whole(images)[0] * torch.nan)


class Odd(torch.nn.Module):
    """Its way depends on the values, which no exporter can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))[:, :2] * (1 if images.sum().item() > 0 else 2)


@pytest.mark.parametrize("form", FORMATS[1:])
def test_a_model_that_no_exporter_can_follow_is_one_error(ours: Path, registry: Registry, form: str) -> None:
    built = predict.load_model(run_of(ours, 1), registry, CPU)
    odd = BuiltModel(Odd(), built.parts, built.mean, built.std)
    write = {"torch-export": exporting._torch_export, "onnx": exporting._onnx}[form]
    with pytest.raises(ToolboxError, match="can't export this model"):
        write(odd, (3, 32, 32), {}, ours / "odd")


def test_nothing_is_overwritten_unasked(toolbox: Toolbox, ours: Path) -> None:
    ws, own = ours / "ws", run_of(ours, 1).path / "model.safetensors"
    before = own.read_bytes()
    (ours / "there").write_text("mine")
    assert toolbox("export", 1, "-C", ws, "--out", ours / "there").code == 2
    assert (ours / "there").read_text() == "mine"
    assert toolbox("export", 1, "-C", ws, "--out", ours / "there", "--force").code == 0
    assert (ours / "there").read_bytes()[:4] != b"mine"
    done = toolbox("export", 1, "-C", ws, "--out", own, "--force")
    assert done.code == 2 and own.read_bytes() == before
    (ours / "into").mkdir()
    assert toolbox("export", 1, "-C", ws, "--out", ours / "into").code == 0
    assert [path.name for path in (ours / "into").iterdir()] == [f"{run_of(ours, 1).id}.safetensors"]


def test_nonsense_and_missing_packages_are_reported_in_one_line(
    toolbox: Toolbox, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = ours / "ws"
    assert "Did you mean 'onnx'" in toolbox("export", 1, "-C", ws, "--format", "onx").stderr
    assert toolbox("export", 7, "-C", ws).code == 2
    (ours / "file").touch()
    assert toolbox("export", 1, "-C", ws, "--out", ours / "file" / "x").code == 1
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = toolbox("export", 1, "-C", ws, "--format", "onnx")
    assert done.code == 1 and "vision-toolbox[onnx]" in done.stderr
    assert not (run_of(ours, 1).path / "export").exists()


def test_more_than_an_onnx_file_holds_is_refused(
    ours: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_ONNX_LIMIT", 1000)
    with pytest.raises(UsageError, match="exceed the 2 GiB limit"):
        exporting.export(run_of(ours, 1), "onnx", ours / "x.onnx", registry)
    assert not (ours / "x.onnx").exists()


ARCHITECTURES = [
    ("timm:arch=test_resnet", "test_resnet"),
    ("timm:arch=test_vit", "test_vit"),
    ("timm:arch=test_convnext", "test_convnext"),
    pytest.param("resnet50", "resnet50", marks=pytest.mark.slow),
    ("efficientnet-lite0", "tf_efficientnet_lite0"),
]


@pytest.mark.parametrize(("model", "architecture"), ARCHITECTURES)
def test_plain_timm_loads_a_run_with_a_linear_head(
    photos: Path, tmp_path: Path, registry: Registry, model: str, architecture: str
) -> None:
    run = Workspace(tmp_path / "ws", data=photos, settings=QUICK).finetune(model)
    options = {"img_size": 32} if architecture == "test_vit" else {}
    module = timm.create_model(
        architecture, num_classes=2, checkpoint_path=run.path / "model.safetensors", **options
    ).eval()
    built = predict.load_model(run, registry, CPU)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(module(images), built.module(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["linear", pytest.param("flatten-16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        pytest.param("vgg16", "vgg16", marks=pytest.mark.slow),
        pytest.param("resnet50", "resnet50", marks=pytest.mark.slow),
        ("efficientnet-lite0", "tf_efficientnet_lite0"),
    ],
)
def test_plain_timm_lacks_the_heads_keys_alone(
    photos: Path, tmp_path: Path, registry: Registry, model: str, architecture: str, head: str
) -> None:
    run = Workspace(tmp_path / "ws", data=photos, settings={**QUICK, "head.type": head}).finetune(model)
    built = predict.load_model(run, registry, CPU)
    with torch.device("meta"):  # timm's VGG has half a gigabyte of dense layers
        module = timm.create_model(architecture, num_classes=0)
    module.to_empty(device="cpu").eval()
    loaded = timm.models.load_checkpoint(module, str(run.path / "model.safetensors"), strict=False)
    assert set(loaded.unexpected_keys) == built.parts.head
    # timm's VGG has two dense layers before its classifier, which belong to its head.
    assert all(name.startswith("pre_logits.") for name in loaded.missing_keys)
    assert bool(loaded.missing_keys) == (model == "vgg16")
    state = module.state_dict()
    for name in built.parts.trunk | built.parts.last:
        assert torch.equal(state[name], built.module.state_dict()[name])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "flatten-4096"])
@pytest.mark.parametrize("model", ["vgg16", "resnet50", "efficientnet-lite0"])
def test_the_studies_models_export_at_their_own_size(
    toolbox: Toolbox, photos: Path, tmp_path: Path, model: str, head: str
) -> None:
    settings = {**QUICK, "training.size": 0, "head.type": head}
    run = Workspace(tmp_path / "ws", data=photos, settings=settings).finetune(model)
    for form in FORMATS:
        done = toolbox("export", run.path, "--format", form, "--json")
        assert done.code == 0, done.stderr
        print(model, head, form, done.document["difference"], done.document["bytes"])
        shutil.rmtree(run.path / "export")
