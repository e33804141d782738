"""Splits: laws that hold for every dataset, and the two studies' own counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox.api.errors import UsageError
from toolbox.data.manifest import Manifest, Row
from toolbox.data.split import assign, share
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
        (rows_of("a" * 90, 30) + rows_of("b", 30), {"group_by": "((?:a|aa)+)$"}, "takes too long to match aaa"),
        (rows_of("a", 30, "test") + rows_of("b", 30, "train"), {"test": 0, "val": 0}, "no image of class 'a'"),
        (rows_of("a", 30) + rows_of("b", 4), {"folds": 5}, "too few for 5 folds"),
        (rows_of("a", 30) + rows_of("b", 30), {"folds": 1}, "at least 2 folds"),
        (rows_of("a", 30) + rows_of("b", 30), {"folds": 5, "fold": 5}, "the folds are 0 to 4"),
    ],
)
def test_what_can_not_be_split_is_a_named_error(rows: list[Row], settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        assign(Manifest(tuple(rows)), SplitSettings.model_validate(settings))
    assert words in caught.value.message


def test_a_group_that_the_dataset_divides_is_left_as_it_is() -> None:
    """The audit tells of it and the gate refuses to train; the splits that are there stay."""
    rows = [*rows_of("a", 20, "train"), *rows_of("b", 20, "train"), *rows_of("a", 5, "test"), *rows_of("b", 5, "test")]
    divided = [replace(row, group="g") if row.path == "a/0.png" else row for row in rows]
    split = assign(Manifest(tuple(divided)), SplitSettings(val=0.2))
    assert {row.split for row in split.rows if row.group == "g"} in ({"train", "test"}, {"val", "test"})


@settings(max_examples=50)
@given(manifest=st.one_of(grouped(), ungrouped()), folds=st.integers(2, 6), seed=st.integers(0, 99))
def test_folds_are_whole_groups_and_each_class_is_even(manifest: Manifest, folds: int, seed: int) -> None:
    split = assign(manifest, SplitSettings(folds=folds, fold=folds - 1, seed=seed, val=0.1))
    where = defaultdict(set)
    for row in split.rows:
        where[row.group or row.id].add(row.fold)
    assert all(len(found) == 1 for found in where.values())
    assert {row.id for row in split.part("test")} == {row.id for row in split.rows if row.fold == str(folds - 1)}
    largest = max(Counter(row.group or row.id for row in split.rows).values())
    for label in split.classes:
        sizes = Counter(row.fold for row in split.rows if row.label == label)
        assert set(sizes) == {str(fold) for fold in range(folds)}
        assert max(sizes.values()) - min(sizes.values()) <= largest


@settings(max_examples=25)
@given(manifest=grouped(), order=st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_samples(manifest: Manifest, order) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(manifest.rows)
    order.shuffle(shuffled)
    wanted = SplitSettings(folds=4)
    first, second = assign(manifest, wanted), assign(Manifest(tuple(shuffled)), wanted)
    assert {row.id: row.fold for row in first.rows} == {row.id: row.fold for row in second.rows}


def test_each_fold_is_held_out_once() -> None:
    manifest = Manifest(tuple(rows_of("a", 23) + rows_of("b", 31)))
    parts = [assign(manifest, SplitSettings(folds=5, fold=fold)).part("test") for fold in range(5)]
    assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in manifest.rows)


def test_with_a_test_split_of_the_datasets_own_a_fold_is_the_validation_split() -> None:
    rows = rows_of("a", 30, "train") + rows_of("b", 30, "train") + rows_of("a", 5, "test") + rows_of("b", 5, "test")
    split = assign(Manifest(tuple(rows)), SplitSettings(folds=3, fold=1))
    assert len(split.part("test")) == 10 and {row.fold for row in split.part("test")} == {""}
    assert {row.fold for row in split.part("val")} == {"1"} and len(split.part("val")) == 20


@settings(max_examples=50)
@given(manifest=st.one_of(grouped(), ungrouped()), data=st.data())
def test_extending_keeps_every_old_assignment_and_divides_no_group(manifest: Manifest, data: st.DataObject) -> None:
    known = data.draw(st.integers(len(manifest.rows) // 2, len(manifest.rows)))
    wanted = SplitSettings(test=0.2, val=0.2)
    old = assign(Manifest(manifest.rows[::2] + manifest.rows[1:known:2]), wanted)
    new = assign(manifest, wanted, old)
    before = {row.id: row.split for row in old.rows}
    assert all(row.split == before[row.id] for row in new.rows if row.id in before)
    where = defaultdict(set)
    for row in new.rows:
        where[row.group or row.id].add(row.split)
    assert all(len(splits) == 1 for splits in where.values())
    largest = max(Counter(row.group or row.id for row in new.rows).values())
    for label in new.classes:
        total = sum(row.label == label for row in new.rows)
        # Groups that have a place go there, whatever the share: at least what was asked for, less one group.
        assert sum(row.label == label for row in new.part("test")) >= share(0.2, total) - largest


def test_an_image_that_was_renamed_keeps_its_place() -> None:
    rows = [replace(row, pixels=row.id) for row in rows_of("a", 30) + rows_of("b", 30)]
    old = assign(Manifest(tuple(rows)), SplitSettings())
    renamed = [replace(row, id=f"new/{row.id}") for row in rows]
    new = assign(Manifest(tuple(renamed)), SplitSettings(seed=1), old)
    assert [row.split for row in new.rows] == [row.split for row in old.rows]


@settings(max_examples=50)
@given(manifest=grouped(), data=st.data())
def test_duplicates_are_never_divided(manifest: Manifest, data: st.DataObject) -> None:
    ids = [row.id for row in manifest.rows]
    links = data.draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=8))
    way = data.draw(st.sampled_from(["group", "drop"]))
    split = assign(manifest, SplitSettings(duplicates=way, test=0.2, val=0.2), duplicates=links)
    where = {row.id: row.split for row in split.rows}
    assert all(where[first] == where[second] for first, second in links)
    if way == "group":
        group = {row.id: row.group for row in split.rows}
        assert all(group[first] == group[second] for first, second in links)
    else:
        assert [row.group for row in split.rows] == [row.group for row in manifest.rows]


def test_duplicates_that_the_datasets_splits_divide_can_not_be_grouped() -> None:
    rows = rows_of("a", 30, "train") + rows_of("b", 30, "train") + rows_of("a", 5, "test") + rows_of("b", 5, "test")
    with pytest.raises(UsageError, match="are duplicates") as caught:
        wanted = SplitSettings(duplicates="group")
        assign(Manifest(tuple(rows)), wanted, duplicates=[("train/a/0", "test/a/0")])
    assert "--drop-leaks" in caught.value.hint


def test_under_augment_then_split_groups_are_divided() -> None:
    rows = [Row(id=f"{g}-{n}", path="x", label="ab"[g % 2], group=str(g)) for g in range(20) for n in range(10)]
    split = assign(Manifest(tuple(rows)), SplitSettings(protocol="augment-then-split", test=0.3))
    assert split.counts()["test"] == {"a": 30, "b": 30}
    assert any(len({row.split for row in split.rows if row.group == str(g)}) > 1 for g in range(20))


def test_one_group_a_class_can_not_be_split() -> None:
    rows = [Row(id=f"{label}{n}", path="x", label=label, group=label) for label in "ab" for n in range(20)]
    with pytest.raises(UsageError, match="too few groups"):
        assign(Manifest(tuple(rows)), SplitSettings())
