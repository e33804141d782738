"""What the core relies on in an augmenter that mixes the images of a batch while training."""

from __future__ import annotations

import json

from toolbox.api.augmenter import ImageInfo, MixingAugmenter
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.kinds.augmenters import key_alone, not_all_alike, problems_of
from toolbox.testing.pictures import drawn, key, pictures, seeded, watched
from toolbox.testing.subject import Subject

CLASSES = 3
BATCHES = (1, 2, 8)

check = Checks(MixingAugmenter)


@check
def batch_draws_are_json(subject: Subject) -> Problems:
    """``draw_batch`` gives a dict of JSON scalars; see ``draws-are-json``."""
    for number in range(4):
        yield from problems_of(drawn(subject.made, number))


@check
def batch_draws_hang_on_the_key_alone(subject: Subject) -> Problems:
    """The same key, batch size and shape give the same parameters: a training can be resumed to the bit."""
    yield from key_alone(subject)


@check
def batch_draws_differ(subject: Subject) -> Problems:
    """Different keys give different parameters, or none."""
    yield from not_all_alike(subject)


@check
def mixes_keep_their_shape(subject: Subject) -> Problems:
    """Images and targets have the shape and type that they had, all numbers; a batch of one can be had, too.

    The last batch of an epoch has what is left.
    """
    import torch

    for count in BATCHES:
        for channels in (1, 3):
            for what, before, after in zip(
                ("images", "targets"), _batch(count, channels), _mixed(subject, count, channels, 0), strict=True
            ):
                if after.shape != before.shape or after.dtype != before.dtype:
                    yield (
                        f"a batch of {count}: {what} of {tuple(before.shape)}, {before.dtype} become"
                        f" {tuple(after.shape)}, {after.dtype}"
                    )
                elif not torch.isfinite(after).all():
                    yield f"a batch of {count}: {what} hold values that are no numbers"


@check
def targets_add_up_to_one(subject: Subject) -> Problems:
    """Each row of the targets is a distribution over the classes: none below 0, and 1 in all."""
    import torch

    for count in BATCHES:
        for number in range(8):
            targets = _mixed(subject, count, 3, number)[1]
            if (targets < 0).any() or not torch.allclose(targets.sum(1), torch.ones(count), atol=1e-5):
                yield f"a batch of {count}: the targets of an image are {targets[0].tolist()}"
                return


@check
def a_mix_hangs_on_its_parameters_alone(subject: Subject) -> Problems:
    """The same batch and parameters give the same mix, and ``mix`` does not change what it is given."""
    import torch

    images, targets = _batch(8, 3)
    before = images.clone(), targets.clone()
    params = drawn(subject.made, 1)
    found: list[str] = []
    with seeded(1), watched(found):
        first = subject.made.mix(images, targets, params)
    if not (torch.equal(images, before[0]) and torch.equal(targets, before[1])):
        yield "mix writes into the batch that it is given"
        return
    with seeded(2):
        again = subject.again().mix(images, targets, json.loads(json.dumps(params)))
    if not all(torch.equal(*pair) for pair in zip(first, again, strict=True)):
        yield "the same parameters give another mix the second time"
    if found:
        yield f"mix draws from {' and '.join(found)} shared generator"


def _batch(count: int, channels: int):  # type: ignore[no-untyped-def]
    """Images as a model gets them, and one-hot targets."""
    import torch

    images = torch.from_numpy(pictures(count, 24, 32, channels)).permute(0, 3, 1, 2).float()
    labels = torch.arange(count) % CLASSES
    return (images - 128) / 64, torch.nn.functional.one_hot(labels, CLASSES).float()


def _mixed(subject: Subject, count: int, channels: int, number: int):  # type: ignore[no-untyped-def]
    images, targets = _batch(count, channels)
    params = subject.made.draw_batch(key(number), count, ImageInfo(24, 32, channels))
    return subject.made.mix(images, targets, params)
