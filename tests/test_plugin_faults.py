"""Whatever a component does wrong while it is used, the message names it and its plugin, and earlier work is kept."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Toolbox
from tests.test_kit_catches import GOOD, REGISTRATION
from toolbox.plugin import discovery

_numbers = itertools.count()
TRAIN = ("train", "tiny", "--epochs", 1, "--evaluator", "right", "--set", "audit.near=false")
AUGMENT = ("augment", "--augmenter", "brighten", "--factor", 2, "--set", "augment.engine=inline")

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install the good plugin, with changes, beside the first party's; returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    first_party = list(entry_points(group="toolbox"))

    def write(changes: dict[str, str]) -> str:
        name, text = f"faulty_{next(_numbers)}", GOOD
        for old, new in changes.items():
            assert old in text, f"the good plugin has no {old!r}"
            text = text.replace(old, new, 1)
        (tmp_path / f"{name}_heavy.py").write_text(text, "utf-8")
        (tmp_path / f"{name}.py").write_text(REGISTRATION.replace("HEAVY:", f"{name}_heavy:"), "utf-8")
        points = [*first_party, EntryPoint(name, name, "toolbox")]
        plugins = discovery.in_order(discovery.metadata_of(point) for point in points)
        monkeypatch.setattr(discovery, "installed", lambda: plugins)
        return name

    return write


def run(toolbox: Toolbox, folder: Path, *arguments: object) -> tuple[int, dict[str, object], str]:
    done = toolbox(*arguments, "--data", "squares:count=24", "-C", folder / "ws", "--json")
    return done.code, json.loads(done.stdout), done.stderr


FORWARD = "        return logits\n"
BUILT = "        return BuiltModel(\n"
MODEL = {
    "raises": (FORWARD, "        return logits[99]\n", "failed: IndexError: index 99 is out of bounds"),
    "exits": (FORWARD, "        raise SystemExit(7)\n", "failed: called sys.exit(7)"),
    "raises a BaseException": (FORWARD, "        raise BaseException('base')\n", "failed: BaseException: base"),
    "recurses": (FORWARD, "        return self(images)\n", "failed: RecursionError"),
    "returns a tuple": (FORWARD, "        return logits, logits\n", "returned a tuple; expected a tensor of logits"),
    "returns integers": (FORWARD, "        return logits.long()\n", "returned logits of type torch.int64"),
    "returns one column": (FORWARD, "        return logits[:, :1]\n", ", 1]; expected ["),
    "returns a part of the batch": (FORWARD, "        return logits[1:]\n", "returned logits of shape ["),
    "returns detached logits": (FORWARD, "        return logits.detach()\n", "returned logits without gradients"),
    "fails in evaluation": (FORWARD, "        return logits if self.training else None\n", "returned None"),
    "builds nothing": (BUILT, "        return None\n" + BUILT, "returned None; expected a BuiltModel"),
    "builds on no device": (BUILT, "        module.to('meta')\n" + BUILT, "on meta; expected float32 on the CPU"),
    "builds in half precision": (BUILT, "        module.half()\n" + BUILT, "torch.float16"),
    "exits while building": (BUILT, "        raise SystemExit(0)\n" + BUILT, "failed: called sys.exit(0)"),
    "forgets the head": ("Parts(trunk, last, own,", "Parts(trunk, last | own, frozenset(),", "returned"),
    "normalizes another number of channels": ("mean=(0.5,) * request.channels", "mean=(0.5,) * 2", "returned 2 means"),
}
EVALUATE = "        return Evaluation(metrics,"
EVALUATOR = {
    "raises": (EVALUATE, "        return {}['x']\n" + EVALUATE, "failed: KeyError: 'x'"),
    "exits": (EVALUATE, "        raise SystemExit(0)\n" + EVALUATE, "failed: called sys.exit(0)"),
    "returns nothing": (EVALUATE, "        return None\n" + EVALUATE, "returned None; expected an Evaluation"),
    "returns a number": (EVALUATE, "        metrics['right'] = 1.0\n" + EVALUATE, "invalid value (metrics.right"),
    "returns NaN": ("Metric(value, low, high", "Metric(float('nan'), low, high", "not JSON compliant"),
    "returns an array": ("extra={", "extra={'hits': hits, ", "invalid value ("),
}
DRAW = '        return {"shift": shift, "flip": flip}'
AUGMENTER = {
    "raises": ("return np.stack(copies)", "return copies[99]", "failed: IndexError"),
    "exits": ("return np.stack(copies)", "sys.exit(0)", "failed: called sys.exit(0)"),
    "exits while drawing": (DRAW, "        sys.exit(0)\n" + DRAW, "failed: called sys.exit(0)"),
    "draws an array": ('"shift": shift', '"shift": np.float32(shift)', "returned the parameters"),
    "returns floats": ("return np.stack(copies)", "return np.stack(copies) / 255", "returned float64 of shape"),
    "returns another size": ("return np.stack(copies)", "return np.stack(copies)[:, :9]", "expected uint8 of shape"),
    "returns a list": ("return np.stack(copies)", "return copies", "returned list of shape"),
}
DATASET = {
    "raises": ("        names = [f", "        {}['x']\n        names = [f", "failed: KeyError: 'x'"),
    "exits": ("        names = [f", "        sys.exit(0)\n        names = [f", "failed: called sys.exit(0)"),
    "yields a dict": ("yield Sample(", "yield dict(", "returned a dict; expected a Sample"),
    "exits while loading": (
        "        number = int(",
        "        sys.exit(0)\n        number = int(",
        "called sys.exit(0)",
    ),
    "loads an array": (
        'return Image.fromarray((noise + 180 * (sample.label == "bright")).astype(np.uint8))',
        "return noise",
        "returned a ndarray; expected an image",
    ),
}
CASES = [
    pytest.param(kind, command, {old: new}, message, id=f"{kind}: {what}")
    for kind, command, faults in (
        ("model 'tiny'", TRAIN, MODEL),
        ("evaluator 'right'", TRAIN, EVALUATOR),
        ("augmenter 'brighten'", AUGMENT, AUGMENTER),
        ("dataset 'squares'", AUGMENT, DATASET),
    )
    for what, (old, new, message) in faults.items()
]


@pytest.mark.parametrize(("kind", "command", "changes", "message"), CASES)
def test_a_fault_names_component_and_plugin(
    install: Install,
    toolbox: Toolbox,
    tmp_path: Path,
    kind: str,
    command: tuple[object, ...],
    changes: dict[str, str],
    message: str,
) -> None:
    plugin = install({**changes, "import hashlib": "import hashlib\nimport sys"})
    code, document, stderr = run(toolbox, tmp_path, *command)
    assert code == 1 and document["exit_code"] == 1, stderr
    assert str(document["error"]).startswith(f"{kind} of plugin {plugin} "), document
    assert message in str(document["error"])
    for record in tmp_path.glob("ws/runs/*/run.json"):
        assert json.loads(record.read_text())["status"] in ("failed", "trained")


def test_a_trained_model_survives_a_failing_evaluator(install: Install, toolbox: Toolbox, tmp_path: Path) -> None:
    install({EVALUATE: "        raise ValueError('no')\n" + EVALUATE})
    assert run(toolbox, tmp_path, *TRAIN)[0] == 1
    install({})
    code, document, stderr = run(toolbox, tmp_path, "evaluate", "1", "--evaluator", "right")
    assert code == 0 and "right" in document["metrics"], stderr  # type: ignore[operator]


STATE = {
    "the working directory": "__import__('os').chdir('/')",
    "the umask": "__import__('os').umask(0o777)",
    "the environment": "__import__('os').environ['EVIL'] = '1'",
    "torch's default dtype": "torch.set_default_dtype(torch.float64)",
    "torch's number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "whether torch computes gradients": "torch.set_grad_enabled(False)",
    "Python's random generator": "__import__('random').seed(3)",
    "NumPy's global random generator": "np.random.seed(3)",
    "torch's global random generator": "torch.manual_seed(3)",
}


@pytest.mark.parametrize(
    ("what", "place"),
    [
        (what, place)
        for what in STATE
        for place in ("evaluate", "build", "augment")
        if not (place == "build" and "random generator" in what)  # where weights are drawn
    ],
)
def test_global_state_is_restored(install: Install, toolbox: Toolbox, tmp_path: Path, what: str, place: str) -> None:
    line = {"evaluate": EVALUATE, "build": BUILT, "augment": "        return np.stack(copies)"}[place]
    plugin = install({line: f"        {STATE[what]}\n{line}"})
    before = state()
    code, _, stderr = run(toolbox, tmp_path, *(AUGMENT if place == "augment" else TRAIN))
    assert code == 0, stderr
    assert f"of plugin {plugin} changed {what}" in " ".join(stderr.split())
    assert state() == before


def state() -> list[object]:
    os.umask(mask := os.umask(0))
    return [
        *(Path.cwd(), mask, dict(os.environ), torch.get_default_dtype(), torch.get_num_threads()),
        *(torch.is_grad_enabled(), random.getstate(), np.random.get_state()[1].tolist()),
    ]


def test_ctrl_c_in_a_component_is_no_fault(install: Install, toolbox: Toolbox, tmp_path: Path) -> None:
    install({FORWARD: "        raise KeyboardInterrupt\n"})
    code, document, _ = run(toolbox, tmp_path, *TRAIN)
    assert code == 130 and "plugin" not in str(document["error"])
