"""What many tests need: small images on disk, the real photos, and the command line as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toolbox.plugin.registry import Registry

# A shell's background jobs ignore Ctrl-C, and so would the commands that these tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The installed plugins."""
    return Registry()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the toolbox could make again is kept for the whole session, in a folder of its own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOOLBOX_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and logs go to a folder of the test's own."""
    place = tmp_path_factory.mktemp("home")
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(place))
    monkeypatch.setenv("TOOLBOX_CONFIG_DIR", str(place))
    for name in ("TOOLBOX_WEIGHTS", "TOOLBOX_DISABLE_PLUGINS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos and slices that ``TOOLBOX_TEST_DATA`` names."""
    text = os.environ.get("TOOLBOX_TEST_DATA", "")
    if not text:
        pytest.skip("TOOLBOX_TEST_DATA names no folder of real images")
    return Path(text).resolve()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small pictures in two class folders, told apart by where their bright blob is."""
    return write_photos(tmp_path / "photos")


def write_photos(root: Path, per_class: int = 12, size: tuple[int, int] = (40, 32)) -> Path:
    """``per_class`` pictures (width, height of ``size``) for ``left`` and ``right``, learnable and all different."""
    rng = np.random.default_rng(0)
    width, height = size
    for label, column in (("left", width // 4), ("right", 3 * width // 4)):
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            x = np.arange(width)[None, :] - column - rng.integers(-2, 3)
            y = np.arange(height)[:, None] - height // 2 - rng.integers(-2, 3)
            blob = 180 * np.exp(-(x**2 + y**2) / 40)
            noise = rng.integers(0, 60, (height, width, 3))
            pixels = np.clip(blob[:, :, None] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}-{number:02d}.png")
    return root


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that ``--json`` prints."""
        return dict(json.loads(self.stdout))


Toolbox = Callable[..., Finished]


@pytest.fixture
def toolbox(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Toolbox:
    """Run a command line in this process (torch is imported once) with a terminal 100 columns wide."""
    from toolbox.cli.app import run

    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> Finished:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["toolbox", *words])
        capfd.readouterr()
        code = run(words)
        captured = capfd.readouterr()
        return Finished(code, captured.out, captured.err)

    return call


def in_a_process(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Finished:
    """Run ``python -m toolbox`` in a process of its own, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "toolbox", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)
