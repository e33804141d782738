"""``run.json``: what was trained, on what, and how it ended."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Metric
from toolbox.runs.document import Document, Json, Part, known_keys
from toolbox.settings.layers import Layer, flattened, resolve
from toolbox.settings.schema import Settings, known_names

Status = Literal["running", "trained", "finished", "interrupted", "failed"]


class ModelRecord(Part):
    """What the model was built for: see :class:`toolbox.api.model.ModelRequest`."""

    classes: int
    channels: int
    size: int
    head: str
    pretrained: bool


class DataRecord(Part):
    """The samples. ``spec`` opens them, ``fingerprint`` is that of all samples with their split.

    ``counts``: images by split and class.
    """

    spec: str
    note: str = ""
    fingerprint: str
    split_fingerprint: str = ""
    classes: Annotated[list[str], Field(min_length=1)]
    counts: dict[str, dict[str, int]] = {}
    quarantined: int = 0


class StageRecord(Part):
    """A stage as it ran. ``frozen_before`` and ``frozen_after``: hashes of the frozen parameters and buffers."""

    name: str
    epochs: int
    steps: int = 0
    optimizer: str
    lr: float
    batch_size: int
    epochs_run: int
    best_epoch: int
    stopped_early: bool
    trained_parameters: int
    frozen_before: str
    frozen_after: str
    cached: bool


class RecipeRecord(Part):
    """The recipe of the augmented set: see :class:`toolbox.augment.recipe.Recipe`."""

    augmenter: str
    parameters: Json
    factor: int
    include_source: bool = False
    size: int
    format: str
    quality: int
    seed: int
    balance: bool = False
    resampling: int = 1


class RunRecord(Document):
    """A run. Keys with a default may be missing in files of older versions."""

    id: str = ""
    status: Status
    command: str = ""
    kind: Literal["train", "finetune"]
    model: str
    config: Json
    request: ModelRecord
    weights: str
    mean: list[float]
    std: list[float]
    parameters: int = 0
    train_on: str
    augmented_set: str = ""
    augmented_recipe: RecipeRecord | None = None
    training_files: dict[str, int] = {}
    training_fingerprint: str = ""
    data: DataRecord
    leaky: bool
    leaks: dict[str, int] = {}
    seed: int
    device: str = ""
    threads: int = 0
    precision: str = ""
    processes: int = 1
    versions: dict[str, str] = {}
    stages: list[StageRecord] = []
    untrained: bool = False
    model_sha256: str = ""
    seconds: float = 0.0
    error: str = ""
    result: dict[str, Annotated[Metric, known_keys(Metric)]] = {}

    @classmethod
    def migrate(cls, document: Json) -> Json:
        """Move ``unfreeze`` (and ``unfreeze_last``, older still) from beside the settings to ``last.unfreeze``."""
        config = document.get("config")
        last = config.get("last", {}) if isinstance(config, dict) else None
        if not isinstance(config, dict) or not isinstance(last, dict) or "unfreeze" in last:
            return document
        unfreeze = document.get("unfreeze", "last" if document.get("unfreeze_last") else "") or "none"
        document = {name: value for name, value in document.items() if name not in ("unfreeze", "unfreeze_last")}
        return {**document, "config": {**config, "last": {**last, "unfreeze": unfreeze}}}

    @field_validator("config")
    @classmethod
    def _check_config(cls, config: Json) -> Json:
        try:
            _settings(config)
        except UsageError as error:
            raise ValueError(error.message) from error
        return config

    @cached_property
    def settings(self) -> Settings:
        """The settings of ``config``; those that are newer than the run have their defaults."""
        return _settings(self.config)

    @property
    def setting_values(self) -> dict[str, Any]:
        """``config`` by dotted name, as it was written."""
        return flattened("run.json", self.config)


def _settings(config: Json) -> Settings:
    names = known_names()
    values = {name: value for name, value in flattened("run.json", config).items() if name in names}
    return resolve([Layer("run.json", values)])
