"""What a training's stages are: their settings, resolved, and which parameters each of them trains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolbox.api.errors import UsageError, closest
from toolbox.api.model import Parts
from toolbox.settings.schema import Settings, StageSettings, TrainingSettings


@dataclass(frozen=True)
class Stage:
    """A stage's settings, resolved; what they mean stands with the settings."""

    name: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    weight_decay: float
    momentum: float
    schedule: str
    early_stopping: bool
    patience: int
    batch_norm: str
    nesterov: bool = False
    decay: float = 0.0
    step_epochs: int = 10
    step_factor: float = 0.1
    warmup_epochs: int = 0
    warmup_steps: int = 0
    balance: str = "none"
    label_smoothing: float = 0.0
    layer_decay: float = 1.0


def resolved(name: str, epochs: int, training: TrainingSettings, own: StageSettings | None = None) -> Stage:
    """A stage's settings: its own where it sets them, else those of ``[training]``.

    Raises
    ------
    UsageError: settings that make no sense together.
    """

    def pick(key: str) -> object:
        value = getattr(own, key, None)
        return getattr(training, key, 1.0) if value is None else value  # [training] has no layer_decay

    keys = [key for key in Stage.__dataclass_fields__ if key not in ("name", "epochs")]
    stage = Stage(name, epochs, **{key: pick(key) for key in keys})  # type: ignore[arg-type]
    if stage.schedule in ("exponential", "inverse-time") and not stage.decay:
        raise UsageError(
            f"stage {name}: the schedule {stage.schedule} needs a decay", "Set training.decay: 0.05, say, or 0.002."
        )
    if stage.nesterov and not stage.momentum:
        raise UsageError(f"stage {name}: nesterov needs momentum", "Set training.momentum: 0.9, say.")
    return stage


def planned(settings: Settings, finetune: bool) -> list[Stage]:
    """The stages of a training: ``train``, or ``head`` and, unless ``last.unfreeze`` is ``none``, ``last``."""
    if not finetune:
        return [resolved("train", settings.training.epochs, settings.training)]
    stages = [resolved("head", settings.head.epochs, settings.training, settings.head)]
    if settings.last.unfreeze != "none":
        stages.append(resolved("last", settings.last.epochs, settings.training, settings.last))
    return stages


def unfrozen(parts: Parts, unfreeze: str) -> frozenset[str]:
    """The parameters that the second stage trains: the head, and what ``unfreeze`` (``last.unfreeze``) names.

    ``unfreeze`` is ``none`` (nothing, not even the head), ``last``, ``all``, a number of blocks counted from the head
    (1 is the last block), or patterns separated by commas. A pattern is a module's or parameter's name, with ``*`` and
    ``?`` for any text and any character.

    Raises
    ------
    UsageError: the model has fewer blocks, doesn't say what they are, or has no parameter that a pattern matches.
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
    found: set[str] = set(parts.head)
    for pattern in (part.strip() for part in unfreeze.split(",")):
        matching = {name for name in everything if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
        if not matching:
            raise UsageError(
                f"last.unfreeze = '{unfreeze}': the model has no module or parameter {pattern!r}",
                f"{closest(pattern, _modules(everything))} 'toolbox show model NAME' names its parts.".strip(),
            )
        found |= matching
    return frozenset(found)


def layer_scales(parts: Parts, layer_decay: float) -> dict[str, float]:
    """What each parameter's learning rate is multiplied by: layer_decay^d, d blocks away from the head.

    The head is at 0, the last block at 1, the one before it at 2, and so on. After Clark et al., "ELECTRA", 2020,
    and Bao et al., "BEiT", 2021. A model that doesn't name its blocks has two: trunk and last block.
    """
    scales = dict.fromkeys(parts.head, 1.0)
    for distance, names in enumerate(reversed(parts.blocks or (parts.trunk, parts.last)), start=1):
        scales.update(dict.fromkeys(names, layer_decay**distance))
    return scales


def _last_blocks(parts: Parts, count: int) -> frozenset[str]:
    blocks = parts.blocks or (parts.last,)
    if not 1 <= count <= len(blocks):
        known = f"it has {len(blocks)}" if parts.blocks else "it says of the last one alone what it is"
        raise UsageError(
            f"last.unfreeze = {count}: the model has no {count} blocks to unfreeze; {known}",
            "Use --unfreeze-all, or names: --unfreeze 'layer3,layer4'.",
        )
    return frozenset().union(*blocks[-count:])


def _modules(names: Iterable[str]) -> set[str]:
    parts = [name.split(".") for name in names]
    return {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
