"""From a study file to its runs: arms × matrix × seeds × folds, each with its settings and a key of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError
from toolbox.files import atomic, fingerprint
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import parse
from toolbox.settings import layers
from toolbox.settings.layers import Layer
from toolbox.study.file import EXPERIMENT, StudyFile

FILE_NAME = "plan.json"
MAX_RUNS = 10_000
_MAX_COMBINATIONS = 10 * MAX_RUNS  # before [[exclude]]; to look at more of them takes long


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    ``settings`` holds dotted names; ``factors`` the matrix values that single it out; ``key`` is a hash of all that
    decides its result, ``split_key`` of what decides its samples and their split.
    """

    key: str
    split_key: str
    arm: str
    factors: Mapping[str, Any]
    seed: int
    fold: int | None
    method: str
    model: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For people: the arm, its factors, seed and fold."""
        parts = [self.cell_name, f"seed {self.seed}"]
        if self.fold is not None:
            parts.append(f"fold {self.fold}")
        return ", ".join(parts)

    @property
    def cell_name(self) -> str:
        """The arm and its factors, for people: a word speaks for itself, a number needs its name."""
        words = (
            value if isinstance(value, str) else f"{name.rpartition('.')[2]}={value}"
            for name, value in self.factors.items()
        )
        return ", ".join([self.arm, *words])

    @property
    def cell(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What the runs of all seeds and folds share: the arm and its factors."""
        return self.arm, tuple((name, str(value)) for name, value in self.factors.items())


@dataclass(frozen=True)
class Plan:
    """All runs of a study, in the order in which they are run: those of one split together."""

    study: StudyFile
    runs: tuple[PlannedRun, ...]

    def document(self) -> dict[str, Any]:
        """As ``plan.json`` has it."""
        return {
            "name": self.study.name,
            "title": self.study.title,
            "question": self.study.question,
            "seeds": list(self.study.seeds),
            "folds": self.study.folds,
            "runs": [asdict(run) for run in self.runs],
        }


def make(study: StudyFile, below: Sequence[Layer], above: Layer, registry: Registry, data: str | None = None) -> Plan:
    """The runs of ``study``; ``below`` are the layers under the file's settings (``toolbox.toml``), ``above`` what
    the command line says. ``data`` replaces the file's dataset.

    Raises
    ------
    UsageError: a bad setting (the arm is named), an unknown model, no run at all, or more than :data:`MAX_RUNS`.
    """
    cells = len(study.arms) * prod(len(choices) for choices in study.matrix.values())
    most = cells * len(study.seeds) * max(1, study.folds)
    if most > _MAX_COMBINATIONS:
        raise UsageError(f"{study.path} has {most:,} combinations; {MAX_RUNS:,} runs are the most")
    runs = list(_Planner(study, below, above, registry, data).runs())
    if not runs:
        raise UsageError(f"{study.path} leaves no run", "Look at its [[exclude]] tables.")
    if len(runs) > MAX_RUNS:
        raise UsageError(f"{study.path} asks for {len(runs):,} runs; {MAX_RUNS:,} are the most")
    by_key: dict[str, PlannedRun] = {}
    for run in runs:
        if (twin := by_key.setdefault(run.key, run)) is not run:
            raise UsageError(
                f"{study.path}: {twin.name} and {run.name} are the same experiment",
                "Remove one arm, or change a setting.",
            )
    # The runs of one split follow each other: what they share is still in the disk cache.
    order = list(dict.fromkeys(run.split_key for run in runs))
    runs.sort(key=lambda run: order.index(run.split_key))
    return Plan(study, tuple(runs))


def write(plan: Plan, folder: Path) -> None:
    """Keep the plan beside the runs."""
    atomic.write_json(folder / FILE_NAME, plan.document())


@dataclass(frozen=True)
class _Planner:
    """Combines what the file, ``toolbox.toml`` (``below``) and the command line (``above``, ``data``) say."""

    study: StudyFile
    below: Sequence[Layer]
    above: Layer
    registry: Registry
    data: str | None

    def runs(self) -> Iterator[PlannedRun]:
        """Every combination of arm, matrix, fold and seed that is not excluded."""
        study = self.study
        folds: Sequence[int | None] = range(study.folds) if study.folds else [None]
        combinations = [dict(zip(study.matrix, values, strict=True)) for values in product(*study.matrix.values())]
        for arm, factors, fold, seed in product(study.arms, combinations, folds, study.seeds):
            if not any(_matches(condition, arm, factors) for condition in study.exclude):
                yield self._run(arm, factors, seed, fold)

    def _run(self, arm: str, factors: Mapping[str, Any], seed: int, fold: int | None) -> PlannedRun:
        study, where = self.study, f"{self.study.path}, arm {arm!r}"
        values = {**study.base, **study.arms[arm], **factors}
        settings: dict[str, Any] = {"training.train_on": "originals"}
        settings |= {name: value for name, value in values.items() if name not in EXPERIMENT}
        if "epochs" in values:
            settings |= dict.fromkeys(("training.epochs", "head.epochs", "last.epochs"), values["epochs"])
        if self.data is not None:
            settings["data"] = self.data
        if settings.get("data") == "":
            del settings["data"]
            if not any("data" in layer.values for layer in (*self.below, self.above)):
                raise UsageError(f"The study {study.name!r} has no dataset of its own.", "Add --data FOLDER.")
        settings["seed"] = seed
        if fold is not None:
            settings |= {"split.folds": study.folds, "split.fold": fold}
        lower = {name: value for layer in self.below for name, value in layer.values.items()}
        merged = {**lower, **settings, **self.above.values}
        # Checked here, so that a bad value is reported before the first run and not before the fortieth.
        layers.resolve([*self.below, Layer(where, settings), self.above])
        if merged["training.train_on"] == "auto":
            raise UsageError(
                f"{where}: what training.train_on = 'auto' selects depends on the workspace",
                "Write originals or augmented.",
            )
        if "model" not in values:
            raise UsageError(f"{where} names no model", 'Write model = "alzheimer-cnn" in [base].')
        spec = parse(values["model"])
        self.registry.model(spec)
        method = str(values.get("method", "train"))
        if method == "train" and settings.get("last.unfreeze", "none") != "none":
            raise UsageError(f"{where}: last.unfreeze belongs to method = 'finetune'")
        key_parts = {"settings": merged, "method": method, "model": str(spec), "unfreeze_last": False}
        if merged.get("last.unfreeze") in ("none", "last"):
            # As older versions hashed it, so that their ledgers stay valid.
            key_parts["unfreeze_last"] = merged["last.unfreeze"] == "last"
            key_parts["settings"] = {name: value for name, value in merged.items() if name != "last.unfreeze"}
        split = {name: value for name, value in merged.items() if name == "data" or name.startswith("split.")}
        return PlannedRun(
            key=fingerprint.of_record(key_parts)[:12],
            split_key=fingerprint.of_record(split)[:8],
            arm=arm,
            factors=dict(factors),
            seed=seed,
            fold=fold,
            method=method,
            model=str(spec),
            settings=merged,
        )


def _matches(condition: Mapping[str, Any], arm: str, factors: Mapping[str, Any]) -> bool:
    """Whether every key of an ``[[exclude]]`` table fits; a list fits any of its values."""
    actual = {"arm": arm, **factors}
    return all(actual[name] in (value if isinstance(value, list) else [value]) for name, value in condition.items())
