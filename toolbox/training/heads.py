"""Heads that go on any feature map, and their names: ``linear`` and ``flatten-N``."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from toolbox.errors import UsageError, closest

LINEAR = "linear"
"""The model's own head; for most, pooled features and one linear layer."""

WIDEST = 65_536
"""Units of the dense layer of ``flatten-N``, at most."""

_FLATTEN = re.compile(r"flatten-([1-9]\d*)")


def hidden_units(head: str) -> int | None:
    """N of the head ``flatten-N``; ``None`` for ``linear``, which has no hidden layer of ours.

    Raises
    ------
    UsageError: there is no head of this name; the closest one is named.
    """
    if head == LINEAR:
        return None
    match = _FLATTEN.fullmatch(head)
    if not match:
        raise UsageError(f"there is no head {head!r}", _suggestion(head))
    units = int(match[1])
    if units > WIDEST:
        raise UsageError(f"the head {head!r} is too wide", f"flatten-N takes 1 to {WIDEST:,} units.")
    return units


def _suggestion(head: str) -> str:
    number = re.search(r"[1-9]\d*", head)
    known = closest(head.lower(), [LINEAR, f"flatten-{number[0] if number else 4096}"])
    return f"{known} Heads: linear, or flatten-N with N units (flatten-4096)."


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
