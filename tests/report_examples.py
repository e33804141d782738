"""Reports of invented runs for tests, kind and hostile ones, and a parser of what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from PIL import Image

from toolbox.api.evaluator import Evaluation, Figure, Gallery, Metric, Picture, Series, Table
from toolbox.evaluation.compare import Arm, ComparisonResult
from toolbox.report.inputs import (
    AuditView,
    CommandLine,
    DataView,
    Epoch,
    ReportInputs,
    RunView,
)
from toolbox.report.pictures import Thumbnail
from toolbox.runs.evaluation import EvaluationRecord
from toolbox.runs.folder import Run
from toolbox.runs.record import DataRecord, RunRecord
from toolbox.statistics.verdict import Comparison

SCRIPT, ATTRIBUTE = "<script>alert(1)</script>", '" onerror="alert(1)'
HOSTILE = (SCRIPT, ATTRIBUTE, "$x^2$", "_hidden", "\x1b[31m\x00", "caf\udcff", "[red]", "گربه", "a" * 300, "-->]]>")


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


def evaluation_record(results: Evaluation, **changes: Any) -> EvaluationRecord:
    """``model_construct`` checks nothing: hostile names are no valid JSON."""
    values = {"split": "test", "n": 100, "held_out": True, "leaky": False, **changes}
    return EvaluationRecord.model_construct(
        **{name: list(getattr(results, name)) for name in ("tables", "figures")},
        metrics=dict(results.metrics),
        **values,
    )


def a_run(name: str, accuracy: float | None = 0.9, **changes: Any) -> RunView:
    """``changes`` are fields of the view, of its record, or of its evaluation."""
    command = f"toolbox finetune resnet50 --seed {name}"
    record = {"kind": "finetune", "model": "resnet50", "weights": "ImageNet", "leaky": False, "command": command}
    record |= {key: changes.pop(key) for key in record if key in changes}
    data = DataRecord.model_construct(spec="photos/", counts={})
    results = changes.pop("evaluation", evaluation(accuracy))
    evaluated = {key: changes.pop(key) for key in ("split", "n", "held_out") if key in changes}
    run = RunView(
        id=name,
        record=RunRecord.model_construct(**record, data=data, train_on="originals", seed=0),
        evaluation=evaluation_record(results, **evaluated),
        history=history(3, 2),
        facts=[("weights", record["weights"]), ("seed", "0")],
    )
    return replace(run, **changes)


def thumbnail(label: str, caption: str = "train/1.png", mode: str = "RGB", side: int = 300) -> Thumbnail:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return Thumbnail(label, caption, Image.fromarray(pixels).convert(mode))


def the_data(classes: Sequence[str] = ("cats", "dogs"), **changes: object) -> DataView:
    data = DataView(
        description="photos/",
        counts_before={split: dict.fromkeys(classes, n) for split, n in (("train", 245), ("test", 50))},
        counts_after=dict.fromkeys(classes, 12_250),
        samples=[thumbnail(name) for name in classes],
        copies=[[thumbnail(classes[0], each) for each in ("1.png", "flip", "rotation 12")]],
        quarantined=[("train/3.jpg", "truncated")],
        fingerprint="5b0c7711",
        split_facts=[("protocol", "split-then-augment")],
        license=("LICENSE", "Free as air."),
        audit=AuditView(
            current=True,
            leaks=[("the same file", 2)],
            compared="All of them.",
            examples=["the same file: a.png (train), b.png (test)"],
            links=[("audit.json", "audit.json")],
        ),
    )
    return replace(data, **changes)  # type: ignore[arg-type]


def verdict(
    a: str = "A", b: str = "B", winner: str = "", difference: float = 0.05, names: tuple[str, str] = ("", "")
) -> Comparison:
    """``b`` above ``a`` by ``difference``; ``winner`` is one of both letters."""
    size = -abs(difference) if winner == a else abs(difference) if winner == b else difference
    reach = 0.02 if winner else 0.1
    return Comparison(
        metric="accuracy",
        a=0.9,
        b=0.9 + size,
        difference=size,
        low=size - reach,
        high=size + reach,
        narrow=(size - reach, size + reach),
        p_value=0.01 if winner else 0.3,
        test="mcnemar-mid-p",
        interval="tango",
        n=100,
        units=100,
        detectable=0.12,
        letters=(a, b),
        names=(names[0] or a, names[1] or b),
    )


def comparison(*runs: RunView, verdicts: Sequence[Comparison] = ()) -> ComparisonResult:
    """Each of ``runs`` an arm of its own: A, B, …; nothing is distinguishable unless ``verdicts`` says so."""
    arms = [arm(letter, run.id, run) for letter, run in zip(ascii_uppercase, runs, strict=False)]
    pairs = [verdict(a.letter, b.letter, names=(a.name, b.name)) for a, b in combinations(arms, 2)]
    return ComparisonResult("accuracy", 100, "test", tuple(arms), tuple(verdicts or pairs), ())


def arm(letter: str, name: str, *runs: RunView) -> Arm:
    """An arm of ``runs``, compared by accuracy."""
    folders = tuple(Run(Path(run.id)) for run in runs)
    for folder, run in zip(folders, runs, strict=True):
        vars(folder)["record"] = run.record
    return Arm(
        letter, name, folders, {"accuracy": tuple(run.evaluation.metrics["accuracy"].value or 0 for run in runs)}
    )


def report(*runs: RunView, data: DataView | None = None, **changes: object) -> ReportInputs:
    inputs = ReportInputs(title="A report", created="1 May", workspace="ws", runs=runs, data=data)
    return replace(inputs, **changes)  # type: ignore[arg-type]


def compared(*runs: RunView, verdicts: Sequence[Comparison] = (), **changes: object) -> ReportInputs:
    """A report on ``runs`` with a comparison of them."""
    return report(*runs, comparisons=[comparison(*runs, verdicts=verdicts)], **changes)  # type: ignore[arg-type]


def full() -> ReportInputs:
    external = evaluation_record(evaluation(0.7), external="elsewhere/", n=40, leaky=True, trained_on=3)
    gallery = Gallery(
        "worst", "Worst mistakes", [Picture(thumbnail("cats").image, "a cat taken for a dog", "1.png")], "why"
    )
    return compared(
        a_run("001", external=[external], galleries=[gallery]),
        a_run("002", 0.95, history=history(20, 30)),
        data=the_data(),
        notes=["A note."],
        not_comparable=["001 and 003 were tested on different images"],
        steps=[CommandLine(f"toolbox finetune resnet50 --seed {name}", f"the run {name}") for name in ("001", "002")],
        versions=[("torch", "2.99")],
    )


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
            external=[evaluation_record(evaluation(0.9, classes=HOSTILE[:3]), external=text, n=1)],
            galleries=[Gallery(text, text, [Picture(thumbnail(text, side=8).image, text, text)], text)],
        )
        for text in (SCRIPT, ATTRIBUTE, HOSTILE[5], "a" * 300)
    ]
    thumbnails = [thumbnail(text, text, side=8) for text in HOSTILE]
    data = the_data(
        HOSTILE,
        description=SCRIPT,
        note=ATTRIBUTE,
        samples=thumbnails,
        copies=[[one, *thumbnails] for one in thumbnails],
        quarantined=[(text, text) for text in HOSTILE],
        fingerprint=SCRIPT,
        split_facts=[(text, text) for text in HOSTILE],
        license=(SCRIPT, ATTRIBUTE),
        audit=AuditView(
            current=True,
            leaks=[(text, 1) for text in HOSTILE],
            compared=SCRIPT,
            examples=HOSTILE,
            links=[(SCRIPT, "audit.json")],
        ),
    )
    return compared(
        *runs,
        verdicts=[replace(verdict(names=(SCRIPT, ATTRIBUTE)), test=ATTRIBUTE)],
        data=data,
        title=SCRIPT,
        workspace=ATTRIBUTE,
        created=SCRIPT,
        notes=HOSTILE,
        not_comparable=HOSTILE,
        steps=[CommandLine(text, text) for text in HOSTILE],
        versions=[(text, text) for text in HOSTILE],
    )


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
