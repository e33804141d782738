"""File and class names from outside can neither steer the terminal nor run in a spreadsheet."""

import re
from pathlib import Path

import pytest

from tests.conftest import Toolbox, write_photos
from toolbox.files.names import printable, spreadsheet_cell

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Two classes whose names and files hold terminal escapes and formulas, and a broken file."""
    photos = write_photos(tmp_path / "photos")
    (photos / "left").rename(photos / "=cmd|'left'")
    for at, path in enumerate(sorted((photos / "right").iterdir())):
        path.rename(path.with_name(f"\x1b[3{at % 8}m\x9b{path.name}"))
    (photos / "right" / "\x1b]0;title\x07.png").write_bytes(b"no image")
    return photos


@pytest.mark.parametrize(
    "command",
    ["data inspect", "data split", "data audit", "data prepare --size 8", "augment --factor 2 --workers 0"],
)
def test_no_command_sends_control_characters_from_names_to_the_terminal(
    toolbox: Toolbox, hostile: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile.parent)
    result = toolbox(*command.split(), "--data", hostile)
    assert result.code == 3 and "]0;title" in result.stderr
    assert not CONTROL.search(result.stdout + result.stderr)


def test_an_error_shows_control_characters_as_replacement_characters(toolbox: Toolbox) -> None:
    result = toolbox("data", "inspect", "--data", "no\x1b[31m/such")
    assert result.code == 2 and "no\ufffd[31m/such" in result.stderr


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_in_cells_get_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "dog/=1.png", "0.5", "'x"])
def test_other_cells_stay(text: str) -> None:
    assert spreadsheet_cell(text) == text == printable(text)
