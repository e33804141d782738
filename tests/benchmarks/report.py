"""A report over many runs: how long it takes to make, how large it is, and how long a browser needs to open it.

Run it with ``python tests/benchmarks/report.py [RUNS] [IMAGES]``; without arguments 20 real runs of a small network (4
seeds of 5 learning rates), each tested on 100 images. The aims: opened in under 2 seconds, and for 2 runs with 100 test
images less than 5 MB. Chromium is timed from the address to the ``load`` event, and then to the next frame that it has
painted, five times with an empty cache; the median counts.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from toolbox.workspace import Workspace

ROUNDS = 5
SIDE = 48
NAMES = ("chromium", "chromium-browser", "google-chrome")
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def pictures(root: Path, images: int) -> Path:
    """Noise around a blob to the left or to the right, ``images`` of them for the test split, half as many to train."""
    rng = np.random.default_rng(0)
    for split, count in (("train", images // 2), ("test", images)):
        for number in range(count):
            label = ("left", "right")[number % 2]
            x = np.arange(SIDE)[None, :] - (SIDE // 3 if label == "left" else SIDE - SIDE // 3) - rng.integers(-9, 10)
            blob = 70 * np.exp(-(x**2 + (np.arange(SIDE)[:, None] - SIDE // 2) ** 2) / 120)
            pixels = np.clip(blob[:, :, None] + rng.integers(0, 180, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{label}-{number:03d}.jpg", quality=90)
    return root


def train(workspace: Path, data: Path, runs: int) -> None:
    """``runs`` trainings of six epochs."""
    for number in range(runs):
        settings = {"seed": number % 4, "training.lr": 0.001 * (1 + number // 4), "training.epochs": 6}
        Workspace(workspace, data=data, settings={**settings, "training.size": 32, "audit.near": False}).train(
            "alzheimer-cnn"
        )


def opened(path: Path) -> tuple[float, float]:
    """Seconds to the ``load`` event and to the painted page, the median of several times."""
    loads, paints = [], []
    with sync_playwright() as playwright:
        system = next(filter(None, map(shutil.which, NAMES)), None)
        browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        for _ in range(ROUNDS):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(path.resolve().as_uri(), wait_until="load")
            timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            paints.append(page.evaluate(PAINTED) / 1000)
            loads.append(page.evaluate(timing) / 1000)
            context.close()
        browser.close()
    return statistics.median(loads), statistics.median(paints)


def main(runs: int = 20, images: int = 100) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train(place / "ws", pictures(place / "data", images), runs)
        for names in (("1", "2"), ()):
            workspace = Workspace(place / "ws")
            start = time.perf_counter()
            inputs = workspace.report_inputs(names)
            gathered = time.perf_counter()
            path = workspace.write_report(inputs, place / "report.html")
            made = time.perf_counter()
            load, paint = opened(path)
            print(
                f"{len(inputs.runs):3d} runs of {images} test images: {path.stat().st_size / 1e6:.2f} MB; "
                f"gathered and compared in {gathered - start:.1f} s, drawn in {made - gathered:.1f} s; "
                f"opened in {load:.2f} s, painted after {paint:.2f} s"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
