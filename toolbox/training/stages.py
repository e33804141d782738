"""The stages of a training: their settings, and the parameters that each of them trains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from toolbox.api.errors import UsageError, closest
from toolbox.api.model import Parts
from toolbox.settings.schema import HeadSettings, LastSettings, Monitor, Settings, StageSettings, TrainingSettings


@dataclass(frozen=True)
class Stage:
    """One stage of a training: its ``settings`` are those of ``[training]``, overridden by ``[head]`` or ``[last]``.

    ``seed`` and ``name`` decide the order of samples and dropout; ``layer_decay``: see :func:`layer_scales`.

    Raises
    ------
    UsageError: settings that contradict each other.
    """

    name: str
    settings: TrainingSettings
    seed: int = 0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.settings.schedule in ("exponential", "inverse-time") and not self.settings.decay:
            raise UsageError(
                f"stage {self.name}: the schedule {self.settings.schedule} needs a decay",
                "Set training.decay, to 0.05 say.",
            )
        if self.settings.nesterov and not self.settings.momentum:
            raise UsageError(f"stage {self.name}: nesterov needs momentum", "Set training.momentum, to 0.9 say.")

    def count_steps(self, steps_per_epoch: int) -> int:
        """The largest number of steps that it takes; ``epochs = 0`` leaves the weights as they are in any case."""
        settings = self.settings
        return settings.steps if settings.steps and settings.epochs else settings.epochs * steps_per_epoch

    @property
    def monitor(self) -> Monitor:
        """What early stopping watches: the loss that is minimized, by default."""
        if self.settings.monitor != "auto":
            return self.settings.monitor
        return "loss" if self.settings.balance == "none" else "balanced-loss"

    def to_dict(self) -> dict[str, Any]:
        """The stage as ``run.json`` has it: its name and the settings that can differ between stages."""
        settings = self.settings.model_dump(include=set(StageSettings.model_fields))
        return {"name": self.name, **settings, "layer_decay": self.layer_decay}


def _merge(training: TrainingSettings, overrides: HeadSettings | LastSettings) -> TrainingSettings:
    """``training`` with every setting that ``overrides`` has and sets."""
    changes = {key: value for key, value in overrides if value is not None and key in StageSettings.model_fields}
    return training.model_copy(update=changes)


def plan_stages(settings: Settings, finetune: bool) -> list[Stage]:
    """The stages of a training: ``train``, or ``head`` and, unless ``last.unfreeze`` is ``none``, ``last``."""
    if not finetune:
        return [Stage("train", settings.training, settings.seed)]
    stages = [Stage("head", _merge(settings.training, settings.head), settings.seed)]
    if settings.last.unfreeze != "none":
        last = _merge(settings.training, settings.last)
        stages.append(Stage("last", last, settings.seed, settings.last.layer_decay))
    return stages


def unfrozen_parameters(parts: Parts, unfreeze: str) -> frozenset[str]:
    """The parameters that the second stage trains: the head, and what ``unfreeze`` (``last.unfreeze``) names.

    ``unfreeze`` is ``none`` (nothing, not even the head), ``last``, ``all``, a number of blocks counted from the head
    (1 is the last block), or patterns separated by commas. A pattern is a module's or parameter's name, with ``*`` and
    ``?`` for any text and any character.

    Raises
    ------
    UsageError: the model has fewer blocks, does not name them, or has no parameter that a pattern matches.
    """
    if unfreeze == "none":
        return frozenset()
    if unfreeze == "last":
        return parts.last | parts.head
    if unfreeze == "all":
        return parts.trunk | parts.last | parts.head
    if unfreeze.isdecimal():
        return _last_blocks(parts, int(unfreeze)) | parts.head
    everything = parts.trunk | parts.last | parts.head
    names = set(parts.head)
    for pattern in (part.strip() for part in unfreeze.split(",")):
        matches = {name for name in everything if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
        if not matches:
            raise UsageError(
                f"last.unfreeze = '{unfreeze}': the model has no module or parameter {pattern!r}",
                f"{closest(pattern, _modules(everything))} 'toolbox show model NAME' names its parts.".strip(),
            )
        names |= matches
    return frozenset(names)


def layer_scales(parts: Parts, layer_decay: float) -> dict[str, float]:
    """The factor on each parameter's learning rate: layer_decay^d at d blocks from the head.

    The head is at 0, the last block at 1, the one before it at 2, and so on. After Clark et al., "ELECTRA", 2020,
    and Bao et al., "BEiT", 2021. A model without named blocks has two: trunk and last block.
    """
    scales = dict.fromkeys(parts.head, 1.0)
    for distance, names in enumerate(reversed(parts.blocks or (parts.trunk, parts.last)), start=1):
        scales.update(dict.fromkeys(names, layer_decay**distance))
    return scales


def _last_blocks(parts: Parts, count: int) -> frozenset[str]:
    blocks = parts.blocks or (parts.last,)
    if not 1 <= count <= len(blocks):
        known = f"it has {len(blocks)}" if parts.blocks else "it only names the last one"
        raise UsageError(
            f"last.unfreeze = {count}: the model has no {count} blocks to unfreeze; {known}",
            "Use --unfreeze-all, or names: --unfreeze 'layer3,layer4'.",
        )
    return frozenset().union(*blocks[-count:])


def _modules(names: Iterable[str]) -> set[str]:
    parts = [name.split(".") for name in names]
    return {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
