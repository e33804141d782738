"""What the core relies on in a model's parts: fine-tuning trains what it says, and not a bit of anything else."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from toolbox.api.model import BuiltModel, Model, Parts
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.kinds.models import BATCH, TASKS, anew, images_for, of_task, outputs
from toolbox.testing.subject import Subject

if TYPE_CHECKING:
    import torch

check = Checks(Model)


@check
def parts_cover_every_parameter_once(subject: Subject) -> Problems:
    """Trunk, last block and head are disjoint sets of parameter names that together are all of them.

    A name in two parts would be trained where it should be frozen; a name in none would never be trained. There is
    a head, at least. One tensor under two names belongs to one part as well.
    """
    for channels, classes in TASKS:
        built = of_task(subject, channels, classes)
        found = _problems_of(built)
        if found:
            yield from found
            return


@check
def blocks_divide_trunk_and_last(subject: Subject) -> Problems:
    """``blocks``, where there are any, divide trunk and last block, in order, and the last one is ``last``.

    ``--unfreeze N`` trains the last N of them, and learning rates fall from one to the next.
    """
    parts = of_task(subject, 3, 2).parts
    if not parts.blocks:
        return
    named = [name for block in parts.blocks for name in block]
    if len(named) != len(set(named)):
        yield "a parameter is in two blocks"
    if set(named) != parts.trunk | parts.last:
        yield f"the blocks are not trunk and last block: {_some(set(named) ^ (parts.trunk | parts.last))}"
    if parts.blocks[-1] != parts.last:
        yield "the last of the blocks is not the last block"


@check
def frozen_stays_frozen(subject: Subject) -> Problems:
    """A step of training changes the part that is trained, and not one bit of what is frozen, BatchNorm included.

    What a frozen trunk gives is computed once and kept; a trunk whose running statistics went on changing would be
    another one at every step, and another one again in evaluation.
    """
    import torch

    from toolbox.models.freeze import freeze_all_but

    for stage in ("head", "last block and head"):
        built = anew(subject)
        trained = built.parts.head if stage == "head" else built.parts.head | built.parts.last
        freeze_all_but(built.module, trained)
        before = {name: value.detach().clone() for name, value in _tensors(built.module)}
        _step(built, images_for(subject, 3))
        changed = {name for name, value in _tensors(built.module) if not torch.equal(value, before[name])}
        frozen = _frozen(built.module, trained)
        if changed & frozen:
            yield f"training the {stage} changes {_some(changed & frozen)}, which is frozen"
        if not changed & built.parts.head:
            yield f"training the {stage} changes no parameter of the head"


@check
def stages_are_the_whole(subject: Subject) -> Problems:
    """``head(last(trunk(x)))`` is ``module(x)``, to the bit, with one output for each image after each stage.

    A frozen trunk is computed once for all epochs; the model that is saved is the whole.
    """
    import torch

    for channels, classes in TASKS:
        built = of_task(subject, channels, classes)
        if built.stages is None:
            return
        images = images_for(subject, channels)
        whole = outputs(built, images)
        built.module.eval()
        try:
            with torch.no_grad():
                between = built.stages.trunk(images)
                features = built.stages.last(between)
                logits = built.stages.head(features)
        finally:
            built.module.train()
        if len(between) != BATCH or len(features) != BATCH:
            yield f"{BATCH} images become {len(between)} after the trunk and {len(features)} after the last block"
        elif not torch.equal(logits, whole):
            off = float((logits - whole).abs().max())
            yield f"with {channels} channels, the three stages give logits that differ by {off:.1e} from the module's"


@check
def stages_hold_their_own_parts(subject: Subject) -> Problems:
    """Each stage works with the parameters of its own part: a gradient through it reaches those and no others.

    Otherwise what is kept of a frozen trunk hangs on parameters that are being trained.
    """
    import torch

    built = anew(subject)
    if built.stages is None:
        return
    built.module.eval()
    values = images_for(subject, 3)
    for part, stage, own in (
        ("trunk", built.stages.trunk, built.parts.trunk),
        ("last", built.stages.last, built.parts.last),
        ("head", built.stages.head, built.parts.head),
    ):
        built.module.zero_grad(set_to_none=True)
        values = stage(values.detach())
        if not values.requires_grad:
            if own:
                yield f"the stage {part} uses none of the part's parameters"
            continue
        torch.autograd.backward(values.square().sum())
        reached = {name for name, value in built.module.named_parameters() if value.grad is not None}
        if reached - own:
            yield f"the stage {part} uses {_some(reached - own)}, of another part"
        elif not reached:
            yield f"the stage {part} uses none of the part's parameters"
    if not torch.is_grad_enabled():
        yield "a stage turns gradients off for good"


def _problems_of(built: BuiltModel) -> list[str]:
    parts = built.parts
    by_part = {"trunk": parts.trunk, "last": parts.last, "head": parts.head}
    names = {name for name, _ in built.module.named_parameters()}
    found = []
    for one, other in (("trunk", "last"), ("trunk", "head"), ("last", "head")):
        if both := by_part[one] & by_part[other]:
            found.append(f"{_some(both)} is in {one} and in {other}")
    together = parts.trunk | parts.last | parts.head
    if names - together:
        found.append(f"{_some(names - together)} is in no part")
    if together - names:
        found.append(f"there is no parameter {_some(together - names)}")
    if not parts.head:
        found.append("the head has no parameters")
    return found or _shared(built.module, parts)


def _shared(module: torch.nn.Module, parts: Parts) -> list[str]:
    """Tensors that two parts use by different names; a module lists such a tensor by its first name alone."""
    first = {id(value): name for name, value in module.named_parameters()}
    part_of = {name: part for part in ("trunk", "last", "head") for name in getattr(parts, part)}
    found = []
    for name, value in module.named_parameters(remove_duplicate=False):
        known = first[id(value)]
        folder = name.rpartition(".")[0]
        beside = {part_of[each] for each in part_of if folder and each.startswith(f"{folder}.") and each != known}
        if name != known and beside and part_of[known] not in beside:
            found.append(f"{name} is the same tensor as {known}, which is in another part")
    return found


def _tensors(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _frozen(module: torch.nn.Module, trained: Collection[str]) -> set[str]:
    """Names of the frozen parameters, and of the buffers of submodules that have parameters, all of them frozen."""
    found = {name for name, _ in module.named_parameters() if name not in trained}
    for prefix, child in module.named_modules():
        own = [name for name, _ in child.named_parameters(prefix)]
        if own and not set(own) & set(trained):
            found |= {name for name, _ in child.named_buffers(prefix)}
    return found


def _step(built: BuiltModel, images: torch.Tensor) -> None:
    """A step of plain gradient descent, large enough to be seen in every bit."""
    import torch

    trained = [value for value in built.module.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    targets = torch.arange(len(images)) % 2
    for _ in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(built.module(images), targets))
        optimizer.step()


def _some(names: Collection[str]) -> str:
    """The first names, so that a line has room."""
    shown = sorted(names)[:3]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
