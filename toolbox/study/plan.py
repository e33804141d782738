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
    runs = list(_runs(study, below, above, registry, data))
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


def _runs(
    study: StudyFile, below: Sequence[Layer], above: Layer, registry: Registry, data: str | None
) -> Iterator[PlannedRun]:
    folds: Sequence[int | None] = range(study.folds) if study.folds else [None]
    combinations = [dict(zip(study.matrix, values, strict=True)) for values in product(*study.matrix.values())]
    for arm, values in study.arms.items():
        for factors in combinations:
            if any(_matches(condition, arm, factors) for condition in study.exclude):
                continue
            for fold in folds:
                for seed in study.seeds:
                    given = {**study.base, **values, **factors}
                    if data is not None:
                        given["data"] = data
                    yield _run(study, arm, factors, given, seed, fold, below, above, registry)


def _run(
    study: StudyFile,
    arm: str,
    factors: Mapping[str, Any],
    given: Mapping[str, Any],
    seed: int,
    fold: int | None,
    below: Sequence[Layer],
    above: Layer,
    registry: Registry,
) -> PlannedRun:
    where = f"{study.path}, arm {arm!r}"
    settings = {name: value for name, value in given.items() if name not in EXPERIMENT}
    if "epochs" in given:
        settings.update(dict.fromkeys(("training.epochs", "head.epochs", "last.epochs"), given["epochs"]))
    settings.setdefault("training.train_on", "originals")
    if settings.get("data") == "":
        del settings["data"]
        if not any("data" in layer.values for layer in (*below, above)):
            raise UsageError(f"The study {study.name!r} has no dataset of its own.", "Add --data FOLDER.")
    settings["seed"] = seed
    if fold is not None:
        settings.update({"split.folds": study.folds, "split.fold": fold})
    lower = {name: value for layer in below for name, value in layer.values.items()}
    merged = {**lower, **settings, **above.values}
    # Checked here, so that a misspelt value is told before the first run and not before the fortieth.
    layers.resolve([*below, Layer(where, settings), above])
    if merged["training.train_on"] == "auto":
        raise UsageError(f"{where}: training.train_on = 'auto' depends on what is there", "Say originals or augmented.")
    if "model" not in given:
        raise UsageError(f"{where} names no model", 'Write model = "alzheimer-cnn" in [base].')
    spec = parse(given["model"])
    registry.model(spec)
    method = str(given.get("method", "train"))
    if method == "train" and settings.get("last.unfreeze", "none") != "none":
        raise UsageError(f"{where}: last.unfreeze belongs to method = 'finetune'")
    decided = {"settings": merged, "method": method, "model": str(spec), "unfreeze_last": False}
    if merged.get("last.unfreeze") in ("none", "last"):
        # As older versions hashed it, so that their ledgers stay valid.
        decided["unfreeze_last"] = merged["last.unfreeze"] == "last"
        decided["settings"] = {name: value for name, value in merged.items() if name != "last.unfreeze"}
    sampled = {name: value for name, value in merged.items() if name == "data" or name.startswith("split.")}
    return PlannedRun(
        key=fingerprint.of_record(decided)[:12],
        split_key=fingerprint.of_record(sampled)[:8],
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
    have = {"arm": arm, **factors}
    return all(have[name] in (wanted if isinstance(wanted, list) else [wanted]) for name, wanted in condition.items())
