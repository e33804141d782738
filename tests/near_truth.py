"""Near-duplicates made from real images, and how well the audit finds them: recall and precision.

``python -m tests.near_truth [--seed N]`` prints the table that the README has, for the folder that
``TOOLBOX_TEST_DATA`` names (about two minutes on two cores).

What is true is established like this. Every original gets one variant, drawn by seed. An original and its variant
are the same picture; so are pixel-identical originals, and those that ``near_truth_brain_tumour.txt`` lists in one
line: file names of one collection whose pictures are one slice, processed, shifted or mirrored. They were chosen by
looking at both and at their difference (mirrored where that made them fit) at full resolution. Everything else that
is reported as a near-duplicate counts as wrong. The list is complete only for what was ever reported, so a pair that
it lacks can make the precision look worse, never better.
"""

from __future__ import annotations

import argparse
import io
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from toolbox.api import images
from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.progress import SilentReporter
from toolbox.data import index
from toolbox.data.audit import near
from toolbox.data.source import Source

SAME = Path(__file__).with_name("near_truth_brain_tumour.txt")
SIDES = (0.5, 2.0)
TUNED, REPORTED = 0, 1
"""Halves of the originals, by turns: thresholds were looked for on one, figures are told of the other."""


def variant(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A near-duplicate of ``image``: always re-encoded (JPEG quality 40 to 95), and, each with chance 1/2,
    cropped (up to 5 % of each side), resized (by 0.5 to 2), mirrored, brightened or darkened (up to 10 %)."""
    crop, resize, mirror, brighten = rng.random(4) < 0.5
    if crop:
        width, height = image.size
        left, right = rng.uniform(0, 0.05, 2) * width
        top, bottom = rng.uniform(0, 0.05, 2) * height
        image = image.crop((round(left), round(top), width - round(right), height - round(bottom)))
    if resize:
        factor = math.exp(rng.uniform(*np.log(SIDES)))
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))
    if mirror:
        image = ImageOps.mirror(image)
    if brighten:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.1))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
    return Image.open(io.BytesIO(buffer.getvalue()))


class Doubled(VirtualDataset):
    """The pictures of ``paths``, each with a variant drawn by ``seed`` and its place; ids end in ``!`` for these."""

    def __init__(self, paths: Sequence[Path], seed: int) -> None:
        self.paths, self.seed = {str(path): number for number, path in enumerate(paths)}, seed

    def samples(self) -> Iterator[Sample]:
        for path in self.paths:
            yield Sample(path, path, "original")
            yield Sample(f"{path}!", path, "variant")

    def load(self, sample: Sample) -> Image.Image:
        image = images.decode(images.read_file(Path(sample.path))).image
        if sample.label == "original":
            return image
        return variant(image, np.random.default_rng([self.seed, self.paths[sample.path]]))


@dataclass(frozen=True)
class Measured:
    """Counts of one measurement: variants found of those made, reported pairs that are right of all reported."""

    made: int
    missed: tuple[str, ...]
    reported: int
    wrong: tuple[near.Pair, ...]
    comparison: near.ImageComparison

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / self.made

    @property
    def precision(self) -> float:
        return 1 - len(self.wrong) / max(self.reported, 1)

    def __str__(self) -> str:
        return (
            f"recall {self.recall:.4f} ({self.made - len(self.missed)} of {self.made}),"
            f" precision {self.precision:.4f} ({self.reported - len(self.wrong)} of {self.reported} reported pairs)"
        )


def originals(folder: Path, half: int | None = None, step: int = 1) -> list[Path]:
    """The images below ``folder`` in order: all, one half, or every ``step``-th of it."""
    every = sorted(folder.rglob("*.jp*g"))
    return (every if half is None else every[half::2])[::step]


def measure(paths: Sequence[Path], seed: int) -> Measured:
    """Compare ``paths`` and a variant of each, all with all."""
    source = Source(Doubled(paths, seed), "measured")
    rows = index.build_index(source, SilentReporter()).manifest.rows
    comparison = near.compare_images(rows, source, SilentReporter())
    pixels = {row.id: row.pixels for row in rows}
    pairs = [pair for pair in comparison.pairs if pair.kind == "near-duplicate"]
    reported = {frozenset((pixels[pair.first], pixels[pair.second])) for pair in pairs}
    missed = [str(path) for path in paths if frozenset((pixels[str(path)], pixels[f"{path}!"])) not in reported]
    family = _families(paths, pixels)
    wrong = [pair for pair in pairs if family[pair.first.rstrip("!")] != family[pair.second.rstrip("!")]]
    return Measured(len(paths), tuple(missed), len(pairs), tuple(wrong), comparison)


def _families(paths: Sequence[Path], pixels: dict[str, str]) -> dict[str, str]:
    """For every original the name of what it shows: of its first pixel-identical twin, or of a line of the list."""
    line_of = {name: line for line in SAME.read_text("utf-8").splitlines() for name in line.split()}
    twins: dict[str, str] = {}
    for path in paths:
        twins.setdefault(pixels[str(path)], line_of.get(path.name, str(path)))
        if path.name in line_of:
            twins[pixels[str(path)]] = line_of[path.name]
    return {str(path): twins[pixels[str(path)]] for path in paths}


def main() -> None:
    """Print recall and precision for photos and MRI slices, by halves and for all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=20)
    seed = parser.parse_args().seed
    root = Path(os.environ["TOOLBOX_TEST_DATA"])
    for name in ("cats_dogs", "brain_tumour"):
        for half, words in ((TUNED, "tuned on"), (REPORTED, "reported"), (None, "all")):
            measured = measure(originals(root / name, half), seed + (half == TUNED))
            print(f"{name:13} {words:9} {measured}; pairs left out: {measured.comparison.left_out:,}")
            for path in measured.missed:
                print(f"  missed: {path}")
            for pair in measured.wrong:
                print(f"  wrong: {pair}")


if __name__ == "__main__":
    main()
