"""Trunk, last block and head of any architecture of timm, as sets of parameter names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.models import VGG, group_parameters
from torch import nn

from toolbox.api.errors import UsageError
from toolbox.api.model import Parts

TimmModule = Any
"""An ``nn.Module`` with what timm adds to it: timm has no type for that."""

Blocks = tuple[frozenset[str], ...]
"""Parameter names, block by block, from the input on."""

_USUAL = {
    "stem": r"^stem|patch_embed|cls_token|pos_embed",
    "blocks": r"^(?:stages|blocks|layers|transformers)\.(\d+)",
}
"""timm's names for stem and blocks, for the few architectures that bring no grouping."""


def find_parts(module: TimmModule, blocks: Blocks, architecture: str) -> Parts:
    """The parts of a module that timm made and that has its head; ``blocks`` as :func:`trunk_blocks` gives them.

    Head: the classifier. Trunk: the blocks before the last. Last: everything else, which is the last block and any
    norm or convolution between it and the classifier. Disjoint and covering by construction.

    Raises
    ------
    UsageError: one of them would be empty.
    """
    names = frozenset(name for name, _ in module.named_parameters())
    head = frozenset(_classifier_parameters(module))
    before = tuple(block - head for block in blocks if block - head)
    trunk = frozenset[str]().union(*before)
    parts = Parts(trunk, names - trunk - head, head, (*before, names - trunk - head))
    for part, members in (("trunk", parts.trunk), ("last block", parts.last), ("head", parts.head)):
        if not members:
            raise UsageError(f"{architecture} has no {part} that timm knows of", "Choose another architecture.")
    return parts


def trunk_blocks(module: TimmModule) -> Blocks:
    """The parameters of stem and blocks before the last, block by block, by timm's own coarse grouping.

    It is what timm makes layer-wise learning rates with. To be asked before the head is replaced: some
    architectures group by the layers that they were born with. Empty where nothing looks like blocks.
    """
    names = [name for name, _ in module.named_parameters()]
    if isinstance(module, VGG):
        # timm's blocks are single layers here.
        return _vgg_blocks(module, names)
    named: Any = _Named([*names, _STRANGER])
    group: dict[str, int] = group_parameters(named, _matcher(module), reverse=True)
    # Groups are numbered from stem to head; what no pattern matches comes last, and the stranger with it.
    last_block = max((group[name] for name in names if group[name] < group[_STRANGER]), default=0)
    members = (frozenset(name for name in names if group[name] == number) for number in range(last_block))
    return tuple(block for block in members if block)


def _vgg_blocks(module: VGG, names: list[str]) -> Blocks:
    """What lies before the fifth block: each block ends with a pooling layer."""
    ends = [index for index, layer in enumerate(module.features) if isinstance(layer, nn.MaxPool2d)][:-1]
    block_of = {name: sum(end < int(name.split(".")[1]) for end in ends) for name in names if name[:9] == "features."}
    return tuple(frozenset(name for name, block in block_of.items() if block == number) for number in range(len(ends)))


def vgg_boundary(module: VGG) -> int:
    """The index in ``features`` of a VGG at which its fifth and last block begins."""
    pools = [index for index, layer in enumerate(module.features) if isinstance(layer, nn.MaxPool2d)]
    return pools[-2] + 1


_STRANGER = "?"
"""A parameter name that no pattern matches."""


class _Named:
    """What timm's grouping asks of a module: parameter names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def named_parameters(self) -> Iterator[tuple[str, None]]:
        return ((name, None) for name in self.names)


def _matcher(module: TimmModule) -> Any:
    if not hasattr(module, "group_matcher"):
        return _USUAL
    try:
        return module.group_matcher(coarse=True)
    except AssertionError:  # it has one grouping only
        return module.group_matcher(coarse=False)


def find_classifiers(module: TimmModule) -> list[nn.Module]:
    """What makes the logits, by timm's method: one layer, or several whose logits are averaged (DeiT's, distilled)."""
    classifier = module.get_classifier() if hasattr(module, "get_classifier") else None
    layers = classifier if isinstance(classifier, tuple | list) else (classifier,)
    return [layer for layer in layers if isinstance(layer, nn.Module)]


def _classifier_parameters(module: TimmModule) -> Iterator[str]:
    """Names of what makes the logits: the classifier by timm's method, and further ones by its configuration."""
    own = {id(parameter) for layer in find_classifiers(module) for parameter in layer.parameters()}
    stated = module.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ((stated,) if isinstance(stated, str) else stated))
    for name, parameter in module.named_parameters():
        if id(parameter) in own or name.startswith(prefixes):
            yield name
