"""Every setting there is, with its default, its range, and what it means.

The names are those of ``--set`` and of the TOML files. Defaults work on a user's own photos; the two source
studies' figures stand in the examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, create_model
from pydantic.fields import FieldInfo

from toolbox.plugin.spec import parse_value

SPEC: dict[str, JsonValue] = {"metavar": "SPEC"}
ComponentSpec = str | dict[str, Any]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "exponential", "inverse-time", "cosine", "step"]
Balance = Literal["none", "weights", "sampler"]
Monitor = Literal["auto", "loss", "balanced-loss", "accuracy", "balanced-accuracy", "auc"]
Precision = Literal["auto", "float32", "bf16"]
TrainOn = Literal["auto", "originals", "augmented", "online"]
BatchNorm = Literal["train", "frozen"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Protocol = Literal["split-then-augment", "augment-then-split", "augment-then-validate"]
Duplicates = Literal["keep", "group", "drop"]

Epochs = Annotated[int, Field(ge=0, le=100_000, description="epochs; 0 leaves the weights as they are")]
Rate = Annotated[float, Field(gt=0, le=1000, description="learning rate")]
Ratio = Annotated[float, Field(ge=0, lt=1)]
Whole = Annotated[int, Field(ge=0, le=1_000_000)]
Side = Annotated[int, Field(ge=8, le=8192, description="side of the square image, pixels")]


def _unfreeze(value: object) -> object:
    """``last.unfreeze`` in one form: a number of blocks as its digits, names without spaces around them."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("write none, last, all, a number of blocks, or names such as layer3,layer4")
    text = ",".join(part.strip() for part in str(value).split(","))
    if text.lstrip("-").isdecimal():
        if int(text) < 1:
            raise ValueError("write at least 1 block, or none")
        return str(int(text))
    if not all(text.split(",")):
        raise ValueError("a name is empty; write none to train the head alone")
    return text


Unfreeze = Annotated[
    str,
    BeforeValidator(_unfreeze),
    Field(
        description="what stage 2 trains beside the head: none (no stage 2), the last block, all, the last N blocks, or"
        " the modules named (layer3,layer4; blocks.1?)",
        json_schema_extra={"metavar": "N|NAMES"},
    ),
]


EXECUTION: dict[str, JsonValue] = {"affects_results": False}
"""Marks a setting that says where a run is computed, or how it is watched or judged: its predictions stay the same."""


class Section(BaseModel):
    """A table of settings: unknown keys are errors; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SplitSettings(Section):
    """How samples are split into training, validation and test."""

    test: Ratio = Field(0.15, description="share of each class for the test split: floor(ratio × count)")
    val: Ratio = Field(0.15, description="share of what is left after the test split for validation")
    seed: int = Field(0, description="seed of the split, so that runs with other training seeds share one split")
    group_by: str = Field(
        "",
        description="what a split must never divide: a regular expression on the path with one capture, or a manifest"
        " column",
        json_schema_extra={"metavar": "REGEX|COLUMN"},
    )
    folds: int = Field(0, ge=0, le=1000, description="number of folds for cross-validation, in place of split.test")
    fold: int = Field(0, ge=0, le=999, description="with split.folds: the fold that is held out, from 0")
    duplicates: Duplicates = Field(
        "keep", description="near-duplicates: kept as they are, made one group, or dropped from the training side"
    )
    extend: str = Field(
        "",
        description="an older manifest.csv whose assignments stay as they are",
        json_schema_extra={"metavar": "OLD.csv"},
    )
    protocol: Protocol = Field(
        "split-then-augment",
        description="what comes first; augment-then-split leaks on purpose: set, runs and reports are marked leaky;"
        " augment-then-validate deals the validation split from the copies of training images",
    )


class AuditSettings(Section):
    """The leak gate in front of ``train`` and ``finetune``."""

    near: bool = Field(True, description="also look for near-duplicates, not only for identical pixels")
    allow_leaks: bool = Field(False, description="train despite a leak; run and report are marked leaky for good")


class AugmentSettings(Section):
    """What ``toolbox augment`` writes."""

    augmenter: ComponentSpec = Field(
        "flip-rotate-zoom", description="augmenter; see 'toolbox list augmenters'", json_schema_extra=SPEC
    )
    factor: int = Field(50, ge=1, le=100_000, description="files per training image")
    include_source: bool = Field(False, description="file 0 is the source itself, resized")
    size: Side = 224
    format: Literal["jpeg", "png", "webp"] = Field("jpeg", description="file format of the copies")
    quality: int = Field(75, ge=1, le=100, description="JPEG and WebP quality")
    balance: bool = Field(False, description="balance the classes: more copies for smaller ones")
    engine: ComponentSpec = Field(
        "auto", description="where copies are made: auto, or an engine", json_schema_extra=EXECUTION
    )
    workers: int = Field(
        0, ge=0, le=1024, description="worker processes; 0: one for each core", json_schema_extra=EXECUTION
    )
    batch_size: int = Field(
        64, ge=1, le=65_536, description="copies of a source computed at once", json_schema_extra=EXECUTION
    )


class StageSettings(Section):
    """What each stage of a training can set for itself."""

    batch_size: int = Field(32, ge=1, le=65_536, description="images per step")
    epochs: Epochs = 30
    steps: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="steps of the optimizer; the last epoch is cut there. 0: as many as epochs have",
    )
    lr: Rate = 0.001
    optimizer: Optimizer = Field("adamw", description="optimizer of every stage")
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled for adamw, L2 for the others")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    nesterov: bool = Field(False, description="Nesterov momentum for sgd")
    schedule: Schedule = Field(
        "constant", description="schedule of the learning rate; see training.decay, .step_epochs, .warmup_epochs"
    )
    decay: float = Field(
        0.0,
        ge=0,
        le=1,
        description="exponential: lr × (1 − decay)^epoch; inverse-time: lr / (1 + decay × step)",
    )
    step_epochs: int = Field(10, ge=1, le=100_000, description="schedule step: lr × step_factor every so many epochs")
    step_factor: float = Field(0.1, gt=0, le=1, description="see step_epochs")
    warmup_epochs: Whole = Field(0, description="epochs over which lr rises from near 0, with any schedule")
    warmup_steps: Whole = Field(0, description="the same in steps; if both are set, they add up")
    balance: Balance = Field(
        "none", description="weights: rare classes count more in the loss; sampler: they are drawn more often"
    )
    label_smoothing: Ratio = Field(0.0, description="share of the target that is spread over all classes")
    early_stopping: bool = Field(
        True, description="stop when training.monitor no longer gets better, and keep the best weights"
    )
    monitor: Monitor = Field(
        "auto",
        description="what early stopping watches; auto: the loss, or with balance the balanced loss",
    )
    patience: int = Field(5, ge=1, le=100_000, description="epochs without a better value of training.monitor")
    batch_norm: BatchNorm = Field(
        "train", description="statistics of trained BatchNorm layers: updated (train) or kept (frozen)"
    )


class TrainingSettings(StageSettings):
    """Training from scratch; the two stages of fine-tuning fall back to it for what they don't set."""

    train_on: TrainOn = Field(
        "auto",
        description="images to train on; auto: the matching augmented set, else the originals; online: new copies in"
        " each epoch",
    )
    size: int = Field(0, ge=0, le=8192, description="side of the square input, pixels; 0: the model's own")
    pretrained: bool = Field(True, description="start finetune from the model's pretrained weights")
    weights: str = Field(
        "", description="weight file to start from (.safetensors, .pth)", json_schema_extra={"metavar": "FILE"}
    )
    mean: list[float] = Field(
        [], description="mean of the inputs in [0, 1], for all channels or each; empty: the model's own"
    )
    std: list[Annotated[float, Field(gt=0)]] = Field(
        [], description="their standard deviation; mean = [0] and std = [1] only divide pixels by 255"
    )
    weights_dir: str = Field("", description="folder of weight files, for machines without network")
    cache_gb: float = Field(
        8.0,
        ge=0,
        le=100_000,
        description="disk space for results shared by all runs, GB; 0: no cache",
        json_schema_extra=EXECUTION,
    )
    cache_precision: Literal["float32", "float16"] = Field(
        "float32", description="precision of cached activations; float16 takes half the disk"
    )
    precision: Precision = Field("auto", description="auto: bf16 on cuda and mps, float32 on the CPU")
    trackers: list[ComponentSpec] = Field(
        [], description="experiment trackers: tensorboard, mlflow, or a plugin's", json_schema_extra=EXECUTION
    )
    compile: bool = Field(False, description="compile the model with torch.compile; worth it for long trainings")
    checkpoint_minutes: float = Field(
        5.0,
        ge=0,
        le=100_000,
        description="longest time between two checkpoints, minutes; 0: after every step",
        json_schema_extra=EXECUTION,
    )


if TYPE_CHECKING:
    StageOverrides = Section
else:
    StageOverrides = create_model(
        "StageOverrides",
        __base__=Section,
        __doc__="The settings of one stage of fine-tuning; those that are not set fall back to ``[training]``.",
        **{
            name: (Annotated[field.annotation, Field(description=field.description), *field.metadata] | None, None)
            for name, field in StageSettings.model_fields.items()
        },
    )


class HeadSettings(StageOverrides):
    """Stage 1: a new head on the frozen trunk."""

    type: str = Field(
        "linear",
        description="the new head: linear, flatten-N, or mlp-N-M",
        json_schema_extra={"metavar": "linear|flatten-N|mlp-N-M"},
    )
    init: Literal["default", "glorot"] = Field(
        "default", description="initial weights of the head: the model's own, or Keras's (Glorot uniform, biases 0)"
    )
    epochs: Epochs = 20
    lr: Rate | None = Field(None, description="learning rate of stage 1")


class LastSettings(StageOverrides):
    """Stage 2, if ``unfreeze`` names more than the head."""

    unfreeze: Unfreeze = "none"
    epochs: Epochs = 30
    lr: Rate | None = Field(0.0001, description="learning rate of stage 2")
    layer_decay: float = Field(1.0, gt=0, le=1, description="lr × this for each block further from the head")
    # A few hundred photos give worse statistics than the million images of pretraining.
    batch_norm: BatchNorm | None = Field("frozen", description="keep the pretrained statistics, or train them")


class Settings(Section):
    """All settings of an experiment."""

    seed: int = Field(0, description="seed of training and augmentation")
    data: str | dict[str, Any] = Field(
        "phantom",
        description="a folder, a manifest file, or a dataset; see 'toolbox list datasets'",
        json_schema_extra=SPEC,
    )
    device: Device = Field(
        "auto", description="where to compute; auto: cuda, else mps, else cpu", json_schema_extra=EXECUTION
    )
    threads: int = Field(
        0, ge=0, le=4096, description="CPU threads of torch; 0: its own default", json_schema_extra=EXECUTION
    )
    evaluators: list[ComponentSpec] = Field(
        ["classification"], description="evaluators; see 'toolbox list evaluators'", json_schema_extra=EXECUTION
    )
    split: SplitSettings = SplitSettings()
    audit: AuditSettings = AuditSettings()
    augment: AugmentSettings = AugmentSettings()
    training: TrainingSettings = TrainingSettings()
    head: HeadSettings = HeadSettings()
    last: LastSettings = LastSettings()


@dataclass(frozen=True)
class SettingInfo:
    """What the schema says of one setting.

    ``type``: ``bool``, ``int``, ``float``, or ``str`` for anything given as text. ``low`` and ``high``: the range, ends
    included. ``metavar``: what stands for the value in a command's help.
    """

    description: str
    type: Any
    default: Any
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    metavar: str


@cache
def setting_info(name: str) -> SettingInfo:
    """Describe the setting with the dotted ``name``, which must exist."""
    section, _, key = name.rpartition(".")
    owner = getattr(Settings(), section) if section else Settings()
    field = type(owner).model_fields[key]
    description, metadata, kind = field.description or "", field.metadata, field.annotation
    if NoneType in get_args(kind):  # a stage's setting, which may be unset
        inner = FieldInfo.from_annotation(next(item for item in get_args(kind) if item is not NoneType))
        metadata, kind = inner.metadata, inner.annotation
        description = description or inner.description or ""
    choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    plain = next((number for number in (bool, int, float) if kind is number), str)
    return SettingInfo(
        description,
        plain,
        getattr(owner, key),
        ("true", "false") if plain is bool else choices,
        next((item.ge for item in metadata if hasattr(item, "ge")), None),
        next((item.le for item in metadata if hasattr(item, "le")), None),
        str(extra.get("metavar", "|".join(choices) or f"<{plain.__name__}>")),
    )


def parse_setting(name: str, text: str) -> Any:
    """``text``, as typed after an option, as a value of the setting ``name``; what is no number stays text."""
    return text if setting_info(name).type is str else parse_value(text)


def known_names() -> tuple[str, ...]:
    """Every setting's dotted name."""
    names: list[str] = []
    for name, value in Settings():
        names += [f"{name}.{key}" for key in type(value).model_fields] if isinstance(value, Section) else [name]
    return tuple(names)


@cache
def execution_settings() -> frozenset[str]:
    """The settings that don't affect what a run predicts: those marked with :data:`EXECUTION`."""
    sections = {f"{name}.": value for name, value in Settings() if isinstance(value, Section)}
    return frozenset(
        prefix + name
        for prefix, section in {"": Settings(), **sections}.items()
        for name, field in type(section).model_fields.items()
        if field.json_schema_extra == EXECUTION
    )


SECTIONS = tuple(name for name, value in Settings() if isinstance(value, Section))
