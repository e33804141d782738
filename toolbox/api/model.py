"""What the factory of a model returns, and what it builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is to be built for.

    ``size`` is the side of the square input in pixels. ``head``: ``"linear"`` (pooled features, one linear
    layer; for a model whose head is its own design, that head) or ``"flatten-N"`` (flatten, dense N with ReLU,
    dense: ``flatten-4096`` is study B's). ``pretrained``: the factory's own weights are wanted.
    """

    classes: int
    channels: int
    size: int
    head: str = "linear"
    pretrained: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """Trunk, last block and head as disjoint sets of parameter names that together cover the module.

    ``blocks`` may divide trunk and last block further: in order from the input, the last one being ``last``. With
    them the last N blocks can be unfrozen, and learning rates can fall from block to block.
    """

    trunk: frozenset[str]
    last: frozenset[str]
    head: frozenset[str]
    blocks: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stages:
    """The forward pass in three steps: ``head(last(trunk(x)))`` equals ``module(x)``, to the bit.

    ``trunk`` takes normalised float ``[N, C, size, size]``; ``head`` returns logits ``[N, classes]``. What lies
    between may have any shape with N first. ``head`` holds only the head's parameters, so that pooling, which
    has none, belongs to ``last`` and features can be kept pooled.
    """

    trunk: Callable[[torch.Tensor], torch.Tensor]
    last: Callable[[torch.Tensor], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A module with what training must know of it.

    ``mean`` and ``std``: the normalisation of input in [0, 1], one value a channel. ``weights``: where they
    came from (``"random"``, or name and origin). ``stages`` may be ``None``: then nothing of the forward pass
    is computed once and kept.
    """

    module: torch.nn.Module
    parts: Parts
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str = "random"
    stages: Stages | None = None


class Model(ABC):
    """An architecture, ready to be built."""

    size: int = 224
    """Side of the square input in pixels where neither user nor dataset says."""

    channels: int = 3
    """Channels that it takes by default; sources are converted."""

    weights_name: str = ""
    """The file of its pretrained weights, and where it comes from, for people; empty where it has none."""

    @abstractmethod
    def build(self, request: ModelRequest) -> BuiltModel:
        """The module on the CPU, float32, in training mode. Draws initial weights from torch's global generator.

        Raises
        ------
        toolbox.api.errors.WeightsUnavailable: pretrained weights are requested and not available.
        toolbox.api.errors.UsageError: the request makes no sense for this architecture.
        """
