"""Augmenters that mix the images of a batch while training; what they draw is checked like other augmenters'."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from toolbox.api.augmenter import ImageInfo, MixingAugmenter
from toolbox.testing.check import Checks, Problems
from toolbox.testing.inputs import check_reproducible, draw, photos
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

CLASSES = 3

CHECKS = check = Checks(MixingAugmenter)


@check
def batches_keep_their_shape(subject: Subject) -> Problems:
    """Images and targets keep shape and type, with finite values, also in a batch of one.

    The last batch of an epoch holds what is left.
    """
    import torch

    for count, channels in product((1, 2, 8), (1, 3)):
        before = _batch(count, channels)
        after = _mix(subject, count, channels, 0)
        for what, one, other in zip(("images", "targets"), before, after, strict=True):
            if other.shape != one.shape or other.dtype != one.dtype:
                yield (
                    f"a batch of {count}: {what} of shape {tuple(one.shape)}, {one.dtype} become"
                    f" {tuple(other.shape)}, {other.dtype}"
                )
            elif not torch.isfinite(other).all():
                yield f"a batch of {count}: {what} hold values that are not finite"


@check
def targets_sum_to_one(subject: Subject) -> Problems:
    """Each row of the targets is a distribution over the classes: none below 0, with a sum of 1."""
    import torch

    for count, number in product((1, 2, 8), range(8)):
        targets = _mix(subject, count, 3, number)[1]
        if (targets < 0).any() or not torch.allclose(targets.sum(1), torch.ones(count), atol=1e-5):
            yield f"a batch of {count}: the targets of an image are {targets[0].tolist()}"
            return


@check
def mixing_is_reproducible(subject: Subject) -> Problems:
    """The same batch and parameters give the same result, and ``mix`` does not change its input."""
    import torch

    batch, params = _batch(8, 3), draw(subject.component, 1)
    yield from check_reproducible(
        subject,
        "mix",
        lambda augmenter: torch.cat([part.flatten() for part in augmenter.mix(*batch, params)]),
        torch.equal,
    )
    if not all(map(torch.equal, batch, _batch(8, 3))):
        yield "mix writes into its batch"


def _batch(count: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as a model gets them, and one-hot targets."""
    import torch

    images = torch.from_numpy(photos(count, 24, 32, channels)).permute(0, 3, 1, 2).float()
    targets = torch.nn.functional.one_hot(torch.arange(count) % CLASSES, CLASSES).float()
    return (images - 128) / 64, targets


def _mix(subject: Subject, count: int, channels: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    params = draw(subject.component, number, ImageInfo(24, 32, channels), count)
    mixed: tuple[torch.Tensor, torch.Tensor] = subject.component.mix(*_batch(count, channels), params)
    return mixed
