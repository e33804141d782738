"""Component specs: one grammar on the command line and in TOML."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox.api.errors import UsageError
from toolbox.plugin.spec import Spec, looks_like_path, parse, parse_value

VALUES = st.recursive(
    st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e6, 1e6)
    | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(
    name=st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True), parameters=st.dictionaries(KEYS, VALUES, max_size=4)
)
def test_what_is_written_reads_back_the_same(name: str, parameters: dict[str, object]) -> None:
    spec = Spec(name, parameters)
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50", Spec("resnet50")),
        ("timm:arch=vit_tiny_patch16_224", Spec("timm", {"arch": "vit_tiny_patch16_224"})),
        ("alzheimer:rotation=10,flip=false", Spec("alzheimer", {"rotation": 10, "flip": False})),
        ("x:border-mode=reflect", Spec("x", {"border_mode": "reflect"})),
        (
            'compose:steps=["colour","alzheimer:rotation=10,shear=1"]',
            Spec("compose", {"steps": ["colour", "alzheimer:rotation=10,shear=1"]}),
        ),
        ("timm:arch=resnet50.a1_in1k", Spec("timm", {"arch": "resnet50.a1_in1k"})),
    ],
)
def test_reads(text: str, expected: Spec) -> None:
    assert parse(text) == expected


def test_a_toml_table_is_the_same_spec() -> None:
    assert parse({"name": "alzheimer", "rotation": 10}) == parse("alzheimer:rotation=10")


@pytest.mark.parametrize("text", ["", ":a=1", "x:", "x:a", "x:a=1,a=2", "x:=1", 'x:a=["b', "x:a=[1"])
def test_nonsense_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_a_table_without_a_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no name"):
        parse({"rotation": 10})


@pytest.mark.parametrize("text", ["a/b", r"C:\data", "/abs", "./x", "scans/a:b=1"])
def test_what_holds_a_separator_is_a_path(text: str) -> None:
    assert looks_like_path(text)


@pytest.mark.parametrize("text", ["nifti:path=scans/", r"nifti:path=C:\scans", 'csv:path="/a/b.csv",root=/a'])
def test_a_name_with_a_key_is_a_spec_even_if_a_value_is_a_path(text: str) -> None:
    assert not looks_like_path(text) and parse(text).parameters["path"]


def test_what_exists_is_a_path_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not looks_like_path("phantom")
    (tmp_path / "phantom").mkdir()
    assert looks_like_path("phantom")


@given(st.text(max_size=30))
def test_any_text_is_a_value(text: str) -> None:
    parse_value(text)
