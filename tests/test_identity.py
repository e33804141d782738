"""What an experiment is: runs that differ in any setting that affects results, but the seed, are never one arm."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.records import evaluation, record
from toolbox.evaluation.compare import arms_of
from toolbox.runs.folder import EVALUATION, RUN, Run
from toolbox.runs.identity import differences, identity
from toolbox.runs.record import RunRecord
from toolbox.settings.layers import from_names, resolve
from toolbox.settings.schema import Settings, execution_settings, known_names, setting_info


def values_of(name: str) -> list[Any]:
    """Some values of a setting, each of them valid and another than the default."""
    info = setting_info(name)
    if info.choices:
        candidates: list[Any] = [choice == "true" if info.type is bool else choice for choice in info.choices]
    elif isinstance(info.default, list):
        candidates = [["classification:resamples=100"], ["tensorboard", "mlflow"], [0.5], [0.25, 0.5, 0.25]]
    elif info.type in (int, float):
        candidates = [info.type(value) for value in (0.25, 0.5, 1, 2, 9, 33)]
    else:
        candidates = ["last", "2", "all", "layer3", "linear"]
    found = []
    for value in candidates:
        try:
            resolve([from_names("test", {name: value})])
        except Exception:  # out of this setting's range
            continue
        if value != info.default and value not in found:
            found.append(value)
    return found


def record_with(**settings: Any) -> RunRecord:
    """A run with ``settings`` by dotted name."""
    config = resolve([from_names("test", settings)]).model_dump(mode="json")
    return RunRecord.model_validate({**record(kind="finetune", config=config), "seed": settings.get("seed", 0)})


@pytest.mark.parametrize("name", known_names())
def test_every_setting_that_affects_results_tells_experiments_apart(name: str) -> None:
    values = values_of(name)
    assert values, f"no other value of {name} is known"
    identities = [identity(record_with(**{name: value})) for value in values] + [identity(record_with())]
    for a, b in combinations(identities, 2):
        same = name == "seed" or name in execution_settings()
        assert differences(a, b) == ([] if same else [name])


def test_the_settings_that_do_not_affect_results() -> None:
    # Adding one here needs a reason: its runs will be averaged as if they differed in the seed alone.
    assert execution_settings() == {
        "augment.batch_size",
        "augment.engine",
        "augment.workers",
        "device",
        "evaluators",
        "threads",
        "training.cache_gb",
        "training.checkpoint_minutes",
        "training.trackers",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "train"),
        ("model", "other"),
        ("weights", "imagenet"),
        ("train_on", "augmented"),
        ("leaky", True),
        ("mean", [0.5]),
        ("std", [0.5]),
        ("data", {**record()["data"], "fingerprint": "other"}),
        ("data", {**record()["data"], "split_fingerprint": "other"}),
        ("request", {**record()["request"], "head": "mlp-4"}),
    ],
)
def test_so_does_what_the_settings_led_to(key: str, value: Any) -> None:
    other = RunRecord.model_validate(record_with().document() | {key: value})
    assert differences(identity(record_with()), identity(other))


def test_seeds_are_one_arm_and_depths_of_unfreezing_are_three(tmp_path: Path) -> None:
    recipe = {"augmenter": "x", "parameters": {}, "factor": 2, "size": 32, "format": "png", "quality": 75}
    runs = []
    for unfreeze in ("last", "2", "all"):
        for seed in (0, 1):
            document = record_with(**{"last.unfreeze": unfreeze, "seed": seed}).document()
            # A set of copies is named after its seed.
            document |= {
                "augmented_set": f"x-{seed}",
                "augmented_recipe": {**recipe, "name": f"x-{seed}", "seed": seed},
            }
            path = tmp_path / f"{len(runs)}-m"
            path.mkdir()
            (path / RUN).write_text(json.dumps(document))
            (path / EVALUATION).write_text(json.dumps(evaluation()))
            runs.append(Run(path))
    assert [[run.record.seed for run in arm.runs] for arm in arms_of(runs)] == [[0, 1], [0, 1], [0, 1]]


def test_a_run_of_an_older_version_is_one_arm_with_the_defaults_of_newer_settings() -> None:
    document = record_with().document()
    del document["config"]["training"]["warmup_steps"]
    assert identity(RunRecord.model_validate(document)) == identity(record_with())
    assert RunRecord.model_validate(document).settings == Settings()
