"""``data inspect``: the split that holds, the sheet of classes and samples, and samples in the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Toolbox, write_photos
from tests.hostile import photo
from toolbox.data.inspect import draw_samples
from toolbox.data.manifest import Manifest, Row
from toolbox.report import sheets
from toolbox.report.pictures import Thumbnail
from toolbox.report.sheets import Sheet, SheetRow
from toolbox.report.wording import shorten


def test_the_split_that_is_shown_is_the_workspaces(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws, command = tmp_path / "ws", ("data", "inspect", "--data", photos, "-C", tmp_path / "ws", "--json")
    before = toolbox(*command).document
    assert before["split_from"] == "" and list(before["counts"]) == [""] and not ws.exists()
    split = toolbox("data", "split", "--val", 0.3, "--data", photos, "-C", ws, "--json").document
    kept = {path: path.read_bytes() for path in ws.rglob("*")}
    after = toolbox(*command).document
    assert (after["split_from"], after["split_stale"]) == ("manifest.csv", False)
    assert after["counts"] == split["counts"] and {path: path.read_bytes() for path in ws.rglob("*")} == kept
    photo(1).save(photos / "left" / "new.png")
    stale = toolbox(*command).document
    assert stale["split_stale"] and stale["counts"][""] == {"left": 1, "right": 0}


def test_another_datasets_split_is_not_shown_and_a_broken_one_is_told(
    toolbox: Toolbox, photos: Path, tmp_path: Path
) -> None:
    ws, other = tmp_path / "ws", write_photos(tmp_path / "other" / "train").parent
    assert toolbox("data", "split", "--data", photos, "-C", ws).code == 0
    shown = toolbox("data", "inspect", "--data", other, "-C", ws, "--json").document
    assert shown["split_from"] == "dataset" and list(shown["counts"]) == ["train"]
    (ws / "manifest.csv").write_text("spoilt\n")
    done = toolbox("data", "inspect", "--data", photos, "-C", ws, "--json")
    assert done.code == 0 and "no column 'path'" in done.stderr and done.document["split_from"] == ""


def test_groups_are_told_of_only_where_there_are_some(toolbox: Toolbox, photos: Path) -> None:
    assert "a split never divides" not in toolbox("data", "inspect", "--data", photos).stdout
    assert "a split never divides" in toolbox("data", "inspect", "--data", "phantom:subjects=8").stdout


def test_samples_follow_from_the_seed_alone() -> None:
    rows = [
        Row(f"{label}{number}", f"{number}.png", label) for label in "ab" for number in range(9 if label == "a" else 3)
    ]
    chosen = draw_samples(Manifest(tuple(rows)), 0)
    assert chosen == draw_samples(Manifest(tuple(reversed(rows))), 0) != draw_samples(Manifest(tuple(rows)), 1)
    assert {label: len(found) for label, found in chosen.items()} == {"a": 5, "b": 3}
    assert all(row.label == label for label, found in chosen.items() for row in found)


NAMES = ["a" * 200, "$x^2$_{\\alpha}", "🐈", "line\nbreak", "<b>bold</b>", "[red]rich[/]", "\x1b[31mred", "\ud800"]


def sheet(names: list[str], sizes: tuple[tuple[int, int], ...] = ((40, 32),), split: str = "train") -> Sheet:
    rows = [
        SheetRow(name, [Thumbnail(name, f"{name}.png", photo(i, size)) for i, size in enumerate(sizes)])
        for name in names
    ]
    return Sheet("data", "40 × 32 pixels", rows, "a note", {split: {name: at + 1 for at, name in enumerate(names)}})


def test_the_picture_is_whole_and_the_same_each_time(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    for suffix in ("png", "svg", "PNG"):
        for name in ("one", "two"):
            done = toolbox("data", "inspect", "--data", photos, "--picture", tmp_path / f"{name}.{suffix}", "--json")
            assert done.code == 0 and done.document["picture"].endswith(suffix)
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    other = toolbox("data", "inspect", "--data", photos, "--picture", tmp_path / "two.png", "--seed", 1)
    assert other.code == 0 and (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()
    text = "".join(ET.parse(tmp_path / "one.svg").getroot().itertext())
    assert len(re.findall(r"left-\d\d\.png", text)) == 5 and "12" in text


@pytest.mark.parametrize("names", [["only"], NAMES, [f"class {i}" for i in range(50)]], ids=["one", "hostile", "many"])
def test_any_names_and_shapes_can_be_drawn(names: list[str]) -> None:
    view = sheet(names, ((40, 32), (1, 900), (900, 1), (1, 1), (32, 40)))
    root = ET.fromstring(sheets.render(view, "svg"))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    for name in names[-sheets.MAX_ROWS :]:  # the largest classes come first, and these have the most
        assert any(shorten(name, 24) == text for text in texts), name
    assert ("and 10 smaller classes" in texts) == (len(names) == 50)
    image = Image.open(io.BytesIO(sheets.render(view, "png")))
    assert image.width > 1000 and np.asarray(image.convert("L")).std() > 10


def test_bars_are_as_long_as_their_counts() -> None:
    image = np.asarray(Image.open(io.BytesIO(sheets.render(sheet(["a", "bb"]), "png"))).convert("RGB")).astype(int)
    blue = np.abs(image - np.array([0x00, 0x72, 0xB2])).sum(2) < 12
    runs = sorted(row.sum() for row in blue if row.sum() > 100)
    assert runs[-1] == pytest.approx(2 * runs[0], rel=0.02)


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "png"])
def test_only_png_and_svg_are_drawn(toolbox: Toolbox, photos: Path, tmp_path: Path, name: str) -> None:
    done = toolbox("data", "inspect", "--data", photos, "--picture", tmp_path / name)
    assert done.code == 2 and ".png, .svg" in done.stderr and not (tmp_path / name).exists()


def test_a_picture_that_can_not_be_written_is_one_line(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = toolbox("data", "inspect", "--data", photos, "--picture", tmp_path / "file" / "x.png")
    assert done.code == 1 and "error: can't" in done.stderr and "Traceback" not in done.stderr


def test_samples_are_named_when_asked(toolbox: Toolbox, photos: Path) -> None:
    shown = toolbox("data", "inspect", "--data", photos, "--samples")
    assert shown.code == 0 and len(re.findall(r"left-\d\d\.png", shown.stdout)) == 5 and "--picture" in shown.stdout
    assert toolbox("data", "inspect", "--data", photos, "--samples", "--json").document["images"] == 24
