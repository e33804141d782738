"""What evaluators are given beyond predictions, from the command line to the files: columns, images, the model."""

from __future__ import annotations

import csv
import json
import shutil
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Toolbox, write_photos
from toolbox import Workspace
from toolbox.api.components import EvaluatorComponent
from toolbox.api.errors import PluginError
from toolbox.api.evaluator import Evaluation, Evaluator, Evidence, Gallery, Picture
from toolbox.api.hooks import hookimpl
from toolbox.api.images import decode, read_file
from toolbox.evaluation.galleries import delete_stale, read_galleries
from toolbox.plugin.registry import GROUP, Registry
from toolbox.runs.evaluation import GalleryRecord, PictureRecord
from toolbox.runs.folder import Run

LONG = ("explain:count=2", "robustness:severities=[3],resamples=200", "errors")
ALL = tuple(word for spec in LONG for word in ("--evaluator", spec))
BY_SCANNER = ("--evaluator", "subgroups:column=scanner")
FEW = ("--set", 'evaluators=["classification:resamples=100"]')


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a table of photos from two scanners, and a run on them."""
    place = tmp_path_factory.mktemp("trained")
    write_photos(place / "photos", per_class=16)
    with (place / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "scanner"])
        for at, path in enumerate(sorted((place / "photos").rglob("*.png"))):
            writer.writerow([path.relative_to(place).as_posix(), path.parent.name, "old" if at % 2 else "new"])
    settings = {
        "training.size": 32,
        "training.epochs": 2,
        "split.test": 0.4,
        "evaluators": ["classification:resamples=100"],
    }
    Workspace(place / "ws", data=place / "table.csv", settings=settings).train("alzheimer-cnn")
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy to spoil: the run says where its photos lie."""
    shutil.copytree(trained, tmp_path / "copy")
    record = tmp_path / "copy" / "ws" / "runs" / "001-alzheimer-cnn" / "run.json"
    old, new = (json.dumps(str(path))[1:-1] for path in (trained.resolve(), (tmp_path / "copy").resolve()))
    record.write_text(record.read_text("utf-8").replace(old, new), "utf-8")
    return tmp_path / "copy"


def the_run(place: Path) -> Run:
    return Run(place / "ws" / "runs" / "001-alzheimer-cnn")


def kept_for_test(place: Path) -> list[Path]:
    with (the_run(place).path / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return [place / row["path"] for row in csv.DictReader(file) if row["split"] == "test"]


def test_evaluators_are_added_and_metrics_stay(place: Path, toolbox: Toolbox) -> None:
    done = toolbox("evaluate", "1", "-C", place / "ws", *FEW, *ALL, *BY_SCANNER, "--json")
    assert done.code == 0, done.stderr
    document = done.document
    assert [spec.partition(":")[0] for spec in document["evaluators"]] == [
        "classification", "explain", "robustness", "errors", "subgroups",
    ]  # fmt: skip
    assert {"accuracy", "auc", "corrupted_accuracy"} <= set(document["metrics"])
    sizes = next(table for table in document["tables"] if table["name"] == "subgroups-scanner-sizes")
    assert [row[0] for row in sizes["rows"]] == ["new", "old"] and sum(row[1] for row in sizes["rows"]) == 12
    assert any("fewer than 30 images of new" in note for note in document["notes"])
    files = [picture["file"] for gallery in document["galleries"] for picture in gallery["pictures"]]
    assert "figures/explain-best/01.png" in files and all(gallery["shows_data"] for gallery in document["galleries"])
    assert all((the_run(place).path / file).is_file() for file in files)
    shown = toolbox("evaluate", "1", "-C", place / "ws", *FEW, *BY_SCANNER).stdout
    assert "Metrics by scanner" in shown
    # The evaluation that replaced it has no pictures, and neither has the folder.
    assert not list((the_run(place).path / "figures").rglob("*.png"))


def test_an_evaluator_of_the_same_name_goes_before(place: Path, toolbox: Toolbox) -> None:
    both = ("--evaluator", "classification:positive=left,resamples=100", *BY_SCANNER)
    document = toolbox("evaluate", "1", "-C", place / "ws", *both, "--json").document
    assert document["evaluators"][0].startswith("classification:positive") and len(document["evaluators"]) == 2
    assert "sensitivity" in document["metrics"]


def test_what_is_explained_is_the_image_that_was_tested(place: Path, toolbox: Toolbox) -> None:
    toolbox("evaluate", "1", "-C", place / "ws", *FEW, "--evaluator", "errors", "--evaluator", "explain:count=1")
    run = the_run(place)
    names = {path.name: path for path in kept_for_test(place)}
    galleries = read_galleries(run, run.evaluation.galleries)
    found = next(gallery for gallery in galleries if gallery.name == "explain-doubtful")
    name = found.pictures[0].caption.partition(":")[0].rpartition("/")[2]
    source = decode(read_file(names[name])).image.resize((224, 179), Image.Resampling.BICUBIC)
    shown = found.pictures[0].image.crop((0, 0, 224, 179))
    assert np.array_equal(np.asarray(shown), np.asarray(source))


def test_missing_and_changed_images_are_counted(place: Path, toolbox: Toolbox) -> None:
    first, second, *rest = kept_for_test(place)
    first.unlink()
    Image.new("RGB", (40, 32), "red").save(second)
    arguments = (
        "evaluate",
        "1",
        "-C",
        place / "ws",
        *FEW,
        "--evaluator",
        'robustness:kinds=["blur"],severities=[1]',
        "--json",
    )
    document = toolbox(*arguments).document
    assert any("robustness: 2 of 12 images are missing" in note for note in document["notes"])
    assert "(10 images" in document["tables"][-1]["title"]
    for path in rest:
        path.unlink()
    done = toolbox(*arguments)
    assert done.code == 1 and "none of 12 images" in done.stderr and "Put them back" in done.stderr
    (place / "table.csv").unlink()
    done = toolbox(*arguments)
    assert done.code == 1 and "not available" in done.stderr
    # What needs no images still works.
    assert toolbox("evaluate", "1", "-C", place / "ws", *FEW, *BY_SCANNER).code == 0


def test_an_external_test_has_images_columns_and_pictures_of_its_own(place: Path, toolbox: Toolbox) -> None:
    write_photos(place / "other" / "photos", per_class=5, size=(36, 36))
    with (place / "other.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "scanner"])
        for at, path in enumerate(sorted((place / "other").rglob("*.png"))):
            writer.writerow([path.relative_to(place).as_posix(), path.parent.name, f"s{at % 2}"])
    toolbox("evaluate", "1", "-C", place / "ws", *FEW, "--evaluator", "explain:count=1")
    other = ("--data", place / "other.csv")
    done = toolbox("evaluate", "1", "-C", place / "ws", *other, *FEW, *ALL, *BY_SCANNER, "--json")
    assert done.code == 0, done.stderr
    document = done.document
    assert document["n"] == 10 and any(table["name"] == "subgroups-scanner-sizes" for table in document["tables"])
    files = [picture["file"] for gallery in document["galleries"] for picture in gallery["pictures"]]
    assert files and all((the_run(place).path / file).is_file() for file in files)
    assert not set(files) & {p.file for g in the_run(place).evaluation.galleries for p in g.pictures}
    assert read_galleries(the_run(place), the_run(place).evaluation.galleries)  # those of its own test are still there


def test_training_evaluates_with_what_is_asked_for(place: Path, toolbox: Toolbox) -> None:
    done = toolbox(
        "train", "alzheimer-cnn", "-C", place / "new", "--data", place / "table.csv", "--size", "32", "--epochs", "1",
        *FEW, "--evaluator", "explain:count=1", "--json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "accuracy" in done.document["metrics"] and done.document["galleries"]


def test_copies_are_what_a_leaky_run_was_tested_on(place: Path, toolbox: Toolbox) -> None:
    copies = ("--set", "augment.factor=2", "--set", "augment.size=32")
    leaky = ("-C", place / "leaky", "--data", place / "photos", "--protocol", "augment-then-split", *copies)
    assert toolbox("augment", *leaky).code == 0
    further = ("--evaluator", "explain:count=1", "--evaluator", "subgroups:column=source,small=1")
    done = toolbox("train", "alzheimer-cnn", *leaky, "--size", "32", "--epochs", "1", *FEW, *further, "--json")
    assert done.code == 0 and done.document["leaky"] and done.document["galleries"]
    assert any(table["name"] == "subgroups-source-sizes" for table in done.document["tables"])


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("subgroups:column=scaner", "Did you mean 'scanner'?"),
        ("subgroups", "column"),
        ("robustness:severities=[6]", "less than or equal to 5"),
        ("robustness:kinds=['fog']", "'blur'"),
        ("explain:count=0", "greater than or equal to 1"),
    ],
)
def test_bad_parameters_are_told(trained: Path, toolbox: Toolbox, spec: str, text: str) -> None:
    done = toolbox("evaluate", "1", "-C", trained / "ws", *FEW, "--evaluator", spec)
    assert done.code == 2 and text in done.stderr.replace("\n", " ")


def test_a_report_shows_pictures_and_notes(place: Path, toolbox: Toolbox) -> None:
    toolbox("evaluate", "1", "-C", place / "ws", *FEW, *ALL, *BY_SCANNER)
    assert toolbox("report", "-C", place / "ws").code == 0
    page = (place / "ws" / "report.html").read_text("utf-8")
    assert "Least certain predictions" in page and "heat map for class" in page and "fewer than 30 images" in page


# ------------------------------------------------------------------------------------------------ somebody's plugin


class Curious(Evaluator):
    """Says what it was given."""

    def __init__(self, *, images: bool = False, model: bool = False, fail: bool = False) -> None:
        self.needs_images, self.needs_model, self.fail = images, model, fail

    def evaluate(self, evidence: Evidence) -> Evaluation:
        if self.fail:
            raise KeyError("what")
        given = {"images": evidence.images is not None, "model": evidence.model is not None}
        assert evidence.validation is not None and (evidence.validation.images is not None) == self.needs_images
        picture = Picture(Image.new("RGBA", (900, 300), "blue"), "<b>blue</b>", '" onerror=')
        return Evaluation(extra={"given": given}, galleries=[Gallery("../../con", "Mine", [picture], shows_data=False)])


@hookimpl
def toolbox_evaluators() -> list[EvaluatorComponent]:
    return [EvaluatorComponent("curious", "what it gets", f"{__name__}:Curious")]


@pytest.fixture
def curious() -> Registry:
    """The installed plugins, and this module as another."""
    return Registry([EntryPoint("curious", __name__, GROUP), *entry_points(group=GROUP)])


def evaluated(place: Path, registry: Registry, *specs: str) -> dict[str, Any]:
    settings = {"evaluators": ["classification:resamples=100"]}
    return Workspace(place / "ws", settings=settings, registry=registry, evaluators=specs).evaluate("1").document()


def test_an_evaluator_gets_what_it_asks_for_and_no_more(place: Path, curious: Registry) -> None:
    assert evaluated(place, curious, "curious")["given"] == {"images": False, "model": False}
    document = evaluated(place, curious, "curious:images=true,model=true")
    assert document["given"] == {"images": True, "model": True}
    (file,) = [picture["file"] for gallery in document["galleries"] for picture in gallery["pictures"]]
    path = (the_run(place).path / file).resolve()
    assert path.is_relative_to(the_run(place).path.resolve() / "figures")
    (found,) = read_galleries(the_run(place), the_run(place).evaluation.galleries)
    assert found.pictures[0].image.size == (512, 171) and not found.shows_data
    with pytest.raises(PluginError, match="evaluator 'curious' of plugin curious failed: KeyError"):
        evaluated(place, curious, "curious:fail=true")


def test_pictures_are_read_from_the_runs_figures_alone(place: Path) -> None:
    run = the_run(place)
    secret = place / "secret.png"
    Image.new("L", (8, 8)).save(secret)
    for file in ("../../../secret.png", str(secret), "figures/../run.json"):
        gallery = GalleryRecord(name="x", title="x", pictures=[PictureRecord(file=file, alt="")])
        assert read_galleries(run, [gallery]) == []
        delete_stale(run, run.evaluation.updated(galleries=[gallery]), run.evaluation.updated(galleries=[]))
    assert secret.is_file() and (run.path / "run.json").is_file()
