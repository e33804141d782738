"""Models: they build for any task, return logits, and can be exported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest
from toolbox.testing.check import Checks, Problems
from toolbox.testing.inputs import photos
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

TASKS = ((3, 2), (1, 7))
"""Channels and classes that a model is built for."""

SIDES = (32, 64, 96, 128)
"""Sides of the images: the first one that is not too small is used, else the model's own."""

BATCH = 4
SEED = 1
"""Seed of the initial weights."""

CHECKS = check = Checks(Model)


@check
def size_and_channels_are_valid(subject: Subject) -> Problems:
    """``size`` and ``channels`` are integers: what training uses unless the user says otherwise."""
    for name in ("size", "channels"):
        value = getattr(subject.component, name)
        if type(value) is not int or value < 1:
            yield f"{name} is {value!r}, not a number of pixels or channels"
    if subject.component.channels not in (1, 3):
        yield f"channels is {subject.component.channels}; images have 1 or 3"


@check
def builds_for_any_task(subject: Subject) -> Problems:
    """It builds for 1 and 3 channels, for 2 and more classes: a module on the CPU, float32, in training mode.

    ``mean`` and ``std`` have a value for each channel. Without pretrained weights, ``weights`` is ``"random"``.
    """
    import torch

    for channels, classes in TASKS:
        task = f"{channels} channels and {classes} classes"
        built = built_for(subject, channels, classes)
        if not isinstance(built, BuiltModel):
            yield f"build returns a {type(built).__name__}, not a BuiltModel"
            return
        for name, parameter in built.module.named_parameters():
            if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
                yield f"{task}: {name} is {parameter.dtype} on {parameter.device}, not float32 on the CPU"
                break
        if not built.module.training:
            yield f"{task}: the module is in evaluation mode, not in training mode"
        if len(built.mean) != channels or len(built.std) != channels:
            yield f"{task}: mean and std have {len(built.mean)} and {len(built.std)} values, not {channels}"
        elif not all(map(math.isfinite, built.mean)) or not all(value > 0 for value in built.std):
            yield f"{task}: mean {built.mean} and std {built.std} can't normalize images"
        if built.weights != "random":
            yield f"{task}: weights is {built.weights!r}, but no pretrained ones were requested"


@check
def returns_logits(subject: Subject) -> Problems:
    """The module returns float ``[N, classes]``: logits, as loss and evaluation apply the softmax.

    A second softmax in the model would flatten the probabilities and slow training down.
    """
    import torch

    for channels, classes in TASKS:
        logits = predict(built_for(subject, channels, classes), images_for(subject, channels))
        if not isinstance(logits, torch.Tensor) or logits.shape != (BATCH, classes):
            shape = tuple(getattr(logits, "shape", ()))
            yield f"for {BATCH} images and {classes} classes it returns {type(logits).__name__} {shape}"
        elif not torch.isfinite(logits).all():
            yield f"for {channels} channels it returns values that are not finite"
        elif (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(BATCH), atol=1e-4):
            yield "it returns probabilities, not logits: leave the softmax out"


@check
def predictions_are_independent(subject: Subject) -> Problems:
    """In evaluation mode an image has one prediction: alone, in a batch, and when repeated.

    Otherwise a prediction would depend on its neighbors in the list, and no figure could be reproduced.
    """
    import torch

    built, images = built_for(subject, 3, 2), images_for(subject, 3)
    batch, repeated = predict(built, images), predict(built, images)
    if not torch.equal(batch, repeated):
        yield "the same images get other logits the second time, in evaluation mode"
    alone = torch.cat([predict(built, images[number : number + 1]) for number in range(BATCH)])
    bound = 1e-4 * max(1.0, float(batch.abs().max()))
    if (difference := float((alone - batch).abs().max())) > bound:
        yield f"images one by one get logits that differ by {difference:.1e} from those in a batch"


@check
def weights_follow_the_seed(subject: Subject) -> Problems:
    """Initial weights are drawn from torch's global generator: equal seeds give equal weights, others do not.

    The toolbox seeds it. A model that seeds it itself makes every run of a study the same run.
    """
    import torch

    parameters = [dict(built_for(subject, 3, 2).module.named_parameters())]
    for seed in (SEED, SEED + 1):
        with _seeded(seed):
            parameters.append(dict(subject.component.build(request_for(subject, 3, 2)).module.named_parameters()))
            if torch.initial_seed() != seed:
                yield "build seeds torch's global generator, which the toolbox has seeded already"
                return
    first, second, other = parameters
    changed = [name for name in first if not torch.equal(first[name], second[name])]
    if changed:
        yield f"the same seed gives other initial weights ({changed[0]})"
    random = [name for name, value in first.items() if value.numel() > 1 and value.std() > 0]
    if random and all(torch.equal(first[name], other[name]) for name in random):
        yield "another seed gives the same initial weights"


@check
def refuses_what_it_cannot_build(subject: Subject) -> Problems:
    """An unknown head is a ``UsageError``, and so are pretrained weights that it doesn't have.

    The run's record would claim what was ignored. Use :func:`toolbox.api.heads.parse_head` for the heads that the
    toolbox names. Without weights of its own (``weights_name`` is empty) a model raises
    :class:`toolbox.api.errors.WeightsUnavailable`: fine-tuning would freeze random weights.
    """
    for head in ("flatten-8", "no-such-head"):
        try:
            subject.component.build(request_for(subject, 3, 2, head=head))
        except UsageError:
            continue  # a model may refuse all heads but "linear", which other checks build
        if head == "no-such-head":
            yield "it builds with the head 'no-such-head', as if none had been requested"
    if subject.component.weights_name:
        return  # whether they are available depends on the network
    try:
        subject.component.build(request_for(subject, 3, 2, pretrained=True))
    except WeightsUnavailable:
        return
    yield "it has no weights_name, but builds when pretrained weights are requested"


@check
def can_be_exported(subject: Subject) -> Problems:
    """``torch.export`` accepts it, for batches of any size, and the exported program returns the same logits.

    ``toolbox export`` builds on that. A module whose control flow depends on values can't be exported.
    """
    import torch

    from toolbox.models.export import BOUND, Deployable

    built = built_for(subject, 3, 2)
    deployable = Deployable(built).eval()
    pixels = torch.from_numpy(photos(3, side(subject), side(subject), 3)).permute(0, 3, 1, 2).contiguous()
    dynamic = {"images": {0: torch.export.Dim("batch")}}
    try:
        program = torch.export.export(deployable, (pixels[:2],), dynamic_shapes=dynamic).module()
        for count in (1, 3):
            with torch.no_grad():
                expected = deployable(pixels[:count])[0]
                difference = float((program(pixels[:count])[0] - expected).abs().max())
            if not difference <= BOUND * max(1.0, float(expected.abs().max())):
                yield f"exported, it returns logits that differ by {difference:.1e} for a batch of {count}"
    except Exception as error:  # exporters run the model's code, which may raise anything
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        yield f"torch.export can't export it: {reason[:300]}"
    finally:
        built.module.train()


def built_for(subject: Subject, channels: int, classes: int) -> BuiltModel:
    """The model for a task, built once for all checks; its weights come from :data:`SEED`."""

    def build() -> BuiltModel:
        request = request_for(subject, channels, classes)
        with _seeded(SEED):
            built: BuiltModel = subject.component.build(request)
        return built

    built: BuiltModel = subject.cached(("built", channels, classes), build)
    return built


def side(subject: Subject) -> int:
    """The smallest of :data:`SIDES` that the model accepts, for speed."""

    def find() -> int:
        import torch

        for size in SIDES:
            try:
                with _seeded(SEED):
                    built = subject.component.build(ModelRequest(classes=2, channels=3, size=size))
                predict(built, torch.zeros(2, 3, size, size))
            except Exception:  # too small, as a rule; other errors show at the model's own size
                continue
            return size
        own: int = subject.component.size
        return own

    size: int = subject.cached("side", find)
    return size


def images_for(subject: Subject, channels: int) -> torch.Tensor:
    """A batch as training passes it: normalized float32 ``[N, C, H, W]``, channels last in memory."""
    import torch

    images = torch.from_numpy(photos(BATCH, side(subject), side(subject), channels)).permute(0, 3, 1, 2)
    return (images.float() - 128) / 64


def predict(built: BuiltModel, images: torch.Tensor) -> torch.Tensor:
    """What the module returns in evaluation mode; it is in training mode again afterwards."""
    import torch

    built.module.eval()
    try:
        with torch.no_grad():
            logits: torch.Tensor = built.module(images)
    finally:
        built.module.train()
    return logits


def request_for(
    subject: Subject, channels: int, classes: int, head: str = "linear", pretrained: bool = False
) -> ModelRequest:
    """The request for a task."""
    return ModelRequest(classes=classes, channels=channels, size=side(subject), head=head, pretrained=pretrained)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
