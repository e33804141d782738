"""bf16 and torch.compile: close to the plain forward pass, and recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.api.model import ModelRequest
from toolbox.models import precision
from toolbox.plugin.registry import Registry
from toolbox.settings.schema import TrainingSettings
from toolbox.workspace import Workspace

CPU = torch.device("cpu")
TINY = "timm:arch=test_resnet"


def test_auto_is_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision.resolve_precision(TrainingSettings(), CPU) == "float32"
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    assert precision.resolve_precision(TrainingSettings(precision="bf16"), CPU) == "bf16"
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    with pytest.raises(UsageError, match="no bf16 instructions"):
        precision.resolve_precision(TrainingSettings(precision="bf16"), CPU)
    assert precision.resolve_precision(TrainingSettings(), torch.device("mps")) == "bf16"


def test_bf16_is_close_and_gives_float32(registry: Registry) -> None:
    torch.manual_seed(0)
    module = registry.model(TINY).build(ModelRequest(2, 3, 64)).module.eval()
    seen: list[torch.dtype] = []
    module.layer1.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    images = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        plain = precision.cast(module, "float32", CPU)(images)
        cast = precision.cast(module, "bf16", CPU)(images)
    assert seen == [torch.float32, torch.bfloat16] and cast.dtype == torch.float32
    assert torch.allclose(plain, cast, atol=0.02) and not torch.equal(plain, cast)


@pytest.mark.skipif(not precision.cpu_has_bf16(), reason="this processor has no bf16 instructions")
def test_a_training_in_bf16_says_so(photos: Path, tmp_path: Path) -> None:
    settings = {"training.size": 32, "training.precision": "bf16", "training.epochs": 2, "training.batch_size": 8}
    run = Workspace(tmp_path, data=photos, settings=settings).train("alzheimer-cnn")
    assert run.record.precision == "bf16" and len(run.history()) == 2


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.slow  # compiles for half a minute
def test_a_compiled_model_trains_alike(photos: Path, tmp_path: Path) -> None:
    losses = []
    for compiled in (False, True):
        settings = {"training.size": 32, "training.compile": compiled, "training.epochs": 2, "training.batch_size": 8}
        run = Workspace(tmp_path / str(compiled), data=photos, settings=settings).train("alzheimer-cnn")
        losses.append([line["train_loss"] for line in run.history()])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_what_can_not_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(graph: object, inputs: object) -> object:
        raise RuntimeError("no compiler here")

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda forward: original(forward, backend=refuse))
    with pytest.raises(EnvironmentFailure, match="can't be compiled") as caught:
        precision.compile_forward(lambda x: x + 1)(torch.zeros(1))
    assert "--compile" in caught.value.hint
