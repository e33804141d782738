"""A study's page: its question, the arms with intervals, the comparisons in words. One file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolbox.api.evaluator import Metric
from toolbox.files.outputs import write_output
from toolbox.report import page_assets, plots
from toolbox.report.html import drawer
from toolbox.report.plots import IntervalRow
from toolbox.report.tables import Cell, Column, TextTable
from toolbox.report.wording import interval, number

if TYPE_CHECKING:
    from toolbox.study.file import StudyFile
    from toolbox.study.results import Cell as Arm
    from toolbox.study.results import Results


def write_study_page(file: StudyFile, results: Results, path: Path, overwrite: bool = False) -> None:
    """Write the page to ``path``, whole or not at all.

    Raises
    ------
    toolbox.api.errors.UsageError: ``path`` is a file that toolbox did not write, and ``overwrite`` is not set.
    toolbox.api.errors.EnvironmentFailure: it can't be written.
    """
    rows = [
        IntervalRow(arm.name, Metric(arm.value, arm.low, arm.high), arm.leaky or not arm.held_out)
        for arm in results.cells
        if arm.value is not None
    ]
    text = page_assets.render(
        "study.html.j2",
        file=file,
        results=results,
        arms=_arms(results),
        figures=drawer()(plots.intervals("arms", "accuracy of each arm", rows)),
        sections=[
            ("How much of the accuracy was leakage", [(each.title, each.words) for each in results.leakage]),
            ("Comparisons", [(each.title, each.words) for each in results.comparisons]),
            ("Runs that failed", results.failures),
        ],
    )
    write_output(path, text.encode("utf-8"), overwrite)


def _arms(results: Results) -> TextTable:
    headings = ["arm", "accuracy", "SD between seeds", "runs", "images", "remarks"]
    return TextTable(
        "Accuracy of each arm: the mean over its runs, with the 95 % interval by a bootstrap of groups (or images)",
        [Column(text, numeric=0 < at < 5) for at, text in enumerate(headings)],
        [_arm(arm) for arm in results.cells],
        cards=True,
    )


def _arm(arm: Arm) -> list[Cell]:
    remarks = {"leaky": arm.leaky, "not held out": not arm.held_out, f"{arm.failed} failed": arm.failed}
    return [
        Cell(arm.name),
        Cell(number(arm.value), below=interval(Metric(arm.value, arm.low, arm.high))),
        Cell(number(arm.spread)),
        Cell(number(arm.runs)),
        Cell(number(arm.n)),
        Cell(", ".join(text for text, applies in remarks.items() if applies)),
    ]
