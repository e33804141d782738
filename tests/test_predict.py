"""Predicting: the same probabilities as in an evaluation, for any files in any order; unreadable files are reported."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.background import finish_command
from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import ToolboxError, UsageError
from toolbox.data import manifest
from toolbox.data.image_paths import list_images
from toolbox.data.index import QuarantinedSample
from toolbox.models import predict
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import Run
from toolbox.settings.schema import Settings
from toolbox.workspace import Workspace

QUICK = {"training.size": 32, "head.epochs": 1, "training.pretrained": False, "training.batch_size": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``photos`` and a workspace ``ws`` that holds a run on them."""
    folder = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        photos = write_photos(folder / "photos")
        Workspace(folder / "ws", data=photos, settings=QUICK).finetune("timm:arch=test_resnet")
    yield folder


@pytest.fixture
def ours(place: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    return Path(shutil.copytree(place, tmp_path / "ours"))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def of_csv(path: Path, name: str) -> dict[str, list[float]]:
    """Probabilities by the column ``name``."""
    lines = rows(path.read_text("utf-8"))
    return {line[name]: [float(line[key]) for key in line if key.startswith("p:")] for line in lines}


@pytest.mark.parametrize("batch_size", [1, 64])
def test_probabilities_are_those_of_an_evaluation(toolbox: Toolbox, ours: Path, batch_size: int) -> None:
    ws, photos = ours / "ws", ours / "photos"
    assert toolbox("evaluate", 1, "-C", ws, "--data", photos).code == 0
    done = toolbox("predict", 1, photos, "-C", ws, "--batch-size", batch_size, "--csv", ours / "out.csv")
    assert done.code == 0 and done.stdout == ""
    ours_by_path = of_csv(ours / "out.csv", "path")
    external = of_csv(next((ws / "runs").glob("*/predictions-*.csv")), "path")
    held_out = of_csv(next((ws / "runs").glob("*/predictions.csv")), "path")
    assert len(external) == len(ours_by_path) == 24 and len(held_out) >= 2
    for path, values in (*external.items(), *held_out.items()):
        assert np.allclose(ours_by_path[str(photos / path)], values, rtol=0, atol=1e-6)


def test_order_and_duplicates_are_the_users(toolbox: Toolbox, place: Path) -> None:
    one, two = (place / "photos" / "left" / f"left-{number:02d}.png" for number in (7, 2))
    folder = place / "photos" / "right"
    done = toolbox("predict", "1", one, two, one, folder, folder / "right-03.png", "-C", place / "ws", "--csv", "-")
    inside = sorted(str(path) for path in folder.iterdir())
    lines = rows(done.stdout)
    assert [line["path"] for line in lines] == [*map(str, (one, two, one)), *inside, str(folder / "right-03.png")]
    assert lines[0] == lines[2] and done.code == 0
    assert all(line["prediction"] in ("left", "right") and line["problem"] == "" for line in lines)
    for line in lines:
        assert float(line["p:left"]) + float(line["p:right"]) == pytest.approx(1, abs=1e-12)
        assert float(line["probability"]) == float(line[f"p:{line['prediction']}"]) >= 0.5


def test_what_is_unreadable_is_listed_in_its_place_and_never_guessed(toolbox: Toolbox, ours: Path) -> None:
    photos = ours / "photos"
    good = photos / "left" / "left-00.png"
    cut, text, empty = (photos / name for name in ("cut.png", "text.png", "empty.jpg"))
    cut.write_bytes(good.read_bytes()[:-200])
    text.write_text("no image")
    empty.touch()
    named = (cut, good, text, good, empty)
    done = toolbox("predict", "1", *named, "-C", ours / "ws", "--json", "--batch-size", 2)
    assert done.code == 3 and "3 files could not be read" in done.stderr
    images = done.document["images"]
    assert [entry["path"] for entry in images] == [str(path) for path in named]
    assert [entry.get("prediction") is None for entry in images] == [True, False, True, False, True]
    assert [bool(entry.get("problem")) for entry in images] == [True, False, True, False, True]
    assert images[1] == images[3] and (done.document["n"], done.document["quarantined"]) == (2, 3)
    table = rows(toolbox("predict", "1", *named, "-C", ours / "ws", "--csv", "-").stdout)
    assert [line["prediction"] == "" == line["p:left"] for line in table] == [True, False, True, False, True]
    assert "empty" in table[4]["problem"]
    for_people = toolbox("predict", "1", *named, "-C", ours / "ws")
    assert for_people.code == 3 and for_people.stdout.count("can't be read") == 3
    assert toolbox("predict", "1", text, "-C", ours / "ws").code == 3


def test_the_table_for_people(toolbox: Toolbox, place: Path) -> None:
    done = toolbox("predict", "001-timm", place / "photos" / "left", "-C", place / "ws", "--limit", 3)
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and lines[-1].startswith("3 images: ")
    for line, number in zip(lines, range(3), strict=False):
        assert f"left-{number:02d}.png" in line and "%" in line and "█" in line
    top = toolbox("predict", "1", place / "photos" / "left" / "left-00.png", "-C", place / "ws", "--top", 2)
    assert "left " in top.stdout and "right " in top.stdout
    assert toolbox("predict", "1", place / "photos", "-C", place / "ws", "--quiet").stdout == ""


def test_top_k(toolbox: Toolbox, place: Path) -> None:
    common = ("predict", "1", place / "photos", "-C", place / "ws", "--top")
    table = rows(toolbox(*common, 7, "--csv", "-").stdout)
    assert list(table[0]) == ["path", "prediction", "probability", "prediction2", "probability2", "problem"]
    for line in table:
        assert {line["prediction"], line["prediction2"]} == {"left", "right"}
        assert float(line["probability"]) >= float(line["probability2"])
    images = toolbox(*common, 1, "--json").document["images"]
    assert [list(entry["probabilities"]) for entry in images] == [[entry["prediction"]] for entry in images]


def test_csv_and_json_together_and_what_they_refuse(toolbox: Toolbox, ours: Path) -> None:
    both = toolbox("predict", "1", ours / "photos", "-C", ours / "ws", "--json", "--csv", ours / "new" / "out.csv")
    table = rows((ours / "new" / "out.csv").read_text("utf-8"))
    assert [entry["path"] for entry in both.document["images"]] == [line["path"] for line in table]
    assert [entry["probability"] for entry in both.document["images"]] == [float(x["probability"]) for x in table]
    assert toolbox("predict", "1", ours / "photos", "-C", ours / "ws", "--json", "--csv", "-").code == 2


def test_a_run_is_named_by_id_number_or_folder(toolbox: Toolbox, place: Path, tmp_path: Path) -> None:
    image, run = place / "photos" / "left" / "left-00.png", next((place / "ws" / "runs").iterdir())
    answers = [
        toolbox("predict", name, image, "-C", folder, "--json").document["images"]
        for name, folder in ((run.name, place / "ws"), ("1", place / "ws"), (run, tmp_path))
    ]
    assert answers[0] == answers[1] == answers[2]


def test_nonsense_is_told_in_one_line(toolbox: Toolbox, ours: Path) -> None:
    ws, photos = ours / "ws", ours / "photos"
    (ours / "empty").mkdir()
    for arguments, words in (
        (("9", photos), "no run '9'"),
        (("1", photos / "nowhere.png"), "no file or folder"),
        (("1", ours / "empty"), "holds no images"),
        (("1", f"{photos}/*/none-*.png"), "no image matches"),
        (("1", "a\0b"), "no file or folder"),
        (("1", "x" * 5000), "xxx"),
        (("1", photos, "--top", 0), "--top"),
        (("1", photos, "--limit", -1), "--limit"),
        (("1", photos, "--batch-size", 0), "batch_size"),
        (("1", photos, "--device", "tpu"), "device"),
        (("1",), "IMAGE"),
    ):
        done = toolbox("predict", *arguments, "-C", ws)
        assert done.code == 2 and words in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)
    run = next((ws / "runs").iterdir())
    weights = run / "model.safetensors"
    data = weights.read_bytes()
    for damaged in (data[:1000], data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], bytes(len(data))):
        weights.write_bytes(damaged)
        for command in (("predict", "1", photos), ("evaluate", "1", "--data", photos), ("export", "1")):
            refused = toolbox(*command, "-C", ws)
            assert refused.code == 2 and "has changed since the run was trained" in refused.stderr
    weights.unlink()
    assert "has no model.safetensors" in toolbox("predict", "1", photos, "-C", ws).stderr
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "request": {"classes": "many"}}))
    weights.touch()
    assert "run.json is damaged at request.classes" in toolbox("predict", "1", photos, "-C", ws).stderr


def test_a_grey_model_and_pictures_of_every_kind(toolbox: Toolbox, tmp_path: Path) -> None:
    settings = {"training.epochs": 1, "training.size": 32}
    ws = Workspace(tmp_path / "ws", data="phantom:subjects=12,slices=2", settings=settings)
    run = ws.train("alzheimer-cnn")
    photo = Image.open(write_photos(tmp_path / "photos") / "left" / "left-00.png")
    for mode in ("L", "RGB", "CMYK", "I;16"):
        name = tmp_path / "kinds" / f"{mode.replace(';', '')}.{'tif' if mode in ('CMYK', 'I;16') else 'png'}"
        name.parent.mkdir(exist_ok=True)
        picture = photo.convert("L") if mode == "I;16" else photo.convert(mode)
        pixels = Image.fromarray(np.asarray(picture, np.uint16) * 200) if mode == "I;16" else picture
        pixels.save(name)
    done = toolbox("predict", run.path, tmp_path / "kinds", "--json")
    assert done.code == 0 and done.document["n"] == 4, done.stderr
    assert toolbox("predict", run.path, tmp_path / "photos", "--json").document["n"] == 24


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/2.png",
        "a/10.JPG",
        "a/b/1.png",
        "a/.hidden.png",
        "a/.git/x.png",
        "a/notes.txt",
        "[1].png",
        "c.png",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    names = lambda *arguments: [path.as_posix() for path in list_images(arguments)]  # noqa: E731
    assert names("a") == ["a/10.JPG", "a/2.png", "a/b/1.png"]
    assert names(Path("c.png"), "a/b", "c.png") == ["c.png", "a/b/1.png", "c.png"]
    assert names("[1].png") == ["[1].png"]  # a name that exists is no pattern
    assert names("[bc].png") == ["c.png"]
    assert names("a/*") == ["a/10.JPG", "a/2.png", "a/b/1.png"]
    assert names("a/**") == names("a/**/*") == names("a")
    assert names("**/*.png") == ["[1].png", "a/2.png", "a/b/1.png", "c.png"]
    assert names("a/notes.txt") == ["a/notes.txt"]  # what is named is read, and quarantined
    with pytest.raises(UsageError, match="no image matches"):
        list_images(["a/*.txt"])
    with pytest.raises(UsageError, match="no file or folder"):
        list_images([""])


def test_patterns_need_no_shell(place: Path) -> None:
    done = finish_command("predict", "1", "../photos/*/*-0[01].png", "--csv", "-", cwd=place / "ws")
    assert done.code == 0, done.stderr
    assert [Path(line["path"]).name for line in rows(done.stdout)] == [
        f"{label}-{number}.png" for label in ("left", "right") for number in ("00", "01")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_names_that_are_no_text(toolbox: Toolbox, ours: Path) -> None:
    odd = os.fsencode(ours) + b"/od\xffd\n,\x1b[31m.png"
    shutil.copy(ours / "photos" / "left" / "left-00.png", odd)
    shown = toolbox("predict", "1", os.fsdecode(odd), "-C", ours / "ws")
    assert shown.code == 0 and "\x1b" not in shown.stdout and len(shown.stdout.splitlines()) == 1
    assert toolbox("predict", "1", os.fsdecode(odd), "-C", ours / "ws", "--csv", ours / "o.csv").code == 0
    assert odd in (ours / "o.csv").read_bytes()
    assert toolbox("predict", "1", os.fsdecode(odd), "-C", ours / "ws", "--json").document["n"] == 1


def test_names_that_are_formulas(toolbox: Toolbox, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ours / "photos" / "left" / "left-00.png", ours / "=1+2.png")
    monkeypatch.chdir(ours)
    assert rows(toolbox("predict", "1", "=1+2.png", "-C", "ws", "--csv", "-").stdout)[0]["path"] == "'=1+2.png"


def predictor(place: Path, registry: Registry, **settings: object) -> predict.Predictor:
    run = Run(next((place / "ws" / "runs").iterdir()))
    return predict.load(run, registry, Settings.model_validate({"training": settings}))


@pytest.fixture(scope="module")
def module_predictor(place: Path, registry: Registry) -> predict.Predictor:
    return predictor(place, registry)


@settings(deadline=None, max_examples=20)
@given(kinds=st.lists(st.booleans(), max_size=40), batch_size=st.integers(1, 12))
def test_every_item_comes_back_once_in_order_with_its_own_answer(
    module_predictor: predict.Predictor, kinds: list[bool], batch_size: int
) -> None:
    ready = replace(module_predictor, batch_size=batch_size)

    def read(item: tuple[int, bool]) -> predict.Array | str:
        number, good = item
        return np.full((32, 32, 3), 6 * number, np.uint8) if good else f"bad {number}"

    items = list(enumerate(kinds))
    results = list(ready.over(items, read))
    assert [item for item, _ in results] == items
    for (number, good), values in results:
        if good:
            alone = ready.probabilities(np.full((1, 32, 32, 3), 6 * number, np.uint8))[0]
            assert np.allclose(values, alone, rtol=0, atol=1e-6)
        else:
            assert values == f"bad {number}"


def test_decoding_keeps_ahead_of_the_model_and_no_further(place: Path, registry: Registry) -> None:
    ready = predictor(place, registry, batch_size=10)
    begun: list[int] = []
    ahead = threading.Event()

    def read(number: int) -> predict.Array:
        begun.append(number)
        if len(begun) >= 20:
            ahead.set()
        return np.zeros((32, 32, 3), np.uint8)

    stream = ready.over(range(100_000), read)
    next(stream)
    # The first batch is out; the second is decoded though nobody asked for it, and not much more is.
    assert ahead.wait(10)
    for _ in range(9):
        next(stream)
    assert 20 <= len(begun) <= 20 + 8 + 10
    stream.close()


def test_results_come_while_the_rest_is_not_yet_read(place: Path, registry: Registry) -> None:
    image = place / "photos" / "left" / "left-00.png"
    stream = predictor(place, registry, batch_size=2).files([image] * 100 + [Path("missing.png")])
    assert isinstance(next(stream), predict.Predicted)
    rest = list(stream)
    assert len(rest) == 100 and isinstance(rest[-1], QuarantinedSample)


def test_a_model_that_gives_no_numbers_is_an_error(place: Path, registry: Registry) -> None:
    ready = predictor(place, registry)
    next(ready.built.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(ToolboxError, match="not finite"):
        ready.probabilities(np.zeros((1, 32, 32, 3), np.uint8))


def test_an_interruption_leaves_no_half_table(toolbox: Toolbox, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = predict.Predictor.probabilities
    calls: list[int] = []

    def interrupted(self: predict.Predictor, images: predict.Array) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, images)

    monkeypatch.setattr(predict.Predictor, "probabilities", interrupted)
    (ours / "out.csv").write_text("old")
    done = toolbox(
        "predict", "1", ours / "photos", "-C", ours / "ws", "--csv", ours / "out.csv", "--force", "--batch-size", 4
    )
    assert done.code == 130 and (ours / "out.csv").read_text() == "old"
    assert not [path for path in ours.iterdir() if path.name.endswith(".tmp")]


def test_a_run_keeps_what_it_trained_on_and_an_external_test_counts_it(toolbox: Toolbox, ours: Path) -> None:
    ws, run = ours / "ws", next((ours / "ws" / "runs").iterdir())
    table = manifest.read(run / "manifest.csv")
    assert table.fingerprint == Run(run).record.data.fingerprint
    fresh = write_photos(ours / "fresh", per_class=4, size=(44, 32))
    clean = toolbox("evaluate", 1, "-C", ws, "--data", fresh, "--json").document
    assert (clean["trained_on"], clean["leaky"], clean["n"]) == (0, False, 8)
    seen = [row for row in table.part("train") if row.label == "left"][:2]
    unseen = next(row for row in table.rows if row.split != "train")
    for row in (*seen, unseen):
        # Other names and another format, the same pixels; the model's test image was not trained on.
        Image.open(ours / "photos" / row.path).save(fresh / row.label / f"copy-of-{Path(row.path).stem}.bmp")
    mixed = toolbox("evaluate", 1, "-C", ws, "--data", fresh, "--json")
    assert (mixed.document["trained_on"], mixed.document["leaky"], mixed.document["n"]) == (2, True, 11)
    stored = [json.loads(path.read_text("utf-8")) for path in run.glob("evaluation-*.json")]
    assert sorted(document["trained_on"] for document in stored) == [0, 2]
    assert "2 of these 11 images were trained on" in toolbox("evaluate", 1, "-C", ws, "--data", fresh).stdout
    (run / "manifest.csv").unlink()
    unknown = toolbox("evaluate", 1, "-C", ws, "--data", fresh, "--json")
    assert unknown.document["trained_on"] is None and "has no manifest.csv" in unknown.stderr


def test_an_external_test_wants_the_same_classes(toolbox: Toolbox, ours: Path) -> None:
    other = ours / "photos" / "middle"
    (ours / "photos" / "left").rename(other)
    done = toolbox("evaluate", 1, "-C", ours / "ws", "--data", ours / "photos")
    assert done.code == 2 and "middle, right" in done.stderr and "left, right" in done.stderr
    assert not list((ours / "ws" / "runs").glob("*/evaluation-*"))
