"""Files appear whole or not at all; names from outside are made safe; one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox.api.errors import EnvironmentFailure
from toolbox.files import atomic, fingerprint
from toolbox.files.locks import hold_lock
from toolbox.files.names import safe_name


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    atomic.write_text(file, "old")
    with pytest.raises(RuntimeError), atomic.replace_file(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_place_that_can_not_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match="can't create the folder"):
        atomic.write_text(tmp_path / "file" / "below", "x")


def test_nan_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=120))
def test_any_text_becomes_one_component_of_a_path(text: str) -> None:
    name = safe_name(text)
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert name not in ("", ".", "..") and len(name.encode()) <= 100


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_have_different_names(first: str, second: str) -> None:
    assert (first == second) == (safe_name(first) == safe_name(second))


def test_plain_names_stay() -> None:
    assert [safe_name(name) for name in ("Cats", "cat.1", "AD-3", "größe")] == ["Cats", "cat.1", "AD-3", "größe"]


@pytest.mark.parametrize("name", ["con", "NUL", "com1", "LPT9", "com¹", "aux.txt", "prn .tar.gz", "nul."])
def test_names_that_windows_reserves_are_changed_before_their_first_dot(name: str) -> None:
    stem = safe_name(name).split(".")[0].rstrip(" ")
    assert stem.lower() not in {"con", "prn", "aux", "nul", "com1", "com¹", "lpt9"}
    assert not PureWindowsPath(safe_name(name)).is_reserved()


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=6), st.randoms(use_true_random=False))
def test_a_fingerprint_of_rows_is_independent_of_their_order(rows: list[tuple[str, str]], order) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert fingerprint.of_rows(rows) == fingerprint.of_rows(shuffled)
    assert fingerprint.of_rows([("ab", "c")]) != fingerprint.of_rows([("a", "bc")])


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    other = (
        "import sys; from pathlib import Path; from toolbox.files.locks import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'working'): pass"
    )
    with hold_lock(tmp_path, "working"):
        done = subprocess.run([sys.executable, "-c", other, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "another process is working" in done.stderr
    with hold_lock(tmp_path, "working"):
        pass
