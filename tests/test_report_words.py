"""The report in two sentences, and its numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report_examples import Page, a_run, arm, compared, comparison, report, the_data, verdict
from toolbox.api.evaluator import Metric
from toolbox.report import wording
from toolbox.report.html import render
from toolbox.report.summary import summarize


def test_two_runs_that_cannot_be_told_apart() -> None:
    summary = summarize(compared(a_run("001", 0.9), a_run("002", 0.95)))
    assert summary.finding.startswith("Of 2 runs, resnet50 (run 002) has the highest accuracy on the held-out test")
    assert "0.950 (95\N{NO-BREAK SPACE}% interval 0.900–1.000" in summary.finding
    words = "not distinguishable on 100 images (+5.0 points, 95 % CI −5.0 to +15.0, p = .30)"
    assert (
        summary.limits.startswith(f"Paired image by image, the two are {words}; with 100 images")
        and not summary.caveats
    )
    assert "This holds for these trained models; for the methods" in summary.limits


def test_a_winner_is_called_in_the_words_of_the_comparison() -> None:
    found = verdict(winner="B", names=("001", "002"))
    summary = summarize(compared(a_run("001", 0.5), a_run("002", 0.95), verdicts=[found]))
    assert summary.limits.startswith(
        "Paired image by image, 002 is better (+5.0 points, 95 % CI +3.0 to +7.0, p = .01). This holds for"
    )


def test_the_best_of_three_must_beat_each_of_the_others() -> None:
    runs = [a_run("001", 0.5), a_run("002", 0.9), a_run("003", 0.95)]

    def limits(*winners: str) -> str:
        pairs = (("A", "B"), ("A", "C"), ("B", "C"))
        return summarize(
            compared(*runs, verdicts=[verdict(*pair, winner) for pair, winner in zip(pairs, winners, strict=True)])
        ).limits

    assert limits("", "", "").startswith("Paired image by image with the next best, resnet50 (run 002), it is not dis")
    assert limits("B", "C", "C").startswith("It is better than each of the others; against the next best, C is better")
    told = limits("B", "C", "")
    assert told.startswith("It can't be told apart from resnet50 (run 002); against the next best")
    assert "(run 001)" not in told


def test_seeds_are_one_arm_with_a_mean() -> None:
    runs = [a_run(f"{at}", accuracy) for at, accuracy in enumerate((0.8, 0.9, 0.7, 0.8))]
    arms = [
        arm("A", "copies, 2 seeds", *runs[:2]),
        arm("B", "originals, 2 seeds", *runs[2:]),
    ]
    both = replace(comparison(*runs), arms=arms, comparisons=[verdict()])
    summary = summarize(report(*runs, comparisons=[both]))
    assert summary.finding.startswith(
        "Of 4 runs in 2 arms, copies, 2 seeds has the highest mean accuracy: 0.850 (2 runs"
    )
    assert "the two are not distinguishable" in summary.limits
    alone = summarize(report(*runs[:2], comparisons=[replace(both, arms=arms[:1], comparisons=[])]))
    assert "mean accuracy of 0.850" in alone.finding and "seed alone" in alone.limits


def test_equal_runs_share_the_first_place() -> None:
    summary = summarize(compared(a_run("001", 0.9), a_run("002", 0.9)))
    assert "resnet50 (run 001) and resnet50 (run 002) share the highest accuracy" in summary.finding


def test_a_run_on_other_images_is_left_out_of_the_ranking() -> None:
    runs = [a_run("001", 0.9), a_run("002", 0.8), a_run("003", 0.99)]
    summary = summarize(report(*runs, comparisons=[comparison(*runs[:2])]))
    assert summary.finding.startswith("Of 2 runs, resnet50 (run 001)")
    assert [(each.title, "(run 003)" in each.text) for each in summary.caveats] == [("Tested on other images", True)]


def test_runs_that_were_not_compared_are_not_ranked() -> None:
    for inputs in (
        report(a_run("001", 0.9), a_run("002", 0.95, n=40)),
        report(a_run("001", 0.9), a_run("002", 0.95), comparisons=[comparison(a_run("001"), a_run("003"))]),
    ):
        assert "no winner is called" in summarize(inputs).limits


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"leaky": True}, "Leaky"),
        ({"held_out": False, "split": "val"}, "Not held out"),
        ({"weights": "random"}, "Random weights"),
    ],
)
def test_caveats_stand_in_the_summary(change: dict[str, object], title: str) -> None:
    summary = summarize(report(a_run("001", **change)))
    assert [caveat.title for caveat in summary.caveats] == [title]
    assert "(run 001)" in summary.caveats[0].text or "(Run 001)" in summary.caveats[0].text
    assert title in Page(render(report(a_run("001", **change)))).text


def test_leaky_runs_never_win() -> None:
    summary = summarize(compared(a_run("001", 0.6), a_run("002", 0.99, leaky=True)))
    assert "(run 001)" in summary.finding and "(run 002)" not in summary.finding
    alone = summarize(report(a_run("002", 0.99, leaky=True)))
    assert "No run was evaluated on a held-out split without a leak" in alone.finding


@pytest.mark.parametrize("note", ["synthetic", "Synthetic slices, drawn by a program.", "synthetic: drawn slices"])
def test_synthetic_data_is_said_first(note: str) -> None:
    summary = summarize(report(a_run("001", leaky=True), data=the_data(note=note)))
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
