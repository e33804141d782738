"""Manifests: written and read back the same, a user's own accepted, a spoilt one refused with its line."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolbox.api.errors import EnvironmentFailure, UsageError
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.workspace import Workspace

# What a file or class may be called; the reader strips outer spaces, as spreadsheets add them.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\\"), min_size=1, max_size=20).map(
    lambda text: f"n{text}n"
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(TEXT, min_size=1, max_size=6, unique=True), labels=st.lists(TEXT, min_size=6, max_size=6))
def test_what_is_written_reads_back_the_same(tmp_path: Path, names: list[str], labels: list[str]) -> None:
    rows = tuple(
        Row(
            id=name,
            path=f"{number}.png",
            label=label,
            group=label,
            split="train",
            sha256="ab",
            pixels="cd",
            width=3,
            height=4,
            columns={"note": name},
        )
        for number, (name, label) in enumerate(zip(names, labels, strict=False))
    )
    written = Manifest(rows, tmp_path, "a/folder")
    manifests.write(written, tmp_path / "manifest.csv")
    first = (tmp_path / "manifest.csv").read_bytes()
    read = manifests.read(tmp_path / "manifest.csv")
    assert read == written and read.fingerprint == written.fingerprint
    manifests.write(read, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == first


def test_a_users_own_needs_path_and_label_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("\ufefflabel,path,age\ncat,x/1.png,3\ndog,x\\2.png,4\n", "utf-8")
    manifest = manifests.read(file)
    assert [row.id for row in manifest.rows] == ["x/1.png", "x/2.png"]
    assert manifest.rows[0].columns == {"age": "3"} and manifest.root == tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'path'"),
        ("path\nx\n", "no column 'label'"),
        ("path,label\n", "lists no sample"),
        ("path,label\nx,\n", "line 2"),
        ("path,label\nx,a\nx,b\n", "line 3: the id 'x' stands in line 2"),
        ("path,label,split\nx,a,holdout\n", "'holdout' is none of"),
        ("path,label\nx,a,b\n", "line 2: not as many fields"),
        ("path,label,width\nx,a,wide\n", "'wide' is no number"),
        ('path,label\n"x,a\n', "not a CSV"),
    ],
)
def test_a_spoilt_one_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "manifest.csv"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        manifests.read(file)
    assert words in caught.value.message


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    file.write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(UsageError, match="UTF-8"):
        manifests.read(file)


def test_an_edit_by_hand_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    manifests.write(Manifest((Row("a", "a.png", "x"), Row("b", "b.png", "y")), tmp_path), file)
    assert not manifests.edited_by_hand(file)
    file.write_text(file.read_text().replace(",x,", ",y,"))
    assert manifests.edited_by_hand(file)


class Killed(BaseException):
    """Nothing after it runs, as after SIGKILL."""


@pytest.mark.parametrize("failure", [Killed(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("last", range(3, 13))
@pytest.mark.parametrize("again", [5, 6])
def test_an_interruption_at_any_point_leaves_a_workspace_that_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, last: int, again: int
) -> None:
    def split(seed: int) -> None:
        Workspace(tmp_path / "ws", data=photos, settings={"split.seed": seed}, resplit=True).save_split()

    steps = iter(range(100))

    def stopping(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if next(steps) >= last:
                raise failure
            return call(*arguments, **named)

        return step

    split(4)
    with monkeypatch.context() as patch, suppress(Killed, EnvironmentFailure):
        patch.setattr(os, "fsync", stopping(os.fsync))
        patch.setattr(Path, "replace", stopping(Path.replace))
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process takes nothing away
        split(5)
    split(again)
    table = tmp_path / "ws" / manifests.FILE_NAME
    assert manifests.is_current(table) and "replaces" not in manifests.read_sidecar(table)
    monkeypatch.chdir(tmp_path)
    Workspace(tmp_path / "fresh", data=photos, settings={"split.seed": again}, resplit=True).save_split()
    for name in ("manifest.csv", "manifest.json"):
        assert (tmp_path / "ws" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    table.write_text(table.read_text().replace("left,", "left ,", 1))
    with pytest.raises(UsageError, match="edited by hand"):
        split(7)
