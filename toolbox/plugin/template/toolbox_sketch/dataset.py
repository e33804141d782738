"""The dataset ``sketch``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from toolbox.api.dataset import Sample, VirtualDataset

LABELS = ("disc", "ring")


class SketchDataset(VirtualDataset):
    """Drawings of discs and rings, made when they are asked for.

    A dataset of image files is simpler: derive it from ``Dataset``, set ``root`` to their folder, give each sample its
    path below that, and leave ``load`` away.
    """

    note = "synthetic: drawn discs and rings"

    def __init__(
        self,
        *,
        count: Annotated[int, Field(ge=2, le=100_000, description="drawings in all")] = 40,
        size: Annotated[int, Field(ge=16, le=1024, description="side of a drawing in pixels")] = 64,
        seed: Annotated[int, Field(ge=0, description="another seed gives other drawings")] = 0,
    ) -> None:
        self.count = count
        self.size = size
        self.seed = seed
        self.suggestions = {"training.size": size, "augment.size": size}

    def samples(self) -> Iterator[Sample]:
        """Every drawing, in order. What must never be divided by a split (a patient's images) gets one ``group``."""
        for number in range(self.count):
            label = LABELS[number % 2]
            yield Sample(id=f"{label}-{number:05d}", path=f"{label}#{number}", label=label)

    def load(self, sample: Sample) -> Image.Image:
        """The drawing that ``sample.path`` names: mode ``L``. Depends on seed and number alone."""
        label, _, number = sample.path.partition("#")
        rng = np.random.default_rng([self.seed, int(number)])
        picture = Image.fromarray(rng.integers(0, 60, (self.size, self.size), dtype=np.uint8))
        radius = self.size * rng.uniform(0.15, 0.3)
        x, y = rng.uniform(radius, self.size - radius, 2)
        box = (x - radius, y - radius, x + radius, y + radius)
        if label == "disc":
            ImageDraw.Draw(picture).ellipse(box, fill=220)
        else:
            ImageDraw.Draw(picture).ellipse(box, outline=220, width=max(1, round(radius / 4)))
        return picture
