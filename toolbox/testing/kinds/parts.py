"""Models' parts: fine-tuning trains what it says, and does not change one bit of anything else."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from toolbox.api.model import BuiltModel, Model, Parts
from toolbox.testing.check import Checks, Problems
from toolbox.testing.kinds.models import BATCH, TASKS, built_for, images_for, predict
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

CHECKS = check = Checks(Model)


@check
def parts_cover_every_parameter_once(subject: Subject) -> Problems:
    """Trunk, last block and head are disjoint sets of parameter names that together are all of them.

    A name in two parts would be trained where it should be frozen; a name in none would never be trained. The head is
    not empty. One tensor with two names belongs to one part.
    """
    for channels, classes in TASKS:
        built = built_for(subject, channels, classes)
        problems = _problems_of(built) or _shared_tensors(built.module, built.parts)
        if problems:
            yield from problems
            return


@check
def blocks_divide_trunk_and_last(subject: Subject) -> Problems:
    """``blocks``, if there are any, divide trunk and last block, in order, and the last one equals ``last``.

    ``--unfreeze N`` trains the last N of them, and learning rates decrease from one to the next.
    """
    parts = built_for(subject, 3, 2).parts
    if not parts.blocks:
        return
    names = [name for block in parts.blocks for name in block]
    if len(names) != len(set(names)):
        yield "a parameter is in two blocks"
    if set(names) != parts.trunk | parts.last:
        yield f"the blocks differ from trunk and last block in {_some(set(names) ^ (parts.trunk | parts.last))}"
    if parts.blocks[-1] != parts.last:
        yield "the last of the blocks is not the last block"


@check
def frozen_stays_frozen(subject: Subject) -> Problems:
    """A training step changes the part that is trained, and not one bit of what is frozen, BatchNorm included.

    What a frozen trunk computes is cached. If its running statistics went on changing, it would be another trunk at
    every step, and yet another one in evaluation.
    """
    import torch

    from toolbox.models.freeze import freeze_all_but

    built = built_for(subject, 3, 2)
    initial = {name: value.clone() for name, value in built.module.state_dict().items()}
    try:
        for stage, trained in (
            ("head", built.parts.head),
            ("last block and head", built.parts.head | built.parts.last),
        ):
            freeze_all_but(built.module, trained)
            before = {name: value.detach().clone() for name, value in _tensors(built.module)}
            _train(built, images_for(subject, 3))
            changed = {name for name, value in _tensors(built.module) if not torch.equal(value, before[name])}
            frozen = _frozen(built.module, trained)
            if changed & frozen:
                yield f"training the {stage} changes {_some(changed & frozen)}, which is frozen"
            if not changed & built.parts.head:
                yield f"training the {stage} changes no parameter of the head"
    finally:
        built.module.load_state_dict(initial)
        built.module.requires_grad_(True).train()


@check
def stages_equal_the_module(subject: Subject) -> Problems:
    """``head(last(trunk(x)))`` is ``module(x)``, to the bit, with one output for each image after each stage.

    A frozen trunk is computed once for all epochs; the model that is saved is the module.
    """
    import torch

    for channels, classes in TASKS:
        built = built_for(subject, channels, classes)
        if built.stages is None:
            return
        images = images_for(subject, channels)
        expected = predict(built, images)
        built.module.eval()
        try:
            with torch.no_grad():
                activations = built.stages.trunk(images)
                features = built.stages.last(activations)
                logits = built.stages.head(features)
        finally:
            built.module.train()
        if len(activations) != BATCH or len(features) != BATCH:
            yield f"{BATCH} images become {len(activations)} after the trunk and {len(features)} after the last block"
        elif not torch.equal(logits, expected):
            difference = float((logits - expected).abs().max())
            yield f"with {channels} channels, the stages give logits that differ by {difference:.1e} from the module's"


@check
def stages_use_their_own_parameters(subject: Subject) -> Problems:
    """Each stage uses the parameters of its own part: a gradient through it reaches those and no others.

    Otherwise what is cached of a frozen trunk depends on parameters that are being trained.
    """
    import torch

    built = built_for(subject, 3, 2)
    if built.stages is None:
        return
    built.module.eval()
    values = images_for(subject, 3)
    for part in ("trunk", "last", "head"):
        own = getattr(built.parts, part)
        built.module.zero_grad(set_to_none=True)
        values = getattr(built.stages, part)(values.detach())
        if values.requires_grad:
            torch.autograd.backward(values.square().sum())
        reached = {name for name, value in built.module.named_parameters() if value.grad is not None}
        if reached - own:
            yield f"the stage {part} uses {_some(reached - own)}, of another part"
        elif own and not reached:
            yield f"the stage {part} uses none of the part's parameters"
    if not torch.is_grad_enabled():
        yield "a stage turns gradients off permanently"
    built.module.zero_grad(set_to_none=True)
    built.module.train()


def _problems_of(built: BuiltModel) -> list[str]:
    parts = {name: getattr(built.parts, name) for name in ("trunk", "last", "head")}
    names = {name for name, _ in built.module.named_parameters()}
    problems = []
    for one, other in (("trunk", "last"), ("trunk", "head"), ("last", "head")):
        if both := parts[one] & parts[other]:
            problems.append(f"{_some(both)} is in {one} and in {other}")
    union = parts["trunk"] | parts["last"] | parts["head"]
    if names - union:
        problems.append(f"{_some(names - union)} is in no part")
    if union - names:
        problems.append(f"there is no parameter {_some(union - names)}")
    if not parts["head"]:
        problems.append("the head has no parameters")
    return problems


def _shared_tensors(module: torch.nn.Module, parts: Parts) -> list[str]:
    """Tensors that two parts use by different names; a module lists such a tensor by its first name alone."""
    first = {id(value): name for name, value in module.named_parameters()}
    part_of = {name: part for part in ("trunk", "last", "head") for name in getattr(parts, part)}
    problems = []
    for name, value in module.named_parameters(remove_duplicate=False):
        known = first[id(value)]
        prefix = f"{name.rpartition('.')[0]}."
        siblings = {part_of[each] for each in part_of if prefix != "." and each.startswith(prefix) and each != known}
        if name != known and siblings and part_of[known] not in siblings:
            problems.append(f"{name} is the same tensor as {known}, which is in another part")
    return problems


def _tensors(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _frozen(module: torch.nn.Module, trained: Collection[str]) -> set[str]:
    """Names of the frozen parameters, and of the buffers of submodules that have parameters, all of them frozen."""
    frozen = {name for name, _ in module.named_parameters() if name not in trained}
    for prefix, child in module.named_modules():
        own = [name for name, _ in child.named_parameters(prefix)]
        if own and not set(own) & set(trained):
            frozen |= {name for name, _ in child.named_buffers(prefix)}
    return frozen


def _train(built: BuiltModel, images: torch.Tensor) -> None:
    """Two steps of plain gradient descent, large enough to change every bit."""
    import torch

    trained = [value for value in built.module.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    targets = torch.arange(len(images)) % 2
    for _ in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(built.module(images), targets))
        optimizer.step()


def _some(names: Collection[str]) -> str:
    """The first names, to fit on a line."""
    shown = sorted(names)[:3]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
