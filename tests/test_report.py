"""The report: what it says, that it is whole, safe and the same each time, and that a browser shows it."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from toolbox.errors import EnvironmentFailure
from toolbox.plugin.protocols import Evaluation, Figure, Metric, Series, Table
from toolbox.report import figures, pictures, plots, terminal, wording
from toolbox.report.html import render, write_report
from toolbox.report.inputs import CopyRow, DataView, Epoch, ReportInputs, RunView, Thumb
from toolbox.report.palette import ACCENT_STRONG, DARK, LIGHT
from toolbox.report.plots import Plot

if TYPE_CHECKING:
    from tests.browser import Browse, Scheme

pytest_plugins = ("tests.browser",)

SCRIPT, ATTRIBUTE = "<script>alert(1)</script>", '" onerror="alert(1)'
HOSTILE = (SCRIPT, ATTRIBUTE, "$x^2$", "_hidden", "\x1b[31m\x00", "caf\udcff", "[red]", "گربه", "a" * 300, "-->]]>")


# ------------------------------------------------------------------------------------------------- examples


def metric(value: float | None, half: float = 0.05) -> Metric:
    """A metric with an interval of ``half`` on either side."""
    if value is None or not math.isfinite(value):
        return Metric(value)
    return Metric(value, max(0.0, value - half), min(1.0, value + half), "Wilson")


def confusion(classes: Sequence[str]) -> Figure:
    values = [[9.0 if i == j else 1.0 for j in range(len(classes))] for i in range(len(classes))]
    return Figure(
        "confusion-matrix",
        "Confusion matrix",
        "matrix",
        "most are right",
        x_label="predicted",
        y_label="true",
        rows=classes,
        columns=classes,
        values=values,
    )


def evaluation(accuracy: float | None, half: float = 0.05, classes: Sequence[str] = ("cats", "dogs")) -> Evaluation:
    curve = [
        Series(f"{classes[-1]} (AUC 0.9)", [0.0, 0.1, 1.0], [0.0, 0.9, 1.0]),
        Series("chance", [0.0, 1.0], [0.0, 1.0], dashed=True),
    ]
    return Evaluation(
        metrics={"accuracy": metric(accuracy, half), "auc": metric(0.9, half), "precision": metric(None)},
        tables=[Table("per-class", "Per class", ("class", "precision", "support"), [(c, 0.5, 50) for c in classes])],
        figures=[
            confusion(classes),
            Figure("roc", "ROC", "lines", "a good curve", "false", "true", series=curve, square=True),
        ],
    )


def history(head: int, last: int = 0, validation: bool = True) -> list[Epoch]:
    return [
        Epoch(
            stage="head" if at < head else "last",
            epoch=at + 1,
            train_loss=math.exp(-at / 9),
            train_accuracy=1 - 0.5 * math.exp(-at / 9),
            val_loss=math.exp(-at / 9) + 0.1 if validation else None,
            val_accuracy=0.95 - 0.5 * math.exp(-at / 9) if validation else None,
        )
        for at in range(head + last)
    ]


def a_run(name: str, accuracy: float | None = 0.9, **changes: object) -> RunView:
    run = RunView(
        id=name,
        model="resnet50",
        command=f"toolbox finetune resnet50 --seed {name}",
        split="test",
        n=100,
        held_out=True,
        leaky=False,
        evaluation=evaluation(accuracy),
        history=history(3, 2),
        facts=[("weights", "ImageNet"), ("seed", "0")],
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def thumb(label: str, caption: str = "train/1.png", mode: str = "RGB", side: int = 300) -> Thumb:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return Thumb(label, caption, Image.fromarray(pixels).convert(mode))


def the_data(classes: Sequence[str] = ("cats", "dogs"), **changes: object) -> DataView:
    data = DataView(
        description="photos/",
        counts_before={split: dict.fromkeys(classes, n) for split, n in (("train", 245), ("test", 50))},
        counts_after=dict.fromkeys(classes, 12_250),
        samples=[thumb(name) for name in classes],
        copies=[CopyRow(thumb(classes[0]), [thumb(classes[0], "flip"), thumb(classes[0], "rotation 12")])],
        quarantined=[("train/3.jpg", "truncated")],
        fingerprint="5b0c7711",
        split_facts=[("protocol", "split-then-augment")],
    )
    return replace(data, **changes)  # type: ignore[arg-type]


def report(*runs: RunView, data: DataView | None = None, **changes: object) -> ReportInputs:
    inputs = ReportInputs(title="A report", created="1 May", workspace="ws", runs=runs, data=data)
    return replace(inputs, **changes)  # type: ignore[arg-type]


def full() -> ReportInputs:
    return report(a_run("001"), a_run("002", 0.95, history=history(20, 30)), data=the_data(), notes=["A note."])


def hostile() -> ReportInputs:
    """Every text that a user, a file name or a plugin can bring, made hostile."""
    runs = [
        a_run(
            text,
            model=text,
            command=text,
            split=text,
            evaluation=evaluation(0.9, classes=HOSTILE),
            facts=[(text, text)],
            warnings=[text],
        )
        for text in (SCRIPT, ATTRIBUTE, HOSTILE[5], "a" * 300)
    ]
    thumbs = [thumb(text, text, side=8) for text in HOSTILE]
    data = the_data(
        HOSTILE,
        description=SCRIPT,
        note=ATTRIBUTE,
        samples=thumbs,
        copies=[CopyRow(one, thumbs) for one in thumbs],
        quarantined=[(text, text) for text in HOSTILE],
        fingerprint=SCRIPT,
        split_facts=[(text, text) for text in HOSTILE],
    )
    return report(*runs, data=data, title=SCRIPT, workspace=ATTRIBUTE, created=SCRIPT, notes=HOSTILE)


class Page(HTMLParser):
    """A page's elements and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


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


# --------------------------------------------------------------------------------------------- the page, whole


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
    ):
        assert expected in page.text or any(expected in str(attributes) for _, attributes in page.elements), expected
    assert len(page.all("img")) == 2 + 3
    assert len(page.all("svg")) == 1 + 2 * 4 + 2


def test_equal_inputs_give_equal_bytes(html: str) -> None:
    assert render(full()) == html


def test_nothing_in_the_page_is_fetched(page: Page, hostile_page: Page, html: str) -> None:
    for found in (page, hostile_page):
        assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
        for tag, attributes in found.elements:
            assert not [name for name in attributes if name.startswith("on")], tag
            for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,", "data:image/png")), tag
    assert not any(word in html for word in ("http:", "https:", "@import", "@font-face"))
    policies = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_hostile_names_are_text(hostile_page: Page, hostile_html: str) -> None:
    assert SCRIPT in hostile_page.text and ATTRIBUTE in hostile_page.text
    assert hostile_page.all("script") == []
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
    bare = a_run("001", evaluation=None, history=(), facts=(), command="", n=0)
    assert "toolbox evaluate 001" in Page(render(report(bare))).text
    empty = Page(render(report(data=the_data())))
    assert "No run has been made yet." in empty.text and not [a for a in empty.all("a") if a["href"] == "#results"]
    empty_data = DataView(description="", counts_before={})
    assert "A report" in Page(render(report(data=empty_data))).text


def test_hundreds_of_pictures_stay_under_five_megabytes() -> None:
    classes = [f"class {at}" for at in range(30)]
    many = [thumb(name) for name in classes for _ in range(10)]
    data = the_data(
        classes,
        samples=many,
        copies=[CopyRow(many[0], many[:60])] * 20,
        quarantined=[(f"{at}.jpg", "truncated") for at in range(500)],
    )
    runs = [a_run(str(at), evaluation=evaluation(0.9, classes=classes), history=history(100, 200)) for at in range(2)]
    text = render(report(*runs, data=data))
    assert len(text.encode()) < 5_000_000
    found = Page(text)
    assert len(found.all("img")) == pictures.MAX_SAMPLES + pictures.MAX_SOURCES * (1 + pictures.MAX_COPIES)
    assert "And 450 more" in found.text and "24 of 300" in found.text


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "F", "LA"])
def test_pictures_of_any_mode_are_shrunk_and_left_as_they_were(mode: str) -> None:
    image = Image.new("I;16", (400, 200)) if mode == "I;16" else thumb("a").image.convert(mode).resize((400, 200))
    embedded = pictures.embed(Thumb("a", "b", image))
    assert (embedded.width, embedded.height) == (160, 80)
    assert (image.size, image.mode) == ((400, 200), mode)


def test_sixteen_bits_keep_their_contrast() -> None:
    ramp = Image.fromarray(np.linspace(1000, 1100, 64 * 64).reshape(64, 64).astype(np.uint16))
    data = pictures.embed(Thumb("a", "b", ramp)).uri.partition(",")[2]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.min() < 10 and shown.max() > 245


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(full(), path)
    assert path.read_text("utf-8") == render(full()) and [found.name for found in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure):
        write_report(full(), tmp_path / "file" / "report.html")


# ------------------------------------------------------------------------------------------------- in words


def test_overlapping_intervals_call_no_winner() -> None:
    summary = wording.summarise(report(a_run("001", 0.9), a_run("002", 0.95)))
    assert summary.finding.startswith("Of 2 runs, resnet50 (run 002) has the highest accuracy on the held-out test")
    assert "0.950 (95\N{NO-BREAK SPACE}% interval 0.900–1.000" in summary.finding
    assert "overlap" in summary.limits and "no winner is called" in summary.limits and not summary.caveats


def test_intervals_apart_are_said_to_be_apart() -> None:
    summary = wording.summarise(report(a_run("001", 0.5), a_run("002", 0.95)))
    assert "lies above" in summary.limits and "no winner" not in summary.limits


def test_only_the_runs_that_overlap_are_named() -> None:
    summary = wording.summarise(report(a_run("001", 0.5), a_run("002", 0.95), a_run("003", 0.9)))
    assert "(run 003)" in summary.limits and "(run 001)" not in summary.limits and "no winner" in summary.limits


def test_equal_runs_share_the_first_place() -> None:
    summary = wording.summarise(report(a_run("001", 0.9), a_run("002", 0.9)))
    assert "resnet50 (run 001) and resnet50 (run 002) share the highest accuracy" in summary.finding


def test_runs_without_interval_call_no_winner() -> None:
    bare = replace(evaluation(0.5), metrics={"accuracy": Metric(0.5)})
    summary = wording.summarise(report(a_run("001", evaluation=bare), a_run("002", 0.95)))
    assert "no winner is called" in summary.limits


def test_runs_on_different_images_are_not_ranked() -> None:
    summary = wording.summarise(report(a_run("001", 0.9), a_run("002", 0.95, n=40)))
    assert "can't be ranked" in summary.limits


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"leaky": True}, "Leaky"),
        ({"held_out": False, "split": "val"}, "Not held out"),
        ({"facts": [("weights", "random")]}, "Random weights"),
    ],
)
def test_caveats_stand_in_the_summary(change: dict[str, object], title: str) -> None:
    summary = wording.summarise(report(a_run("001", **change)))
    assert [caveat.title for caveat in summary.caveats] == [title]
    assert "(run 001)" in summary.caveats[0].text or "(Run 001)" in summary.caveats[0].text
    assert title in Page(render(report(a_run("001", **change)))).text


def test_leaky_runs_never_win() -> None:
    summary = wording.summarise(report(a_run("001", 0.6), a_run("002", 0.99, leaky=True)))
    assert "(run 001)" in summary.finding and "(run 002)" not in summary.finding
    alone = wording.summarise(report(a_run("002", 0.99, leaky=True)))
    assert "No run was evaluated on a held-out split without a leak" in alone.finding


@pytest.mark.parametrize("note", ["synthetic", "Synthetic slices, drawn by a program.", "synthetic: drawn slices"])
def test_synthetic_data_is_said_first(note: str) -> None:
    summary = wording.summarise(report(a_run("001", leaky=True), data=the_data(note=note)))
    assert [caveat.title for caveat in summary.caveats] == ["Synthetic data", "Leaky"]
    assert not summary.caveats[0].text.startswith("synthetic")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97, "0.970"),
        (1, "1"),
        (35_100, "35,100"),
        (np.int64(1234), "1,234"),
        (np.float64(0.5), "0.500"),
        (True, "yes"),
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "–"),
        (0.00001, "1.00e-05"),
        (1234.5, "1,234.5"),
        ("0.5", "0.5"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert wording.number(value) == text


def test_values_with_intervals() -> None:
    assert wording.with_interval(Metric(0.97, 0.915, 0.99)) == "0.970 (0.915–0.990)"
    assert wording.with_interval(Metric(-0.1, -0.2, 0.3)) == "-0.100 (-0.200 to 0.300)"
    assert wording.with_interval(Metric(0.97)) == "0.970"
    assert wording.with_interval(Metric(None, 0.1, 0.2)) == "–"


@given(st.text(), st.integers(4, 40))
def test_shortened_text_fits_on_a_line_and_in_a_file(text: str, limit: int) -> None:
    short = wording.shorten(text, limit)
    assert len(short) <= limit and short == wording.shorten(short, limit)
    assert "\n" not in short
    short.encode("utf-8")


# -------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(("head", "last"), [(1, 0), (20, 30), (3, 500)])
def test_learning_curves_count_epochs_through_and_mark_the_stage(head: int, last: int) -> None:
    loss, accuracy = plots.learning_curves(history(head, last))
    assert [series.name for series in loss.figure.series] == ["training", "validation"]
    assert list(accuracy.figure.series[0].x) == list(range(1, head + last + 1))
    assert [mark.x for mark in loss.marks] == ([head + 0.5] if last else [])
    ET.fromstring(figures.to_file_svg(loss))


def test_missing_validation_leaves_one_curve() -> None:
    loss, _ = plots.learning_curves(history(5, validation=False))
    assert [series.name for series in loss.figure.series] == ["training"]
    assert plots.learning_curves([]) == []
    assert plots.learning_curves([Epoch(stage="head", epoch=1, train_loss=math.nan)]) == []


def test_a_point_between_gaps_is_drawn() -> None:
    """A line needs two neighbours; without a marker a lone value would not be seen."""

    def markers(present: set[int]) -> int:
        values = [1.0 if at in present else None for at in range(30)]
        figure = Figure("f", "F", "lines", "f", series=[Series("a", list(range(30)), values)])
        return figures.to_file_svg(Plot(figure)).count("<use")

    pairs, alone = set(range(30)) - {14, 17}, set(range(30)) - {14, 16}
    assert markers(pairs) < markers(alone)


@pytest.mark.parametrize("count", [1, 2, 6, 7, 30, 31, 120])
def test_confusion_matrices_of_any_size(count: int) -> None:
    plot = Plot(confusion([f"class number {at}" for at in range(count)]))
    svg = ET.fromstring(figures.to_file_svg(plot))
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert ("9" in texts) == (count <= 30)
    assert "class number 0" in " ".join(filter(None, texts)) or count > 2
    assert len(figures.to_page_svg(plot, "k")) < 400_000


@pytest.mark.parametrize("kind", ["lines", "bars", "matrix"])
@settings(deadline=None, max_examples=15)
@given(names=st.lists(st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE)), min_size=1, max_size=4, unique=True))
def test_any_name_is_drawn_as_well_formed_xml(kind: str, names: list[str]) -> None:
    if kind == "matrix":
        figure = confusion(names)
    else:
        xs: list[float | str] = [0.0, 1.0] if kind == "lines" else list(names)
        series = [Series(name, xs, [0.5] * len(xs)) for name in names]
        figure = Figure("f", names[0], kind, names[0], names[0], names[0], series=series)  # type: ignore[arg-type]
    root = ET.fromstring(figures.to_file_svg(Plot(figure)))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    ET.fromstring(figures.to_page_svg(Plot(figure), "k"))
    assert list(csv.reader(io.StringIO(figures.to_csv(Plot(figure)))))


def test_colours_of_a_page_figure_follow_the_scheme() -> None:
    """Any literal colour left would stay light on a dark page."""
    for plot in (
        *plots.learning_curves(history(3, 2)),
        *map(Plot, evaluation(0.9).figures),
        *plots.class_counts(the_data()),
    ):
        svg = figures.to_page_svg(plot, "k")
        assert re.findall(r"#[0-9a-fA-F]{6}", svg) == [] and "var(--ink)" in svg and "DejaVu" not in svg
        # Text without a fill of its own would be black.
        assert all("fill:" in style for style in re.findall(r'<text style="([^"]*)"', svg))


def test_matplotlib_is_left_as_it_was() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        drawn = figures.to_page_svg(plots.learning_curves(history(3))[0], "k")
        assert dict(matplotlib.rcParams) == before
    assert drawn == figures.to_page_svg(plots.learning_curves(history(3))[0], "k")


def test_classes_beyond_the_most_are_counted() -> None:
    classes = [f"c{at}" for at in range(plots.MAX_BARS + 3)]
    before, _ = plots.class_counts(the_data(classes))
    assert plots.hidden_categories(before.figure) == 3
    assert "3 more are left out here" in Page(render(report(data=the_data(classes, samples=(), copies=())))).text


def test_figures_are_written_three_times_each(tmp_path: Path) -> None:
    twice = replace(
        evaluation(0.9),
        figures=[confusion(("a", "b")), confusion(("a", "b")), replace(confusion(("a",)), name="../CON")],
    )
    paths = figures.write_figures(a_run("001", evaluation=twice), tmp_path / "figures")
    names = {path.relative_to(tmp_path).as_posix() for path in paths}
    stems = ("learning-curve-loss", "learning-curve-accuracy", "confusion-matrix", "confusion-matrix-2", "figure-con")
    assert names == {f"figures/{stem}.{suffix}" for stem in stems for suffix in ("svg", "png", "csv")}
    for path in paths:
        if path.suffix == ".png":
            assert min(Image.open(path).size) > 400
        elif path.suffix == ".svg":
            assert ET.parse(path).getroot().get("role") == "img"
    rows = list(csv.reader(io.StringIO((tmp_path / "figures/confusion-matrix.csv").read_text("utf-8"))))
    assert rows == [["true \\ predicted", "a", "b"], ["a", "9.0", "1.0"], ["b", "1.0", "9.0"]]
    curve = list(csv.reader(io.StringIO((tmp_path / "figures/learning-curve-loss.csv").read_text("utf-8"))))
    assert curve[0] == ["series", "epoch", "loss"] and curve[1] == ["training", "1", "1.0"] and len(curve) == 11
    before = {path: path.read_bytes() for path in paths}
    figures.write_figures(a_run("001", evaluation=twice), tmp_path / "figures")
    assert {path: path.read_bytes() for path in paths} == before


# --------------------------------------------------------------------------------------------------- colours


def luminance(colour: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(code: str) -> list[float]:
    return [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """As WCAG 2.2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_have_enough_contrast(scheme: dict[str, str]) -> None:
    text = [
        ("ink", "paper"),
        ("muted", "paper"),
        ("link", "paper"),
        ("ink", "panel"),
        ("muted", "panel"),
        ("warn", "warn-panel"),
    ]
    for front, back in text:
        assert contrast(rgb(scheme[front]), rgb(scheme[back])) >= 4.5, (front, back)
    for role in scheme:
        if role.startswith("series-"):
            assert contrast(rgb(scheme[role]), rgb(scheme["paper"])) >= 3, role
    for step in range(101):
        shade = step / 100
        cell = [p * (1 - shade) + a * shade for p, a in zip(rgb(scheme["paper"]), rgb(scheme["accent"]), strict=True)]
        ink = scheme["on-strong" if shade >= ACCENT_STRONG else "on-weak"]
        assert contrast(rgb(ink), cell) >= 4.5, shade


def test_each_role_has_a_colour_of_its_own() -> None:
    assert len(set(LIGHT.values())) == len(LIGHT) and set(LIGHT) == set(DARK) and "#000000" not in LIGHT.values()


# -------------------------------------------------------------------------------------------------- terminal


def printed(thing: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(thing)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return str(text)


def test_terminal_results_hold_what_the_page_holds() -> None:
    several = printed(
        terminal.results_table([a_run("001", 0.9), a_run("002", 0.95, leaky=True), a_run("3", evaluation=None)])
    )
    assert "0.900–1.000" in several and "leaky" in several and "nothing yet" in several
    one = printed(terminal.results_table([a_run("001", 0.9)]))
    assert re.search(r"accuracy +0\.900 +0\.850–0\.950", one) and re.search(r"precision +–", one)


def test_terminal_matrix() -> None:
    text = printed(terminal.confusion_matrix(a_run("001", evaluation=evaluation(0.9, classes=("[red]", "dogs")))))
    assert re.search(r"\[red\] +9 +1", text) and re.search(r"dogs +1 +9", text)
    assert terminal.confusion_matrix(a_run("001", evaluation=None)) is None
    wide = evaluation(0.9, classes=[f"c{at}" for at in range(30)])
    assert terminal.confusion_matrix(a_run("001", evaluation=wide)) is None


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_curves_fit(width: int) -> None:
    text = printed(terminal.learning_curves(a_run("001", history=history(20, 30)), width), width)
    assert "loss" in text and "accuracy" in text and "50 epochs: head then last block" in text
    assert "•" in text and any("\u2801" <= sign <= "\u28ff" for sign in text)


def test_terminal_curves_show_every_epoch() -> None:
    text = printed(terminal.learning_curves(a_run("001", history=history(5, validation=False)), 100), 100)
    legend = 2
    assert text.count("•") == 2 * 5 + legend


def test_no_curves_where_they_could_not_be_read() -> None:
    assert terminal.learning_curves(a_run("001"), 59) is None
    assert terminal.learning_curves(a_run("001", history=history(1)), 80) is None
    assert terminal.learning_curves(a_run("001", history=[]), 80) is None


def test_hostile_names_do_not_reach_the_terminal() -> None:
    inputs = hostile()
    text = "".join(
        printed(thing, 400)
        for run in inputs.runs
        for thing in (terminal.results_table([run, run]), terminal.confusion_matrix(run), terminal.summary(inputs))
    )
    assert "\x1b" not in text and "\x00" not in text and "[red]" in text


# --------------------------------------------------------------------------------------------------- browser


def painted(colour: str) -> list[int]:
    """Red, green, blue of ``rgb(1, 2, 3)`` or ``#010203``."""
    if colour.startswith("#"):
        return [round(255 * part) for part in rgb(colour)]
    return [int(part) for part in re.findall(r"\d+", colour)]


BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["html", "hostile_html"])
def test_a_browser_shows_the_page(
    browse: Browse, tmp_path: Path, request: pytest.FixtureRequest, which: str, width: int, scheme: Scheme
) -> None:
    path = tmp_path / "report.html"
    path.write_text(request.getfixturevalue(which), "utf-8")
    with browse(path, width, scheme, offline=True) as seen:
        assert seen.page.locator("img").count() > 0 and seen.broken_images == []
        assert seen.console == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert seen.overflow == 0
        colours = LIGHT if scheme == "light" else DARK
        assert painted(seen.page.evaluate(BACKGROUND)) == painted(colours["paper"])
        inks = seen.page.evaluate("[...document.querySelectorAll('.chart text')].map(t => getComputedStyle(t).fill)")
        roles = ("ink", "muted", "on-weak", "on-strong")
        assert {tuple(painted(ink)) for ink in inks} <= {tuple(painted(colours[role])) for role in roles}


def test_the_page_needs_no_script(browse: Browse, tmp_path: Path, html: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    with browse(path, 1280, java_script_enabled=False) as seen:
        assert seen.page.locator("h2").first.inner_text() == "Results"
        assert seen.page.locator("table").first.is_visible() and seen.console == []


def test_print_is_light_and_hides_nothing(browse: Browse, tmp_path: Path, html: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    with browse(path, 794, "dark") as seen:
        seen.page.emulate_media(media="print")
        assert painted(seen.page.evaluate(BACKGROUND)) == painted(LIGHT["paper"])
        overflows = "[...document.querySelectorAll('.scroll')].map(box => getComputedStyle(box).overflow)"
        assert set(seen.page.evaluate(overflows)) == {"visible"}
