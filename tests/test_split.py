"""Splits: laws that hold for every dataset, and the two studies' own counts."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox.data.manifest import Manifest, Row
from toolbox.data.split import assign, share
from toolbox.errors import UsageError
from toolbox.settings.schema import SplitSettings


def rows_of(label: str, count: int, split: str = "") -> list[Row]:
    return [
        Row(id=f"{split}/{label}/{number}", path=f"{label}/{number}.png", label=label, split=split)
        for number in range(count)
    ]


RATIOS = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3, 0.4])


@st.composite
def ungrouped(draw: st.DrawFn) -> Manifest:
    return Manifest(tuple(row for label in "abc" for row in rows_of(label, draw(st.integers(40, 90)))))


@st.composite
def grouped(draw: st.DrawFn) -> Manifest:
    rows = []
    for label in "ab":
        for group in range(draw(st.integers(20, 40))):
            for number in range(draw(st.integers(1, 5))):
                name = f"{label}{group}-{number}"
                rows.append(Row(id=name, path=name, label=label, group=f"{label}{group}"))
    return Manifest(tuple(rows))


@given(manifest=ungrouped(), test=RATIOS, val=RATIOS, seed=st.integers(0, 99))
def test_without_groups_each_class_has_exactly_its_share(
    manifest: Manifest, test: float, val: float, seed: int
) -> None:
    split = assign(manifest, SplitSettings(test=test, val=val, seed=seed))
    for label in split.classes:
        total = sum(row.label == label for row in manifest.rows)
        counts = {name: sum(row.label == label for row in split.part(name)) for name in ("train", "val", "test")}
        assert counts["test"] == share(test, total)
        assert counts["val"] == share(val, total - counts["test"])
        assert sum(counts.values()) == total


@settings(max_examples=50)
@given(manifest=grouped(), seed=st.integers(0, 99))
def test_no_group_is_divided_and_shares_are_met_within_one_group(manifest: Manifest, seed: int) -> None:
    split = assign(manifest, SplitSettings(test=0.2, val=0.2, seed=seed))
    where = defaultdict(set)
    for row in split.rows:
        where[row.group].add(row.split)
    assert all(len(splits) == 1 for splits in where.values())
    for label in "ab":
        total = sum(row.label == label for row in manifest.rows)
        got = sum(row.label == label for row in split.part("test"))
        assert abs(got - share(0.2, total)) <= 5  # the largest group


@given(manifest=grouped(), order=st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_samples_does_not_matter(manifest: Manifest, order) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(manifest.rows)
    order.shuffle(shuffled)
    first = assign(manifest, SplitSettings())
    second = assign(Manifest(tuple(shuffled)), SplitSettings())
    assert {row.id: row.split for row in first.rows} == {row.id: row.split for row in second.rows}
    assert first.fingerprint == second.fingerprint


def test_seeds_differ() -> None:
    manifest = Manifest(tuple(rows_of("a", 50) + rows_of("b", 50)))
    splits = {assign(manifest, SplitSettings(seed=seed)).split_fingerprint for seed in range(5)}
    assert len(splits) == 5


def test_study_b_has_its_492_and_210() -> None:
    rows = (
        rows_of("Cats", 350, "train")
        + rows_of("Dogs", 352, "train")
        + rows_of("Cats", 50, "test")
        + rows_of("Dogs", 50, "test")
    )
    split = assign(Manifest(tuple(rows)), SplitSettings(val=0.3))
    assert {name: len(split.part(name)) for name in ("train", "val", "test")} == {"train": 492, "val": 210, "test": 100}


def test_study_a_has_its_share_of_test() -> None:
    split = assign(Manifest(tuple(rows_of("AD", 965) + rows_of("MCI", 689))), SplitSettings(test=0.05, val=0.1))
    assert split.counts()["test"] == {"AD": 48, "MCI": 34}


def test_the_share_is_of_the_ratio_as_written() -> None:
    assert share(0.29, 100) == 29 and int(0.29 * 100) == 28


def test_parts_that_are_there_stay() -> None:
    rows = rows_of("a", 30, "train") + rows_of("b", 30, "train") + rows_of("a", 5, "val") + rows_of("b", 5, "val")
    split = assign(Manifest(tuple(rows)), SplitSettings(test=0.1))
    assert {row.id for row in split.part("val")} == {row.id for row in rows if row.split == "val"}
    assert len(split.part("test")) == 6


def test_groups_by_expression_and_by_column() -> None:
    rows = [
        Row(id=f"{s}-{n}", path=f"{'ab'[s % 2]}/sub-{s:02d}_{n}.png", label="ab"[s % 2], columns={"patient": f"p{s}"})
        for s in range(20)
        for n in range(4)
    ]
    by_path = assign(Manifest(tuple(rows)), SplitSettings(group_by=r"(sub-\d+)"))
    by_column = assign(Manifest(tuple(rows)), SplitSettings(group_by="patient"))
    assert {row.group for row in by_path.rows} == {f"sub-{s:02d}" for s in range(20)}
    assert {row.group for row in by_column.rows} == {f"p{s}" for s in range(20)}


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        (rows_of("a", 30), {}, "only one class"),
        (rows_of("a", 30) + rows_of("b", 3), {}, "class 'b' has 3 samples"),
        (rows_of("a", 30) + rows_of("b", 30), {"group_by": "("}, "no regular expression"),
        (rows_of("a", 30) + rows_of("b", 30), {"group_by": "patient"}, "no manifest column"),
        (rows_of("a", 30) + rows_of("b", 30), {"group_by": "(sub)"}, "finds no group"),
        (rows_of("a", 30, "test") + rows_of("b", 30, "train"), {"test": 0, "val": 0}, "no image of class 'a'"),
    ],
)
def test_what_can_not_be_split_is_a_named_error(rows: list[Row], settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        assign(Manifest(tuple(rows)), SplitSettings.model_validate(settings))
    assert words in caught.value.message


def test_splits_that_divide_a_group_are_refused() -> None:
    rows = [
        Row(id=str(n), path=str(n), label="ab"[n % 2], group="g" if n < 2 else "", split=["train", "test"][n % 2])
        for n in range(4)
    ]
    with pytest.raises(UsageError, match="divide the group 'g'"):
        assign(Manifest(tuple(rows)), SplitSettings())


def test_one_group_a_class_can_not_be_split() -> None:
    rows = [Row(id=f"{label}{n}", path="x", label=label, group=label) for label in "ab" for n in range(20)]
    with pytest.raises(UsageError, match="too few groups"):
        assign(Manifest(tuple(rows)), SplitSettings())
