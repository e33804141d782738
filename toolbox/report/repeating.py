"""How to make the runs of a report again: command lines in their order, and the versions that they were made with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolbox.files.command_line import command_line
from toolbox.plugin.spec import Spec
from toolbox.report.inputs import CommandLine
from toolbox.runs.folder import Run
from toolbox.runs.record import RecipeRecord, RunRecord
from toolbox.settings.schema import AugmentSettings, SplitSettings


def steps(runs: Sequence[Run]) -> list[CommandLine]:
    """The commands that made the augmented sets, the runs and their external tests."""
    commands: list[CommandLine] = []
    sets: set[str] = set()
    for run in runs:
        record = run.record
        recipe, name = record.augmented_recipe, record.augmented_set
        if recipe and name not in sets:
            sets.add(name)
            commands.append(CommandLine(_augment(record, recipe), f"the augmented set {name}"))
        if record.command:
            commands.append(CommandLine(record.command, f"the run {run.id}"))
        for evaluation in run.external_evaluations():
            line = command_line("evaluate", run.id, "--data", evaluation.external, workspace=_workspace(record))
            commands.append(CommandLine(line, f"the external test of {run.id}"))
    return commands


def shared_versions(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Name and version of what the runs were made with; where they differ, every version."""
    by_name: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.record.versions.items():
            by_name.setdefault(name, {})[version] = None
    return [(name, " / ".join(versions)) for name, versions in by_name.items()]


def _augment(record: RunRecord, recipe: RecipeRecord) -> str:
    words = ["augment", "--data", record.data.spec, "--augmenter", str(Spec(recipe.augmenter, recipe.parameters))]
    words += ["--factor", str(recipe.factor), "--seed", str(recipe.seed), "--size", str(recipe.size)]
    usual = AugmentSettings().model_dump(mode="json")
    for name in ("format", "quality", "include_source", "balance"):
        if getattr(recipe, name) != usual[name]:
            words += ["--set", f"augment.{name}={_value(getattr(recipe, name))}"]
    split = record.settings.split.model_dump(mode="json")
    for name, value in SplitSettings().model_dump(mode="json").items():
        if split[name] != value:
            words += ["--set", f"split.{name}={_value(split[name])}"]
    return command_line(*words, workspace=_workspace(record))


def _workspace(record: RunRecord) -> Path:
    """The workspace as the run's own command had it."""
    words = shlex.split(record.command) if record.command.startswith("toolbox ") else []
    for flag in ("-C", "--workspace"):
        if flag in words[:-1]:
            return Path(words[words.index(flag) + 1])
    return Path()


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
