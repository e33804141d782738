"""The csv dataset: a table of any shape, and what is wrong with one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import UsageError
from toolbox.plugin.registry import Registry


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text.encode(encoding))
    return path


def samples(registry: Registry, path: Path, **parameters: object) -> list[object]:
    return list(registry.dataset({"name": "csv", "path": str(path), **parameters}).samples())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_and_columns_are_kept(registry: Registry, tmp_path: Path, delimiter: str) -> None:
    lines = [["path", "label", "group", "split", "age"], ["a/1.png", "3", "p1", "Training", "71"]]
    path = table(tmp_path, "\r\n".join(delimiter.join(line) for line in lines), "utf-8-sig")
    (sample,) = samples(registry, path)
    assert (sample.path, sample.label, sample.group, sample.split) == ("a/1.png", "3", "p1", "train")
    assert dict(sample.columns) == {"age": "71"}


def test_columns_of_other_names(registry: Registry, tmp_path: Path) -> None:
    path = table(tmp_path, "file,diagnosis,patient\nx\\y.png,AD,7\n")
    (sample,) = samples(registry, path, path_column="file", label_column="diagnosis", group_column="patient")
    assert (sample.path, sample.label, sample.group, sample.split) == ("x/y.png", "AD", "7", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\na,b\n", "no column 'path'"),
        ("path,label\na.png,\n", "line 2: label is empty"),
        ("path,label\n,x\n", "line 2: path is empty"),
        ("path,label\na.png,x\n./a.png,x\n", "line 3: a.png stands in line 2"),
        ("path,label,split\na.png,x,weekend\n", "line 2: the split 'weekend'"),
        ("path,label\na.png\n", "line 2: not as many fields"),
        ("path,label\n", "lists no image"),
        ("path,path\na,b\n", "two columns of one name"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(registry: Registry, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        samples(registry, table(tmp_path, text))
    assert words in caught.value.message


def test_latin_1_is_refused_with_advice(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        samples(registry, table(tmp_path, "path,label\nö.png,x\n", "latin-1"))


def test_the_whole_way_with_a_missing_file_in_quarantine(toolbox: Toolbox, tmp_path: Path) -> None:
    write_photos(tmp_path / "images", per_class=12)
    files = sorted((tmp_path / "images").rglob("*.png"))
    lines = [f"{file.relative_to(tmp_path).as_posix()};{file.parent.name};p{n // 2}" for n, file in enumerate(files)]
    path = table(tmp_path, "\n".join(["file;class;patient", *lines, "images/gone.png;left;p99"]))
    spec = f"csv:path={path},path_column=file,label_column=class,group_column=patient"
    done = toolbox("data", "split", "--data", spec, "-C", tmp_path / "ws", "--json")
    assert done.code == 3 and done.document["samples"] == 24 and done.document["groups"] == 12
    assert "images/gone.png" in (tmp_path / "ws" / "quarantine.csv").read_text()
    with (tmp_path / "ws" / "manifest.csv").open(newline="") as file:
        sides: dict[str, set[str]] = {}
        for line in csv.DictReader(file):
            sides.setdefault(line["group"], set()).add(line["split"])
    assert all(len(side) == 1 for side in sides.values())
