"""Heads that go on any feature map, and their names: ``linear``, ``flatten-N`` and ``mlp-N-M-…``."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from toolbox.api.errors import UsageError, closest

LINEAR = "linear"
"""The model's own head; for most, pooled features and one linear layer."""

WIDEST = 65_536
"""Units of a dense layer, at most."""

_NAMED = re.compile(r"flatten-([1-9]\d*)|mlp((?:-[1-9]\d*){1,16})")


@dataclass(frozen=True)
class HeadPlan:
    """A head of dense layers: their units before the output, and whether they stand on pooled features."""

    hidden: tuple[int, ...]
    pooled: bool


def parse_head(head: str) -> HeadPlan | None:
    """The head ``flatten-N`` or ``mlp-N-M-…``; ``None`` for ``linear``, which has no hidden layer of ours.

    ``flatten-N``: one dense layer of N units on all features. ``mlp-512-128``: dense layers of 512 and 128 units
    on pooled features.

    Raises
    ------
    UsageError: there is no head of this name; the closest one is named.
    """
    if head == LINEAR:
        return None
    match = _NAMED.fullmatch(head)
    if not match:
        raise UsageError(f"there is no head {head!r}", _suggestion(head))
    hidden = tuple(int(units) for units in (match[1] or match[2].removeprefix("-")).split("-"))
    if max(hidden) > WIDEST:
        raise UsageError(f"the head {head!r} is too wide", f"A dense layer has 1 to {WIDEST:,} units.")
    return HeadPlan(hidden, pooled=match[1] is None)


def _suggestion(head: str) -> str:
    numbers = re.findall(r"[1-9]\d*", head)[:16]
    likely = [LINEAR, f"flatten-{numbers[0] if numbers else 4096}"]
    if head.lower().startswith("mlp"):
        likely = [f"mlp-{'-'.join(numbers) or '512-128'}"]
    known = f"Did you mean {likely[0]!r}?" if len(likely) == 1 else closest(head.lower(), likely)
    return f"{known} Heads: linear, flatten-N with N units (flatten-4096), or mlp-N-M (mlp-512-128)."


class DenseHead(nn.Sequential):
    """Flatten, then dense layers with ReLU, then a dense layer to the logits.

    Takes float ``[N, …]`` with ``features`` values after the first dimension; gives logits ``[N, classes]``, of
    which the loss makes the softmax. ``hidden``: units of the dense layers in between; study B's head is one of
    4096. ``dropout``: the probability, in training, of zeroing a value before each dense layer, the last one
    included. Layers start as PyTorch initialises them.
    """

    def __init__(self, features: int, hidden: Sequence[int], classes: int, dropout: float = 0.0) -> None:
        # Names don't count the dropouts: weights go from a head with to one without.
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, units in enumerate(hidden, start=1):
            layers[f"dropout{number}"] = nn.Dropout(dropout)
            layers[f"dense{number}"] = nn.Linear(features, units)
            layers[f"relu{number}"] = nn.ReLU()
            features = units
        layers["dropout"] = nn.Dropout(dropout)
        layers["classifier"] = nn.Linear(features, classes)
        super().__init__(layers)
