"""Every setting there is, with its default, its range, and what it means.

The names are those of ``--set`` and of the TOML files. Defaults work on a user's own photos; the two source
studies' figures stand in the examples.
"""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

ComponentSpec = str | dict[str, Any]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "exponential", "inverse-time", "cosine", "step"]
Balance = Literal["none", "weights", "sampler"]
Precision = Literal["auto", "float32", "bf16"]
TrainOn = Literal["auto", "originals", "augmented", "online"]
BatchNorm = Literal["train", "frozen"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Protocol = Literal["split-then-augment", "augment-then-split"]
Duplicates = Literal["keep", "group", "drop"]

Epochs = Annotated[int, Field(ge=0, le=100_000, description="epochs; 0 leaves the weights as they are")]
Rate = Annotated[float, Field(gt=0, le=1000, description="learning rate")]
Batch = Annotated[int, Field(ge=1, le=65_536, description="images a step")]
Ratio = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[
    float, Field(ge=0, le=1, description="exponential: lr × (1 − decay)^epoch; inverse-time: lr / (1 + decay × step)")
]
Whole = Annotated[int, Field(ge=0, le=1_000_000)]
Interval = Annotated[int, Field(ge=1, le=100_000)]
Factor = Annotated[float, Field(gt=0, le=1)]
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
    Field(description="what stage 2 trains beside the head: none (no stage 2), last, all, N blocks, or module names"),
]


class Section(BaseModel):
    """A table of settings: unknown keys are errors, and nothing changes once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SplitSettings(Section):
    """How samples are dealt into training, validation and test."""

    test: Ratio = Field(0.15, description="share of each class for the test split; floor(ratio × count)")
    val: Ratio = Field(0.15, description="share for validation of what is left after the test split")
    seed: int = Field(0, description="of its own, so that training seeds share one split")
    group_by: str = Field("", description="regular expression on the path with one capture, or a manifest column")
    folds: int = Field(0, ge=0, le=1000, description="cross-validation in so many folds, in place of split.test")
    fold: int = Field(0, ge=0, le=999, description="with split.folds: the fold that is held out")
    duplicates: Duplicates = Field(
        "keep", description="near-duplicates: kept as they are, made one group, or dropped from the training side"
    )
    extend: str = Field("", description="an older manifest.csv whose assignments stay as they are")
    protocol: Protocol = Field(
        "split-then-augment", description="or augment-then-split: leaky on purpose, to show what it does"
    )


class AuditSettings(Section):
    """The leak gate in front of ``train`` and ``finetune``."""

    near: bool = Field(True, description="compare pictures for near-duplicates too, not just their pixels' hashes")
    allow_leaks: bool = Field(False, description="train over a leak; run and report are marked leaky for good")


class AugmentSettings(Section):
    """What ``toolbox augment`` makes."""

    augmenter: ComponentSpec = Field("flip-rotate-zoom", description="augmenter component spec")
    factor: int = Field(50, ge=1, le=100_000, description="files per training image")
    include_source: bool = Field(False, description="file 0 is the source itself, resized")
    size: Side = 224
    format: Literal["jpeg", "png", "webp"] = Field("jpeg", description="file format of the copies")
    quality: int = Field(75, ge=1, le=100, description="JPEG and WebP quality")
    balance: bool = Field(False, description="even the classes out: sources of smaller ones get more copies")
    engine: ComponentSpec = Field("auto", description="where copies are made: auto, or an engine component spec")
    workers: int = Field(0, ge=0, le=1024, description="processes of engine auto; 0: as many as there are cores")
    batch_size: int = Field(64, ge=1, le=65_536, description="copies of a source made at a time")


class TrainingSettings(Section):
    """Training from scratch; the two stages of fine-tuning fall back to it for what they don't set."""

    batch_size: Batch = 32
    epochs: Epochs = 30
    lr: Rate = 0.001
    optimizer: Optimizer = "adamw"
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled for adamw, L2 for the others")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(False, description="sgd looks ahead along its momentum")
    schedule: Schedule = Field("constant", description="of the learning rate, over a stage's epochs")
    decay: Decay = 0.0
    step_epochs: Interval = Field(10, description="schedule step: lr × step_factor every so many epochs")
    step_factor: Factor = Field(0.1, description="see step_epochs")
    warmup_epochs: Whole = Field(0, description="epochs over which lr rises from near 0, whatever the schedule")
    warmup_steps: Whole = Field(0, description="the same in steps; both given, they add up")
    balance: Balance = Field(
        "none", description="rare classes count more in the loss (weights), or are drawn more often (sampler)"
    )
    label_smoothing: Ratio = Field(0.0, description="share of the target that is spread over all classes")
    early_stopping: bool = Field(True, description="stop when validation loss no longer falls; best weights kept")
    patience: int = Field(5, ge=1, le=100_000, description="epochs without a better validation loss")
    batch_norm: BatchNorm = Field("train", description="statistics of trained BatchNorm layers: updated, or kept")
    train_on: TrainOn = Field("auto", description="originals, the augmented set, or copies made on the fly")
    size: int = Field(0, ge=0, le=8192, description="side of the square input, pixels; 0: the model's own")
    pretrained: bool = Field(True, description="finetune starts from the model's pretrained weights")
    weights: str = Field("", description="weight file (.safetensors, .pth) to start from")
    weights_dir: str = Field("", description="folder of weight files, for places without network")
    cache_gb: float = Field(
        8.0, ge=0, le=100_000, description="disk for what is computed once and shared by all runs, GB; 0: nothing"
    )
    cache_precision: Literal["float32", "float16"] = Field(
        "float32", description="how a frozen trunk's activations are kept; float16 takes half the disk"
    )
    precision: Precision = Field("auto", description="auto: bf16 on cuda and mps, float32 on the CPU")
    trackers: list[ComponentSpec] = Field(
        [], description="who is told of a run as it happens: tensorboard, mlflow, or a plugin's"
    )
    compile: bool = Field(False, description="compile the model with torch.compile; pays for long trainings")
    checkpoint_minutes: float = Field(
        5.0, ge=0, le=100_000, description="longest time between two checkpoints; 0: after every step"
    )


class StageSettings(Section):
    """One stage of fine-tuning; what is not set falls back to ``[training]``."""

    batch_size: Batch | None = None
    lr: Rate | None = None
    optimizer: Optimizer | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    nesterov: bool | None = None
    schedule: Schedule | None = None
    decay: Decay | None = None
    step_epochs: Interval | None = None
    step_factor: Factor | None = None
    warmup_epochs: Whole | None = None
    warmup_steps: Whole | None = None
    balance: Balance | None = None
    label_smoothing: Ratio | None = None
    early_stopping: bool | None = None
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_norm: BatchNorm | None = None


class HeadSettings(StageSettings):
    """Stage 1: a new head on the frozen trunk."""

    type: str = Field("linear", description="linear, flatten-N (flatten-4096 is the paper's), or mlp-512-128")
    epochs: Epochs = 20


class LastSettings(StageSettings):
    """Stage 2, if ``unfreeze`` names more than the head."""

    unfreeze: Unfreeze = "none"
    epochs: Epochs = 30
    lr: Rate | None = 0.0001
    layer_decay: float = Field(1.0, gt=0, le=1, description="lr × this for each block further from the head")
    # Statistics of some hundred photos would undo what those of a million images brought.
    batch_norm: BatchNorm | None = Field("frozen", description="keep the pretrained statistics, or train them")


class Settings(Section):
    """All settings of an experiment."""

    seed: int = Field(0, description="of training and of augmentation")
    data: str | dict[str, Any] = Field("phantom", description="a folder, a manifest, or a dataset component spec")
    device: Device = Field("auto", description="auto takes cuda, else mps, else cpu")
    threads: int = Field(0, ge=0, le=4096, description="CPU threads of torch; 0: as many as it takes by itself")
    evaluators: list[ComponentSpec] = Field(["classification"], description="evaluator component specs")
    split: SplitSettings = SplitSettings()
    audit: AuditSettings = AuditSettings()
    augment: AugmentSettings = AugmentSettings()
    training: TrainingSettings = TrainingSettings()
    head: HeadSettings = HeadSettings()
    last: LastSettings = LastSettings()


SECTIONS = ("split", "audit", "augment", "training", "head", "last")


def known_names() -> dict[str, str]:
    """Every setting's dotted name, with its description."""
    names: dict[str, str] = {}
    for name, info in Settings.model_fields.items():
        if name in SECTIONS:
            section: type[BaseModel] = info.annotation  # type: ignore[assignment]  # a Section by construction
            for key, field in section.model_fields.items():
                names[f"{name}.{key}"] = field.description or ""
        else:
            names[name] = info.description or ""
    return names


def choices(name: str) -> tuple[str, ...]:
    """What the setting ``name`` may be, where that is one of a few words."""
    section, _, key = name.rpartition(".")
    model = Settings.model_fields[section].annotation if section else Settings
    annotation: Any = model.model_fields[key].annotation  # type: ignore[union-attr]  # a Section by construction
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if len(kinds) == 1 and get_origin(annotation) is not Literal:
        annotation = kinds[0]  # one or nothing
    if annotation is bool:
        return ("true", "false")
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()
