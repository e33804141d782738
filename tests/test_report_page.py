"""The report as a page: that it is whole, safe, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report_examples import (
    ATTRIBUTE,
    SCRIPT,
    Page,
    a_run,
    compared,
    evaluation,
    full,
    history,
    hostile,
    report,
    the_data,
    thumbnail,
)
from toolbox.api.errors import EnvironmentFailure
from toolbox.api.evaluator import Evaluation, Figure, Metric, Series, Table
from toolbox.report import pictures, tables, wording
from toolbox.report.formats import write
from toolbox.report.html import render
from toolbox.report.inputs import DataView, Epoch
from toolbox.report.pictures import Thumbnail


@pytest.fixture(scope="module")
def html() -> str:
    return render(full())


@pytest.fixture(scope="module")
def hostile_html() -> str:
    return render(hostile())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def hostile_page(hostile_html: str) -> Page:
    return Page(hostile_html)


def test_a_page_holds_everything(page: Page) -> None:
    for expected in (
        "Figure",
        "0.950",
        "0.900–1.000",
        "toolbox finetune resnet50 --seed 002",
        "ImageNet",
        "Wilson",
        "Confusion matrix",
        "Per class",
        "Loss by epoch",
        "12,250",
        "split-then-augment",
        "rotation 12",
        "truncated",
        "A note.",
        "002 against 001, on the same 100 images",
        "not distinguishable",
        "McNemar, mid-p",
        "a true difference of 12 points would show in 80 %",
        "−5.0 to +15.0",
        "001 and 003 were tested on different images",
        "elsewhere/",
        "leaky: 3 of these images were trained on",
        "Worst mistakes",
        "a cat taken for a dog",
        "2 leaks.",
        "a.png (train), b.png (test)",
        "Free as air.",
        "2.99",
    ):
        assert expected in page.text or any(expected in str(attributes) for _, attributes in page.elements), expected
    # samples, a source and its copies, a gallery
    assert len(page.all("img")) == 2 + 3 + 1
    # intervals of accuracy and AUC, four figures a run, an external matrix, classes before and after
    assert len(page.all("svg")) == 2 + 2 * 4 + 1 + 2


def test_equal_inputs_give_equal_bytes(html: str) -> None:
    assert render(full()) == html


def test_nothing_in_the_page_is_fetched(page: Page, hostile_page: Page, html: str) -> None:
    for found in (page, hostile_page):
        assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
        for tag, attributes in found.elements:
            assert not [name for name in attributes if name.startswith("on")], tag
            for name in ("src", "xlink:href", "srcset", "action", "data", "poster"):
                assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,", "data:image/png")), tag
            # What a reader may click: a place in the page, or the audit beside it.
            assert re.fullmatch(r"#[\w-]+|audit\.json|", attributes.get("href", "")) or tag == "image"
    assert not any(word in html for word in ("https:", "@import", "@font-face", "fetch(", "XMLHttp"))


def test_only_the_script_of_the_page_may_run(page: Page, hostile_page: Page, html: str) -> None:
    digest = hashlib.sha256(html.partition("<script>")[2].partition("</script>")[0].encode()).digest()
    allowed = base64.b64encode(digest).decode()
    for found in (page, hostile_page):
        assert len(found.all("script")) == 1
        policies = [meta["content"] for meta in found.all("meta") if "http-equiv" in meta]
        rules = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert policies == [f"{rules}; script-src 'sha256-{allowed}'"]


def test_hostile_names_are_text(hostile_page: Page, hostile_html: str) -> None:
    assert SCRIPT in hostile_page.text and ATTRIBUTE in hostile_page.text
    assert hostile_page.all("script") == [{}]  # the page's own
    assert not any("onerror" in attributes for _, attributes in hostile_page.elements)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", hostile_html)
    hostile_html.encode("utf-8")


def test_every_picture_says_what_it_is(page: Page, hostile_page: Page) -> None:
    for found in (page, hostile_page):
        assert all(image["alt"].strip() for image in found.all("img"))
        assert all(svg["role"] == "img" and svg["aria-label"].strip() for svg in found.all("svg"))


def test_ids_are_unique_and_references_lead_somewhere(page: Page, hostile_page: Page) -> None:
    for found in (page, hostile_page):
        ids = Counter(attributes["id"] for _, attributes in found.elements if "id" in attributes)
        assert max(ids.values()) == 1
        linked = {attributes["href"][1:] for _, attributes in found.elements if attributes.get("href", "")[:1] == "#"}
        clipped = {name for _, attributes in found.elements for name in re.findall(r"url\(#([^)]+)\)", str(attributes))}
        labelled = {
            attributes["aria-labelledby"] for _, attributes in found.elements if "aria-labelledby" in attributes
        }
        assert linked | clipped | labelled <= set(ids)


def test_headings_go_down_one_step_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"


def test_what_scrolls_can_be_reached_and_has_a_name(page: Page) -> None:
    boxes = [attributes for _, attributes in page.elements if attributes.get("class") == "scroll"]
    assert len(boxes) >= len(page.all("table"))
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def test_undefined_values_are_a_dash_with_an_explanation() -> None:
    nothing = Evaluation(
        metrics={"accuracy": Metric(None), "auc": Metric(math.nan, math.nan, math.nan), "f1": Metric(0.5, None, None)},
        tables=[Table("t", "T", ("class", "precision"), [("a", None), ("b", math.nan)])],
        figures=[Figure("roc", "ROC", "lines", "gaps", series=[Series("a", [0, 1, 2], [None, 0.5, math.nan])])],
    )
    diverged = [Epoch(stage="head", epoch=1, train_loss=math.inf, val_loss=math.nan), *history(1)]
    text = render(report(a_run("001", evaluation=nothing, history=diverged)))
    body = Page(text.partition("<body>")[2])
    assert not re.search(r"\b(nan|inf|None)\b", body.text)
    assert not [a for _, a in body.elements if re.search(r"\b(nan|inf|None)\b", str(a))]
    assert wording.UNDEFINED in body.text
    assert {"title": wording.UNDEFINED_MEANING} in body.all("span")


def test_a_run_without_anything_and_no_runs_at_all() -> None:
    bare = a_run("001", evaluation=Evaluation(), history=(), facts=(), command="", n=0)
    assert "The run does not have an accuracy yet." in Page(render(report(bare))).text
    empty = Page(render(report(data=the_data())))
    assert "There are no runs yet." in empty.text and not [a for a in empty.all("a") if a["href"] == "#results"]
    empty_data = DataView(description="", counts_before={})
    assert "A report" in Page(render(report(data=empty_data))).text


def test_hundreds_of_pictures_stay_under_five_megabytes() -> None:
    classes = [f"class {at}" for at in range(30)]
    many = [thumbnail(name) for name in classes for _ in range(10)]
    data = the_data(
        classes,
        samples=many,
        copies=[many[:60]] * 20,
        quarantined=[(f"{at}.jpg", "truncated") for at in range(500)],
    )
    runs = [a_run(str(at), evaluation=evaluation(0.9, classes=classes), history=history(100, 200)) for at in range(2)]
    text = render(report(*runs, data=data))
    assert len(text.encode()) < 5_000_000
    found = Page(text)
    assert len(found.all("img")) == pictures.MAX_SAMPLES + pictures.MAX_SOURCES * (1 + pictures.MAX_COPIES)
    assert "And 450 more" in found.text and "24 of 300" in found.text


@pytest.mark.slow
def test_twenty_runs_stay_under_five_megabytes_and_are_folded() -> None:
    runs = [a_run(f"{at:03d}", history=history(20, 30)) for at in range(20)]
    text = render(compared(*runs, data=the_data()))
    assert len(text.encode()) < 5_000_000 and text.count("<details>") == 20


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "F", "LA"])
def test_pictures_of_any_mode_are_shrunk_and_left_as_they_were(mode: str) -> None:
    image = Image.new("I;16", (400, 200)) if mode == "I;16" else thumbnail("a").image.convert(mode).resize((400, 200))
    embedded = pictures.embed(Thumbnail("a", "b", image))
    assert (embedded.width, embedded.height) == (160, 80)
    assert (image.size, image.mode) == ((400, 200), mode)


def test_sixteen_bits_keep_their_contrast() -> None:
    ramp = Image.fromarray(np.linspace(1000, 1100, 64 * 64).reshape(64, 64).astype(np.uint16))
    data = pictures.embed(Thumbnail("a", "b", ramp)).uri.partition(",")[2]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.min() < 10 and shown.max() > 245


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(full(), path)
    assert path.read_text("utf-8") == render(full()) and [found.name for found in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure):
        write(full(), tmp_path / "file" / "report.html")


def test_tables_with_intervals_take_the_place_of_those_without() -> None:
    plain = Table("per-class", "Per class", ("class", "recall", "support"), [("a", 0.5, 7), ("b", None, 0)])
    rows = [("a", "recall", 0.5, 0.2, 0.8, "Wilson"), ("b", "recall", None, None, None, "")]
    crosswise = Table("per-class-intervals", "With intervals", ("class", "metric", "value", "low", "high", "by"), rows)
    other = Table("other", "Other", ("name", "empty", "n"), [("x", None, 1), ("y", "", 2)])
    grids = tables.of_evaluation([plain, crosswise, other])
    assert [grid.title for grid in grids] == ["With intervals", "Other"]
    assert [column.text for column in grids[0].columns] == ["class", "recall", "support"]
    texts = [[(cell.text, cell.below) for cell in row] for row in grids[0].rows]
    assert texts == [[("a", ""), ("0.500", "0.200–0.800"), ("7", "")], [("b", ""), ("–", ""), ("0", "")]]
    assert [column.text for column in grids[1].columns] == ["name", "n"]
    assert [grid.title for grid in tables.of_evaluation([plain])] == ["Per class"]
