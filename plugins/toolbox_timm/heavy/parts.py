"""Trunk, last block and head of any architecture of timm, as sets of parameter names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.models import VGG, group_parameters
from torch import nn

from toolbox.errors import UsageError
from toolbox.plugin.protocols import Parts

TimmModule = Any
"""An ``nn.Module`` with what timm adds to it: timm has no type for that."""


def parts_of(module: TimmModule, architecture: str) -> Parts:
    """The parts of a module that timm made.

    Head: the classifier. Trunk: stem and blocks before the last, by timm's own coarse grouping (the one that it
    makes layer-wise learning rates with). Last: everything else, which is the last block and any norm or
    convolution between it and the classifier.

    Raises
    ------
    UsageError: timm names no classifier or no blocks for this architecture.
    """
    classifiers = tuple(f"{name}." for name in classifier_names(module))
    names = [name for name, _ in module.named_parameters()]
    head = frozenset(name for name in names if name.startswith(classifiers))
    trunk = _trunk(module, names) - head
    last = frozenset(names) - trunk - head
    if not (trunk and last and head):
        raise UsageError(
            f"{architecture} can't be fine-tuned in two stages: timm does not say where its last block begins",
            "Choose another architecture.",
        )
    return Parts(trunk, last, head)


def classifier_names(module: TimmModule) -> tuple[str, ...]:
    """The names of the submodules that make the logits: one, or two for a distilled model, or none."""
    names = module.pretrained_cfg.get("classifier")
    return (names,) if isinstance(names, str) else tuple(names or ())


def vgg_boundary(module: VGG) -> int:
    """The index in ``features`` of a VGG at which its fifth and last block begins."""
    pools = [index for index, layer in enumerate(module.features) if isinstance(layer, nn.MaxPool2d)]
    return pools[-2] + 1


def _trunk(module: TimmModule, names: list[str]) -> frozenset[str]:
    if isinstance(module, VGG):
        # timm's blocks are single layers here.
        early = tuple(f"features.{index}." for index in range(vgg_boundary(module)))
        return frozenset(name for name in names if name.startswith(early))
    if not hasattr(module, "group_matcher"):
        return frozenset()
    named: Any = _Named([*names, _STRANGER])
    group: dict[str, int] = group_parameters(named, module.group_matcher(coarse=True), reverse=True)
    # The groups are numbered from stem to head; what no pattern knows comes last, and the stranger with it.
    last_block = max((group[name] for name in names if group[name] < group[_STRANGER]), default=0)
    return frozenset(name for name in names if group[name] < last_block)


_STRANGER = "?"
"""A parameter name that no pattern of timm's matches."""


class _Named:
    """What timm's grouping asks of a module: parameter names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def named_parameters(self) -> Iterator[tuple[str, None]]:
        return ((name, None) for name in self.names)
