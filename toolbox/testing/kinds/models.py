"""What the core relies on in a model: it builds for any task, gives logits, and can be exported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

from toolbox.api.errors import UsageError, WeightsUnavailable
from toolbox.api.model import BuiltModel, Model, ModelRequest
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.pictures import pictures
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

TASKS = tuple(product((1, 3), (2, 7)))
"""Channels and classes that a model is built for."""

SIDES = (32, 64, 96, 128)
"""Sides of the pictures that are tried, until one is not too small; then the model's own."""

BATCH = 4

check = Checks(Model)


@check
def says_what_it_takes(subject: Subject) -> Problems:
    """``size`` and ``channels`` are whole numbers: what a training uses where nobody says otherwise."""
    for name in ("size", "channels"):
        value = getattr(subject.made, name)
        if type(value) is not int or value < 1:
            yield f"{name} is {value!r}, not a number of pixels or channels"
    if subject.made.channels not in (1, 3):
        yield f"channels is {subject.made.channels}; pictures have 1 or 3"


@check
def builds_for_any_task(subject: Subject) -> Problems:
    """It builds for 1 and 3 channels and 2 and 7 classes: a module on the CPU, float32, in training mode.

    ``mean`` and ``std`` have a value for each channel. Without pretrained weights it says ``weights="random"``.
    """
    import torch

    for channels, classes in TASKS:
        task = f"{channels} channels and {classes} classes"
        built = of_task(subject, channels, classes)
        if not isinstance(built, BuiltModel):
            yield f"build gives a {type(built).__name__}, not a BuiltModel"
            return
        for name, parameter in built.module.named_parameters():
            if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
                yield f"{task}: {name} is {parameter.dtype} on {parameter.device}, not float32 on the CPU"
                break
        if not built.module.training:
            yield f"{task}: the module is in evaluation mode; build gives it in training mode"
        if len(built.mean) != channels or len(built.std) != channels:
            yield f"{task}: mean and std have {len(built.mean)} and {len(built.std)} values, not {channels}"
        elif not all(map(math.isfinite, built.mean)) or not all(value > 0 for value in built.std):
            yield f"{task}: normalised by mean {built.mean} and std {built.std}"
        if built.weights != "random":
            yield f"{task}: weights is {built.weights!r}, but no pretrained ones were asked for"


@check
def gives_logits(subject: Subject) -> Problems:
    """The module gives float ``[N, classes]``: logits, since the loss and the evaluation make the softmax.

    A softmax in the model as well would flatten the probabilities and slow the training down.
    """
    import torch

    for channels, classes in TASKS:
        logits = outputs(of_task(subject, channels, classes), images_for(subject, channels))
        if not isinstance(logits, torch.Tensor) or logits.shape != (BATCH, classes):
            shape = tuple(getattr(logits, "shape", ()))
            yield f"for {BATCH} images and {classes} classes it gives {type(logits).__name__} {shape}"
        elif not torch.isfinite(logits).all():
            yield f"for {channels} channels it gives values that are no numbers"
        elif (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(BATCH), atol=1e-4):
            yield "it gives probabilities, not logits: leave the softmax out"


@check
def an_answer_hangs_on_its_image_alone(subject: Subject) -> Problems:
    """In evaluation mode an image has one answer: alone as in a batch, and the same again.

    A prediction would depend on what stands beside it in the list, and no figure could be had twice.
    """
    import torch

    built = of_task(subject, 3, 2)
    images = images_for(subject, 3)
    together, again = outputs(built, images), outputs(built, images)
    if not torch.equal(together, again):
        yield "the same images get other logits the second time, in evaluation mode"
    alone = torch.cat([outputs(built, images[number : number + 1]) for number in range(BATCH)])
    bound = 1e-4 * max(1.0, float(together.abs().max()))
    if (off := float((alone - together).abs().max())) > bound:
        yield f"images one by one get logits that differ by {off:.1e} from those in a batch"


@check
def weights_follow_from_torchs_seed(subject: Subject) -> Problems:
    """Initial weights are drawn from torch's global generator: equal seeds give equal weights, others others.

    The core seeds it. A model that seeds it itself makes every run of a study the same run.
    """
    import torch

    found = []
    for seed in (1, 1, 2):
        with _kept_random_state():
            torch.manual_seed(seed)
            module = subject.made.build(_request(subject, 3, 2)).module
            if torch.initial_seed() != seed:
                yield "build seeds torch's global generator; the core has done that"
                return
        found.append(dict(module.named_parameters()))
    first, again, other = found
    changed = [name for name in first if not torch.equal(first[name], again[name])]
    if changed:
        yield f"the same seed gives other initial weights ({changed[0]})"
    varied = [name for name, value in first.items() if value.numel() > 1 and value.std() > 0]
    if varied and all(torch.equal(first[name], other[name]) for name in varied):
        yield "another seed gives the same initial weights"


@check
def refuses_what_it_cannot_build(subject: Subject) -> Problems:
    """A head that it doesn't know is a ``UsageError``, and so are pretrained weights that it doesn't have.

    What is asked for and quietly left out would stand in the run's record nevertheless. For the heads that the
    toolbox names, use :func:`toolbox.api.heads.parse_head`. Without weights of its own (``weights_name`` is
    empty) it raises :class:`toolbox.api.errors.WeightsUnavailable`; with random ones in their place, a fine-tuning
    would freeze noise.
    """
    for asked in ("linear", "flatten-8"):
        try:
            subject.made.build(_request(subject, 3, 2, head=asked))
        except UsageError as error:
            if asked == "linear":
                yield f"the head 'linear' is refused: {error.message}"
    try:
        subject.made.build(_request(subject, 3, 2, head="no-such-head"))
    except UsageError:
        pass
    else:
        yield "it builds with the head 'no-such-head', as if nothing had been asked for"
    if subject.made.weights_name:
        return  # whether they can be had depends on the network
    try:
        subject.made.build(_request(subject, 3, 2, pretrained=True))
    except WeightsUnavailable:
        return
    yield "it has no weights_name, and builds all the same when pretrained weights are asked for"


@check
def exports(subject: Subject) -> Problems:
    """``torch.export`` takes it, for batches of any size, and the exported program gives the same logits.

    ``toolbox export`` makes its files from that; a module whose way depends on values in Python can't be.
    """
    import torch

    from toolbox.models.export import BOUND, Deployable

    built = of_task(subject, 3, 2)
    whole = Deployable(built).eval()
    pixels = torch.from_numpy(pictures(3, side(subject), side(subject), 3)).permute(0, 3, 1, 2).contiguous()
    batch = {"images": {0: torch.export.Dim("batch")}}
    try:
        program = torch.export.export(whole, (pixels[:2],), dynamic_shapes=batch).module()
    except Exception as error:  # exporters meet any model's code and raise anything
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        yield f"torch.export can't take it: {reason[:300]}"
        return
    finally:
        built.module.train()
    for count in (1, 3):
        with torch.no_grad():
            expected = whole.eval()(pixels[:count])[0]
            off = float((program(pixels[:count])[0] - expected).abs().max())
        built.module.train()
        if not off <= BOUND * max(1.0, float(expected.abs().max())):
            yield f"exported, it gives logits that differ by {off:.1e} for a batch of {count}"


def of_task(subject: Subject, channels: int, classes: int) -> BuiltModel:
    """The model for a task, built once for all checks that don't train it."""
    built: BuiltModel = subject.keep(
        ("built", channels, classes), lambda: subject.made.build(_request(subject, channels, classes))
    )
    return built


def anew(subject: Subject) -> BuiltModel:
    """The model for three channels and two classes, to be changed."""
    built: BuiltModel = subject.made.build(_request(subject, 3, 2))
    return built


def side(subject: Subject) -> int:
    """The side of pictures that the model can take: a small one, to be quick."""
    found: int = subject.keep("side", lambda: _smallest(subject))
    return found


def images_for(subject: Subject, channels: int) -> torch.Tensor:
    """A batch as the core hands it over: normalised float32 ``[N, C, H, W]``, channels last in memory."""
    import torch

    images = torch.from_numpy(pictures(BATCH, side(subject), side(subject), channels)).permute(0, 3, 1, 2)
    return (images.float() - 128) / 64


def outputs(built: BuiltModel, images: torch.Tensor) -> torch.Tensor:
    """What the module gives in evaluation mode; it is in training mode again afterwards."""
    import torch

    built.module.eval()
    try:
        with torch.no_grad():
            logits: torch.Tensor = built.module(images)
    finally:
        built.module.train()
    return logits


def _smallest(subject: Subject) -> int:
    import torch

    for size in SIDES:
        try:
            built = subject.made.build(ModelRequest(classes=2, channels=3, size=size))
            outputs(built, torch.zeros(2, 3, size, size))
        except Exception:  # too small, as a rule; what else is wrong shows at its own size
            continue
        return size
    own: int = subject.made.size
    return own


def _request(
    subject: Subject, channels: int, classes: int, head: str = "linear", pretrained: bool = False
) -> ModelRequest:
    return ModelRequest(classes=classes, channels=channels, size=side(subject), head=head, pretrained=pretrained)


@contextmanager
def _kept_random_state() -> Iterator[None]:
    import torch

    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
