"""Figures: on the page, as files, with any name in them."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.report_examples import HOSTILE, Page, a_run, confusion, evaluation, history, metric, report, the_data
from toolbox.api.evaluator import Figure, Series
from toolbox.report import figures, plots
from toolbox.report.html import render
from toolbox.report.inputs import Epoch
from toolbox.report.plots import Plot


@pytest.mark.parametrize(("head", "last"), [(1, 0), (20, 30), (3, 500)])
def test_learning_curves_count_epochs_through_and_mark_the_stage(head: int, last: int) -> None:
    loss, accuracy = plots.learning_curves(history(head, last))
    assert [series.name for series in loss.figure.series] == ["training", "validation"]
    assert list(accuracy.figure.series[0].x) == list(range(1, head + last + 1))
    assert [mark.x for mark in loss.marks] == ([head + 0.5] if last else [])
    ET.fromstring(figures.to_svg(loss))


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
        return figures.to_svg(Plot(figure)).count("<use")

    pairs, alone = set(range(30)) - {14, 17}, set(range(30)) - {14, 16}
    assert markers(pairs) < markers(alone)


@pytest.mark.parametrize("count", [1, 2, 6, 7, 30, 31, 120])
def test_confusion_matrices_of_any_size(count: int) -> None:
    plot = Plot(confusion([f"class number {at}" for at in range(count)]))
    svg = ET.fromstring(figures.to_svg(plot))
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert ("9" in texts) == (count <= 30)
    assert "class number 0" in " ".join(filter(None, texts)) or count > 2
    assert len(figures.for_page(plot, "k")[0]) < 450_000


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
    root = ET.fromstring(figures.to_svg(Plot(figure)))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    ET.fromstring(figures.for_page(Plot(figure), "k")[0])
    assert list(csv.reader(io.StringIO(figures.to_csv(Plot(figure)))))


def test_colours_of_a_page_figure_follow_the_scheme() -> None:
    """Any literal colour left would stay light on a dark page."""
    for plot in (
        *plots.learning_curves(history(3, 2)),
        *map(Plot, evaluation(0.9).figures),
        *plots.class_counts({"train": {"a": 3, "b": 4}}, None),
    ):
        svg, _ = figures.for_page(plot, "k")
        assert re.findall(r"#[0-9a-fA-F]{6}", svg) == [] and "var(--ink)" in svg and "DejaVu" not in svg
        # Text without a fill of its own would be black.
        assert all("fill:" in style for style in re.findall(r'<text style="([^"]*)"', svg))


def test_matplotlib_is_left_as_it_was() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        drawn = figures.for_page(plots.learning_curves(history(3))[0], "k")
        assert dict(matplotlib.rcParams) == before
    assert drawn == figures.for_page(plots.learning_curves(history(3))[0], "k")


def test_classes_beyond_the_most_are_counted() -> None:
    classes = [f"c{at}" for at in range(plots.MAX_BARS + 3)]
    before, _ = plots.class_counts({"train": dict.fromkeys(classes, 1)}, dict.fromkeys(classes, 2))
    assert plots.hidden_categories(before.figure) == 3
    assert "3 more are left out here" in Page(render(report(data=the_data(classes, samples=(), copies=())))).text


def test_figures_are_written_three_times_each(tmp_path: Path) -> None:
    twice = replace(
        evaluation(0.9),
        figures=[confusion(("a", "b")), confusion(("a", "b")), replace(confusion(("a",)), name="../CON")],
    )
    all_plots = plots.of_run(a_run("001", evaluation=twice)).all
    paths = figures.save(all_plots, tmp_path / "figures")
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


def test_a_figure_is_drawn_again_only_when_its_data_changed(tmp_path: Path) -> None:
    (plot,) = plots.of_run(a_run("001", history=())).evaluation[:1]
    drawing, png, table = figures.save([plot], tmp_path)
    first = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (drawing, png, table)}
    figures.save([plot], tmp_path)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (drawing, png, table)} == first
    assert figures.for_page(plot, "k", tmp_path) == figures.for_page(plot, "k")
    png.unlink()
    figures.save([plot], tmp_path)
    assert png.read_bytes() == first[png][1]
    other = replace(plot, figure=replace(plot.figure, values=[[5.0, 5.0], [0.0, 7.0]]))
    figures.save([other], tmp_path)
    assert drawing.read_bytes() != first[drawing][1] and "5" in table.read_text("utf-8")


@pytest.mark.parametrize("edit", ["<script/>", '<image href="https://example.org/x.png"/>', "<g>", "\udcff"])
def test_an_edited_drawing_never_reaches_the_page(tmp_path: Path, edit: str) -> None:
    (plot,) = plots.of_run(a_run("001", history=())).evaluation[:1]
    drawing = figures.save([plot], tmp_path)[0]
    text = drawing.read_text("utf-8").replace("</svg>", f"{edit}</svg>")
    drawing.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert figures.for_page(plot, "k", tmp_path) == figures.for_page(plot, "k")


def test_bars_cells_and_points_have_tooltips() -> None:
    loss, _ = plots.learning_curves(history(2))
    matrix, roc = map(Plot, evaluation(0.9).figures)
    (bars,) = plots.class_counts({"train": {"a": 3, "b": 4}}, None)
    (dots,) = plots.intervals("i", "accuracy", [plots.IntervalRow(name, metric(0.9)) for name in "ab"])
    assert tooltips(loss) == [
        "training: epoch 1, loss 1.000",
        "training: epoch 2, loss 0.895",
        "validation: epoch 1, loss 1.100",
        "validation: epoch 2, loss 0.995",
    ]
    assert tooltips(matrix)[1] == "true cats, predicted dogs: 1 (0.10 of the row)" and len(tooltips(matrix)) == 4
    assert len(tooltips(roc)) == 3 and tooltips(roc)[1] == "dogs (AUC 0.9): false 0.100, true 0.900"
    assert tooltips(bars) == ["a, train: 3", "b, train: 4"]
    assert tooltips(dots) == ["a: 0.900 (0.850–0.950)", "b: 0.900 (0.850–0.950)"]
    assert len(tooltips(plots.learning_curves(history(300))[0])) == 120


def tooltips(plot: Plot) -> list[str]:
    root = ET.fromstring(figures.for_page(plot, "k")[0])
    return [element.text or "" for element in root.iter("title")]
