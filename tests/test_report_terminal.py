"""The report in a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Toolbox
from tests.report_examples import a_run, evaluation, history, hostile
from toolbox.api.evaluator import Evaluation
from toolbox.cli.views import report

TINY = "timm:arch=test_resnet"


def printed(thing: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(thing)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return str(text)


def test_terminal_results_hold_what_the_page_holds() -> None:
    several = printed(report.results_table([a_run("001", 0.9), a_run("002", 0.95, leaky=True)]))
    assert "0.900–1.000" in several and "leaky" in several
    one = printed(report.results_table([a_run("001", 0.9)]))
    assert re.search(r"accuracy +0\.900 +0\.850–0\.950", one) and re.search(r"precision +–", one)


def test_terminal_matrix() -> None:
    text = printed(report.confusion_matrix(a_run("001", evaluation=evaluation(0.9, classes=("[red]", "dogs")))))
    assert re.search(r"\[red\] +9 +1", text) and re.search(r"dogs +1 +9", text)
    assert report.confusion_matrix(a_run("001", evaluation=Evaluation())) is None
    wide = evaluation(0.9, classes=[f"c{at}" for at in range(30)])
    assert report.confusion_matrix(a_run("001", evaluation=wide)) is None


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_curves_fit(width: int) -> None:
    text = printed(report.learning_curves(a_run("001", history=history(20, 30)), width), width)
    assert "loss" in text and "accuracy" in text and "50 epochs: head then last block" in text
    assert "•" in text and any("\u2801" <= sign <= "\u28ff" for sign in text)


def test_terminal_curves_show_every_epoch() -> None:
    text = printed(report.learning_curves(a_run("001", history=history(5, validation=False)), 100), 100)
    legend = 2
    assert text.count("•") == 2 * 5 + legend


def test_no_curves_where_they_could_not_be_read() -> None:
    assert report.learning_curves(a_run("001"), 59) is None
    assert report.learning_curves(a_run("001", history=history(1)), 80) is None
    assert report.learning_curves(a_run("001", history=[]), 80) is None


def test_hostile_names_do_not_reach_the_terminal() -> None:
    inputs = hostile()
    text = "".join(
        printed(thing, 400)
        for run in inputs.runs
        for thing in (report.results_table([run, run]), report.confusion_matrix(run), report.summary(inputs))
    )
    assert "\x1b" not in text and "\x00" not in text and "[red]" in text


def test_three_seeds_of_one_arm_are_reported(toolbox: Toolbox, tmp_path: Path) -> None:
    data = ("--data", "phantom:subjects=8,slices=2,size=32", "-C", tmp_path)
    for seed in range(3):
        done = toolbox("train", TINY, "--epochs", 1, "--seed", seed, "--set", "training.size=32", *data)
        assert done.code == 0, done.stderr
    told = toolbox("report", "-C", tmp_path)
    assert told.code == 0 and "3 runs of" in told.stdout and "nothing to compare" in " ".join(told.stdout.split())
    assert toolbox("report", "--format", "md", "-C", tmp_path).code == 0
    for page in ("report.html", "report.md"):
        text = (tmp_path / page).read_text()
        assert "3 runs of" in text and "The best against each other" not in text
