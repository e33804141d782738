"""``run.json`` and ``evaluation.json`` that were edited are told in a line, whatever was done to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.records import evaluation, record
from toolbox.api.errors import UsageError
from toolbox.runs.folder import EVALUATION, RUN, Run


def write(place: Path, name: str, document: Any) -> Run:
    (place / name).write_text(json.dumps(document), "utf-8")
    return Run(place)


@pytest.mark.parametrize("key", sorted(record()))
@pytest.mark.parametrize("value", [[None], {"a": [None]}, float("nan"), "…"], ids=["list", "table", "nan", "text"])
def test_a_run_json_of_other_types_is_told(tmp_path: Path, key: str, value: Any) -> None:
    sound = write(tmp_path, RUN, record())
    assert sound.finished and sound.record.model == "m"
    spoilt = write(tmp_path, RUN, record(**{key: value}))
    free = key == "config" and isinstance(value, dict)
    if free or (isinstance(value, str) and isinstance(record()[key], str) and key not in ("status", "kind")):
        assert getattr(spoilt.record, key) is not None  # of the right type: nothing more is known of it
        return
    with pytest.raises(UsageError, match=f"run.json is damaged at {key}"):
        _ = spoilt.record
    assert not Run(tmp_path).finished


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n", None),
        ("metrics", []),
        ("metrics", {"accuracy": {"value": float("nan"), "low": 0, "high": 1}}),
        ("group_confusion_matrix", [[float("inf")]]),
        ("tables", [{"name": "a"}]),
        ("figures", [3]),
        ("classes", "ab"),
    ],
)
def test_an_evaluation_json_of_other_types_is_told(tmp_path: Path, key: str, value: Any) -> None:
    assert write(tmp_path, EVALUATION, evaluation()).evaluation.n == 0
    with pytest.raises(UsageError, match=f"evaluation.json is damaged at {key}"):
        _ = write(tmp_path, EVALUATION, evaluation(**{key: value})).evaluation


@pytest.mark.parametrize(
    ("old", "unfreeze"),
    [
        ({"unfreeze_last": True}, "last"),
        ({"unfreeze_last": False}, "none"),
        ({"unfreeze_last": True, "unfreeze": "layer3"}, "layer3"),
        ({"unfreeze_last": False, "unfreeze": ""}, "none"),
    ],
)
def test_what_older_versions_said_of_unfreezing_becomes_a_setting(
    tmp_path: Path, old: dict[str, Any], unfreeze: str
) -> None:
    migrated = write(tmp_path, RUN, record(config={"last": {"epochs": 3}}, **old)).record
    assert migrated.config == {"last": {"epochs": 3, "unfreeze": unfreeze}}
    assert not {"unfreeze", "unfreeze_last"} & set(migrated.document())
