"""The ``explain`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerAttribution, LayerGradCam
from PIL import Image
from pydantic import Field

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Gallery, Picture, Table, TrainedModel
from toolbox.api.progress import tracked
from toolbox_explain.heavy.layer import Layer, find_map_layer
from toolbox_explain.heavy.overlay import beside

_BATCH = 8
KINDS = {
    "best": ("Best predictions", "correct predictions with the highest probability"),
    "worst": ("Worst predictions", "mistakes that give the true class the lowest probability"),
    "doubtful": ("Least certain predictions", "the smallest margins between the two likeliest classes"),
}


class Explain(Evaluator):
    """Show which parts of an image support the prediction: Grad-CAM heat maps.

    For the best, the worst and the least certain predictions, at most one per group (patient). Bright areas support the
    class; each map is scaled to its own maximum. A map is coarse (7 × 7 cells for a 224-pixel ResNet), shows where and
    not why, and a plausible one proves nothing: look for what should not matter (a ruler, a label, the skull).

    The layer is the last one of trunk and last block that keeps spatial positions and that the output depends on; for a
    vision transformer, its tokens. A note says so where a model has none.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017; computed by captum.
    """

    needs_images = True
    needs_model = True

    def __init__(
        self,
        *,
        count: Annotated[int, Field(ge=1, le=99, description="images of each kind: best, worst, doubtful")] = 6,
        of: Annotated[
            Literal["predicted", "true"], Field(description="the class that the heat map supports")
        ] = "predicted",
    ) -> None:
        self.count = count
        self.of = of

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class."""
        if not len(evidence.ids):
            raise UsageError("no predictions to explain")
        assert evidence.images is not None and evidence.model is not None
        model = evidence.model()
        orders = rank_samples(evidence)
        selection = {kind: list(islice(_available(evidence, order), self.count)) for kind, order in orders.items()}
        images = dict(pair for each in selection.values() for pair in each)
        if not images:
            return Evaluation()
        layer = find_map_layer(model.built, model.inputs(np.stack([model.prepared(next(iter(images.values())))] * 2)))
        if layer is None:
            return Evaluation(
                notes=["explain: Grad-CAM is not available; no layer has a map of at least 2 × 2 positions"]
            )
        classes = evidence.targets if self.of == "true" else evidence.probabilities.argmax(1)
        heats = self._heats(model, layer, images, classes, evidence)
        galleries = []
        for kind, (title, what) in KINDS.items():
            pictures = [_picture(evidence, at, image, heats[at], int(classes[at])) for at, image in selection[kind]]
            note = (
                f"{what[:1].upper()}{what[1:]}. Left: the image. Right: support for the {self.of} class (Grad-CAM on"
                f" the {layer.side} × {layer.side} map of {layer.name})."
            )
            if pictures:
                galleries.append(Gallery(f"explain-{kind}", title, pictures, note))
        return Evaluation(galleries=galleries, tables=[_table(evidence, selection)])

    def _heats(
        self,
        model: TrainedModel,
        layer: Layer,
        images: dict[int, Image.Image],
        classes: npt.NDArray[np.int64],
        evidence: Evidence,
    ) -> dict[int, npt.NDArray[np.float32]]:
        """Compute a heat map for each image: float32 ``[size, size]`` with maximum 1, or all 0 without support."""
        places = list(images)
        batches = [places[at : at + _BATCH] for at in range(0, len(places), _BATCH)]
        heats: dict[int, npt.NDArray[np.float32]] = {}
        for batch in tracked(batches, evidence.reporter, "explaining", len(batches), "batches"):
            pixels = np.stack([model.prepared(images[at]) for at in batch])
            maps = heat_maps(model, layer, pixels, classes[batch])
            heats.update(zip(batch, maps, strict=True))
        return heats


def rank_samples(evidence: Evidence) -> dict[str, list[int]]:
    """Rank the samples for each kind of gallery; ties are broken by id."""
    p, at = evidence.probabilities, np.arange(len(evidence.ids))
    true, right = p[at, evidence.targets], p.argmax(1) == evidence.targets
    top = np.sort(p, axis=1)
    margin = top[:, -1] - top[:, -2]

    def order(key: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> list[int]:
        return sorted(np.flatnonzero(among).tolist(), key=lambda index: (key[index], evidence.ids[index]))

    return {"best": order(-true, right), "worst": order(true, ~right), "doubtful": order(margin, at >= 0)}


def _available(evidence: Evidence, order: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
    """Yield the samples of ``order`` whose images can be read, the first of each group."""
    assert evidence.images is not None
    groups: set[str] = set()
    for at in order:
        group = evidence.groups[at] if evidence.groups else ""
        if group and group in groups:
            continue
        image = evidence.images(at)
        if image is not None:
            groups.add(group)
            yield at, image


def heat_maps(
    model: TrainedModel, layer: Layer, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Grad-CAM of prepared pictures (uint8 ``[B, size, size, channels]``), float32 ``[B, size, size]`` in [0, 1]."""
    inputs = model.inputs(images).requires_grad_()
    target = torch.as_tensor(classes, device=inputs.device)
    with layer.view() as view, torch.enable_grad():
        attribution = LayerGradCam(model.built.module, view).attribute(inputs, target, relu_attributions=True)
    heat = LayerAttribution.interpolate(attribution, (model.size, model.size), "bilinear").detach().squeeze(1)
    most = heat.amax((1, 2), keepdim=True)
    maps: npt.NDArray[np.float32] = torch.where(most > 0, heat / most, heat).cpu().float().numpy()
    return maps


def _picture(
    evidence: Evidence, at: int, image: Image.Image, heat: npt.NDArray[np.float32], class_index: int
) -> Picture:
    true, predicted, p = _prediction(evidence, at)
    alt = (
        f"An image of class {true} and, beside it, the heat map for class {evidence.classes[class_index]};"
        f" the model predicts {predicted} with probability {p:.2f}."
    )
    caption = f"{evidence.ids[at]}: {true}, predicted {predicted} ({p:.2f})"
    if not heat.any():
        caption += "; no support anywhere"
    return Picture(beside(image, heat), alt, caption)


def _prediction(evidence: Evidence, at: int) -> tuple[str, str, float]:
    predicted = int(evidence.probabilities[at].argmax())
    return (
        evidence.classes[evidence.targets[at]],
        evidence.classes[predicted],
        float(evidence.probabilities[at, predicted]),
    )


def _table(evidence: Evidence, selection: dict[str, list[tuple[int, Image.Image]]]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [kind, evidence.ids[at], *_prediction(evidence, at)] for kind, samples in selection.items() for at, _ in samples
    ]
    return Table("explained", "Explained images", ["kind", "image", "true", "predicted", "probability"], rows)
