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
from toolbox_explain.heavy.layer import Layer, find
from toolbox_explain.heavy.overlay import beside

_BATCH = 8
KINDS = {
    "best": ("Best answers", "the right answers of highest probability"),
    "worst": ("Worst answers", "the wrong answers that give the true class the lowest probability"),
    "doubtful": ("Most doubtful answers", "where the two likeliest classes lie nearest together"),
}


class Explain(Evaluator):
    """Where in the image the model found what it said: Grad-CAM heat maps.

    For the best, the worst and the most doubtful answers, of each group (patient) one at most. Bright places of the
    heat map are those where the network's last map speaks for the class; each is scaled to its own maximum. It is
    coarse (7 × 7 places for a 224-pixel ResNet), it shows where and not why, and a plausible map proves nothing: look
    for what should not matter (a ruler, a label, the skull).

    The layer is the last one of trunk and last block that still has places and on which the answer depends; of a
    vision transformer its tokens. A model without one is said to have none.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017; computed by captum.
    """

    needs_images = True
    needs_model = True

    def __init__(
        self,
        *,
        count: Annotated[int, Field(ge=1, le=99, description="images of each kind: best, worst, doubtful")] = 6,
        of: Annotated[
            Literal["predicted", "true"], Field(description="the class that the heat map speaks for")
        ] = "predicted",
    ) -> None:
        self.count = count
        self.of = of

    def evaluate(self, evidence: Evidence) -> Evaluation:
        """See the class."""
        if not len(evidence.ids):
            raise UsageError("there are no predictions to explain")
        assert evidence.images is not None and evidence.model is not None
        model = evidence.model()
        orders = ranked(evidence)
        chosen = {kind: list(islice(_there(evidence, order), self.count)) for kind, order in orders.items()}
        wanted = dict(found for each in chosen.values() for found in each)
        if not wanted:
            return Evaluation()
        layer = find(model.built, model.inputs(np.stack([model.prepared(next(iter(wanted.values())))] * 2)))
        if layer is None:
            return Evaluation(
                notes=["explain: no layer of this model has a map of 2 × 2 places or more, so there is no Grad-CAM"]
            )
        classes = evidence.targets if self.of == "true" else evidence.probabilities.argmax(1)
        heats = self._heats(model, layer, wanted, classes, evidence)
        galleries = []
        for kind, (title, what) in KINDS.items():
            pictures = [_picture(evidence, at, image, heats[at], int(classes[at])) for at, image in chosen[kind]]
            note = (
                f"{what[:1].upper()}{what[1:]}. Left the picture, right where the model's"
                f" {layer.side} × {layer.side} map ({layer.name}) speaks for the {self.of} class (Grad-CAM)."
            )
            if pictures:
                galleries.append(Gallery(f"explain-{kind}", title, pictures, note))
        return Evaluation(galleries=galleries, tables=[_table(evidence, chosen)])

    def _heats(
        self,
        model: TrainedModel,
        layer: Layer,
        wanted: dict[int, Image.Image],
        classes: npt.NDArray[np.int64],
        evidence: Evidence,
    ) -> dict[int, npt.NDArray[np.float32]]:
        """A heat map for each of ``wanted``, float32 ``[size, size]``; its maximum is 1, or 0 if nothing speaks."""
        places = list(wanted)
        batches = [places[at : at + _BATCH] for at in range(0, len(places), _BATCH)]
        heats: dict[int, npt.NDArray[np.float32]] = {}
        for batch in tracked(batches, evidence.reporter, "explaining", len(batches), "batches"):
            images = np.stack([model.prepared(wanted[at]) for at in batch])
            found = heat_maps(model, layer, images, classes[batch])
            heats.update(zip(batch, found, strict=True))
        return heats


def ranked(evidence: Evidence) -> dict[str, list[int]]:
    """Samples by kind, the first choice first; ties by id."""
    p, at = evidence.probabilities, np.arange(len(evidence.ids))
    true, right = p[at, evidence.targets], p.argmax(1) == evidence.targets
    top = np.sort(p, axis=1)
    margin = top[:, -1] - top[:, -2]

    def order(key: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> list[int]:
        return sorted(np.flatnonzero(among).tolist(), key=lambda index: (key[index], evidence.ids[index]))

    return {"best": order(-true, right), "worst": order(true, ~right), "doubtful": order(margin, at >= 0)}


def _there(evidence: Evidence, order: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
    """Those of ``order`` whose pictures are there, of each group the first."""
    assert evidence.images is not None
    seen: set[str] = set()
    for at in order:
        group = evidence.groups[at] if evidence.groups else ""
        if group and group in seen:
            continue
        image = evidence.images(at)
        if image is not None:
            seen.add(group)
            yield at, image


def heat_maps(
    model: TrainedModel, layer: Layer, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Grad-CAM of prepared pictures (uint8 ``[B, size, size, channels]``), float32 ``[B, size, size]`` in [0, 1]."""
    inputs = model.inputs(images).requires_grad_()
    target = torch.as_tensor(classes, device=inputs.device)
    with layer.seen() as view, torch.enable_grad():
        found = LayerGradCam(model.built.module, view).attribute(inputs, target, relu_attributions=True)
    heat = LayerAttribution.interpolate(found, (model.size, model.size), "bilinear").detach().squeeze(1)
    most = heat.amax((1, 2), keepdim=True)
    scaled: npt.NDArray[np.float32] = torch.where(most > 0, heat / most, heat).cpu().float().numpy()
    return scaled


def _picture(
    evidence: Evidence, at: int, image: Image.Image, heat: npt.NDArray[np.float32], spoken_for: int
) -> Picture:
    true, said, p = _answer(evidence, at)
    alt = (
        f"An image of class {true} and, beside it, the heat map for class {evidence.classes[spoken_for]};"
        f" the model says {said} with a probability of {p:.2f}."
    )
    caption = f"{evidence.ids[at]}: {true}, said {said} ({p:.2f})"
    if not heat.any():
        caption += "; no place speaks for it"
    return Picture(beside(image, heat), alt, caption)


def _answer(evidence: Evidence, at: int) -> tuple[str, str, float]:
    said = int(evidence.probabilities[at].argmax())
    return evidence.classes[evidence.targets[at]], evidence.classes[said], float(evidence.probabilities[at, said])


def _table(evidence: Evidence, chosen: dict[str, list[tuple[int, Image.Image]]]) -> Table:
    rows: list[list[str | float | int | None]] = [
        [kind, evidence.ids[at], *_answer(evidence, at)] for kind, found in chosen.items() for at, _ in found
    ]
    return Table("explained", "Explained images", ["kind", "image", "true", "said", "probability"], rows)
