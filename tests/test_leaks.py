"""The leak gate: what an audit finds, what it refuses, and how a leak is resolved."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Toolbox, write_photos
from toolbox.api.errors import UsageError
from toolbox.data.audit import findings
from toolbox.data.audit.leaked import find_leaked
from toolbox.data.audit.near import ImageComparison, Pair
from toolbox.data.manifest import Manifest, Row
from toolbox.evaluation.canary import label_by_group


def row(name: str, split: str, label: str = "a", pixels: str = "", group: str = "", **columns: str) -> Row:
    return Row(
        id=name, path=f"{name}.png", label=label, split=split, pixels=pixels or name, group=group, columns=columns
    )


def pair(first: str, second: str, kind: str = "near-duplicate", score: float = 0.99) -> ImageComparison:
    return ImageComparison((Pair(first, second, kind, score, 1.0, 0.0, False),), 2, 1, 0)


def found(
    *rows: Row, comparison: ImageComparison | None = None, copies: tuple[Row, ...] = ()
) -> list[tuple[str, bool]]:
    audit = findings.audit_manifest(Manifest(rows), comparison, copies)
    return [(finding.kind, finding.leak) for finding in audit.findings]


def test_across_splits_is_a_leak_and_within_one_a_warning() -> None:
    assert found(row("1", "train", pixels="x"), row("2", "test", pixels="x")) == [("identical-pixels", True)]
    assert found(row("1", "train", pixels="x"), row("2", "train", pixels="x")) == [("identical-pixels", False)]
    assert found(row("1", "train"), row("2", "val"), comparison=pair("1", "2")) == [("near-duplicate", True)]
    assert found(row("1", "val"), row("2", "val"), comparison=pair("1", "2")) == [("near-duplicate", False)]
    assert found(row("1", "train", group="p"), row("2", "val", group="p")) == [("divided-group", True)]
    assert found(row("1", "train", group="p"), row("2", "train", group="p")) == []


def test_what_is_alike_is_never_a_leak() -> None:
    alike = pair("1", "2", "similar", 0.9)
    assert found(row("1", "train"), row("2", "test"), comparison=alike) == [("similar", False)]
    assert found(row("1", "train"), row("2", "train"), comparison=alike) == []


def test_the_same_picture_under_two_labels_is_told() -> None:
    kinds = found(row("1", "train", "cat", pixels="x"), row("2", "train", "dog", pixels="x"))
    assert kinds == [("identical-pixels", False), ("two-labels", False)]


def test_copies_on_both_sides_are_a_leak() -> None:
    one, two = row("c1", "train", source="1"), row("c2", "test", source="1")
    assert found(row("1", "train"), copies=(one,)) == []
    assert found(row("1", "train"), copies=(one, two)) == [("copies-of-one-source", True)]
    assert found(row("1", "test"), copies=(one,)) == [("copies-of-one-source", True)]
    # A set's own manifest given as the data: its copies have their source as their group.
    given = (row("c1", "train", source="1", group="1"), row("c2", "test", source="1", group="1"))
    assert found(*given) == [("copies-of-one-source", True)]


def test_a_duplicate_of_a_duplicate_leaks_too() -> None:
    """1 and 2 are one picture; 3 is a near-duplicate of 1 alone, yet 2 has been seen with it."""
    rows = (row("1", "train", pixels="x"), row("2", "test", pixels="x"), row("3", "train"))
    assert ("near-duplicate", True) in found(*rows, comparison=pair("1", "3"))
    assert set(findings.find_training_leaks(Manifest(rows), pair("1", "3"))) == {"1", "3"}


def test_the_training_side_goes_and_never_the_test_side() -> None:
    rows = (row("1", "train", group="p"), row("2", "val", group="p"), row("3", "test", group="p"), row("4", "train"))
    gone = findings.find_training_leaks(Manifest(rows), None)
    assert gone == {"1": "3", "2": "3"}
    kept = Manifest(tuple(sample for sample in rows if sample.id not in gone))
    assert findings.audit_manifest(kept, None).leaks == ()


def leaky(folder: Path) -> Path:
    """Photos with splits of their own and six of the training ones in the test folder again."""
    write_photos(folder / "train", per_class=10)
    for number in range(3):
        for label in ("left", "right"):
            target = folder / "test" / label / f"again-{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / "train" / label / f"{label}-{number:02d}.png").read_bytes())
    return folder


TRAIN = ("train", "alzheimer-cnn", "--epochs", 1, "--size", 32)


def test_training_over_a_leak_is_refused_unless_allowed_and_then_marked(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = leaky(tmp_path / "photos"), tmp_path / "ws"
    refused = toolbox(*TRAIN, "--data", data, "-C", ws)
    assert refused.code == 4 and not (ws / "runs").exists()
    assert "6 leaks" in refused.stderr and "--drop-leaks" in refused.stderr and "--allow-leaks" in refused.stderr
    assert toolbox("finetune", "efficientnet-lite0", "--data", data, "-C", ws).code == 4

    allowed = toolbox(*TRAIN, "--data", data, "-C", ws, "--allow-leaks", "--json")
    assert allowed.code == 0 and allowed.document["leaky"] is True
    record = json.loads((ws / "runs" / allowed.document["run"] / "run.json").read_text())
    assert record["leaks"] == {"identical-bytes": 6}
    assert toolbox("evaluate", "-C", ws, "--json").document["leaky"] is True
    assert toolbox("report", "-C", ws).code == 0 and "Leaky" in (ws / "report.html").read_text()


def test_the_audit_tells_of_leaks_in_words_in_json_and_in_pictures(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = leaky(tmp_path / "photos"), tmp_path / "ws"
    done = toolbox("data", "audit", "--data", data, "-C", ws, "--json")
    assert done.code == 4 and done.document["leaks"] == 6
    kept = json.loads((ws / "audit.json").read_text())
    leaks = [group for group in kept["groups"] if group["leak"]]
    assert kept["schema"] == 1 and {group["kind"] for group in leaks} == {"identical-bytes"}
    assert sorted(leaks[0]["splits"]) == ["test", "train"] and len(leaks[0]["paths"]) == 2
    page = (ws / "audit.html").read_text()
    assert page.count("<img ") >= 12 and "test/left/again-0.png" in page.replace("<wbr>", "")
    assert "6 leaks" in toolbox("data", "audit", "--data", data, "-C", ws).stdout


def test_dropping_leaks_takes_the_training_side_out_and_later_commands_keep_to_it(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    data, ws = leaky(tmp_path / "photos"), tmp_path / "ws"
    done = toolbox("data", "split", "--data", data, "--val", 0.2, "--drop-leaks", "-C", ws, "--json")
    assert len(done.document["dropped"]) == 6 and done.document["counts"]["test"] == {"left": 3, "right": 3}
    with (ws / "manifest.csv").open(newline="") as file:
        kept = {line["id"] for line in csv.DictReader(file)}
    assert len(kept) == 20 and not kept & set(done.document["dropped"])
    assert toolbox("data", "audit", "--data", data, "-C", ws).code == 0
    before = (ws / "manifest.csv").read_bytes()
    trained = toolbox(*TRAIN, "--data", data, "-C", ws, "--json")
    assert trained.code == 0 and trained.document["leaky"] is False
    assert (ws / "manifest.csv").read_bytes() == before


def test_grouping_duplicates_keeps_them_on_one_side(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = write_photos(tmp_path / "photos", per_class=15), tmp_path / "ws"
    for number in range(0, 15, 2):
        name = data / "left" / f"left-{number:02d}.png"
        name.with_name(f"again-{number}.png").write_bytes(name.read_bytes())
    divided = toolbox("data", "audit", "--data", data, "--set", "split.test=0.4", "-C", tmp_path / "other")
    assert divided.code == 4
    assert toolbox("data", "split", "--data", data, "--test", 0.4, "--group-duplicates", "-C", ws).code == 0
    assert toolbox("data", "audit", "--data", data, "-C", ws).code == 0
    # A photo more: the split is dealt anew, and by the same wish.
    (data / "left" / "more.png").write_bytes((data / "left" / "left-01.png").read_bytes())
    assert toolbox("data", "audit", "--data", data, "-C", ws).code == 0


def test_extending_keeps_places_and_holds_for_later_commands(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = write_photos(tmp_path / "photos", per_class=20), tmp_path / "ws"
    toolbox("data", "split", "--data", data, "--seed", 5, "-C", ws)
    old = tmp_path / "old.csv"
    old.write_bytes((ws / "manifest.csv").read_bytes())
    places = {line["id"]: line["split"] for line in csv.DictReader(old.open(newline=""))}
    write_photos(data, per_class=30)
    assert toolbox("data", "split", "--data", data, "--extend", old, "-C", ws).code == 0
    old.unlink()
    assert toolbox("augment", "--data", data, "--factor", 1, "--size", 32, "-C", ws).code == 0
    with (ws / "manifest.csv").open(newline="") as file:
        now = {line["id"]: line["split"] for line in csv.DictReader(file)}
    assert len(now) == 60 and {name: now[name] for name in places} == places


def test_augment_then_split_puts_copies_on_both_sides_and_says_so(toolbox: Toolbox, tmp_path: Path) -> None:
    ws, common = tmp_path / "ws", ("--data", "phantom:subjects=20,slices=3", "-C", tmp_path / "ws")
    made = toolbox("augment", "--factor", 4, "--protocol", "augment-then-split", *common, "--json")
    assert made.document["sources"] == 60 and made.document["written"] == 240
    with (ws / made.document["path"] / "manifest.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    sides: dict[str, set[str]] = {}
    for line in lines:
        sides.setdefault(line["source"], set()).add(line["split"])
    assert sum(len(side) > 1 for side in sides.values()) > 30
    trained = toolbox(*TRAIN, *common, "--json")
    assert trained.code == 0 and trained.document["leaky"] is True and "leaks on purpose" in trained.stderr
    assert trained.document["n"] == sum(line["split"] == "test" for line in lines) == 72
    assert toolbox("data", "audit", *common).code == 4
    # The right way again, by asking for the split anew; the leaky set is not taken for it.
    toolbox("data", "split", *common)
    right = toolbox(*TRAIN, *common, "--json")
    assert right.document["leaky"] is False and right.document["train_on"] == "originals"


def test_the_canary_gives_each_group_its_most_frequent_label() -> None:
    rows = [
        row(f"{g}-{n}", "test", "ab"[g % 2] if n else "ba"[g % 2], group=str(g)) for g in range(10) for n in range(3)
    ]
    labeled = label_by_group([*rows, row("alone", "")])
    assert [(r.id, r.label, r.split) for r in labeled] == [(r.id, "ab"[int(r.group) % 2], "") for r in rows]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1", ""), row("2", "", group="p")], "groups of several images"),
        (
            [row(f"{g}-{n}", "", "aab"[n], group=str(g)) for g in range(9) for n in range(3)],
            "every group is mostly 'a': there are no labels to shuffle",
        ),
        (
            [row(f"{g}-{n}", "", "ab"[g < 3], group=str(g)) for g in range(9) for n in range(3)],
            "class 'b' has 3 groups; the canary needs 5 of each class",
        ),
    ],
)
def test_the_canary_needs_labels_that_can_be_shuffled_among_groups(rows: list[Row], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        label_by_group(rows)


@pytest.mark.slow
def test_the_canary_on_phantom_prints_both_figures(toolbox: Toolbox, tmp_path: Path) -> None:
    done = toolbox("data", "audit", "--canary", "--data", "phantom", "-C", tmp_path, "--json")
    canary = done.document
    assert canary["divided"]["accuracy"] > 0.8 and canary["divided"]["p_value"] < 0.001 and canary["leaks"]
    assert canary["whole"]["p_value"] > 0.001
    assert (
        canary["words"].startswith("Leakage: shuffled labels hold nothing to learn but the groups")
        and "Leakage: " in done.stderr
    )
    print(canary["words"])


def test_a_short_canary_goes_the_whole_way(toolbox: Toolbox, tmp_path: Path) -> None:
    done = toolbox("data", "audit", "--canary", "--canary-epochs", 1, "--data", "phantom:size=32", "-C", tmp_path)
    assert done.code == 0 and "groups divided" in done.stdout and "by chance" in done.stdout


def test_a_workspace_in_the_datasets_folder_is_refused_before_anything_is_written(
    toolbox: Toolbox, photos: Path
) -> None:
    before = sorted(photos.rglob("*"))
    for command in (("data", "split"), ("augment", "--factor", 1), TRAIN):
        done = toolbox(*command, "--data", photos, "-C", photos / "work")
        assert done.code == 2 and "never written to" in done.stderr
    assert sorted(photos.rglob("*")) == before


def test_a_fold_without_folds_and_an_old_manifest_of_other_images_are_told(
    toolbox: Toolbox, photos: Path, tmp_path: Path
) -> None:
    assert toolbox("data", "split", "--data", photos, "--fold", 2, "-C", tmp_path / "ws").code == 2
    other = write_photos(tmp_path / "other", per_class=13)
    toolbox("data", "split", "--data", "phantom", "-C", tmp_path / "old")
    done = toolbox(
        "data", "split", "--data", other, "--extend", tmp_path / "old" / "manifest.csv", "-C", tmp_path / "ws"
    )
    assert done.code == 0 and "0 of 26 images keep" in done.stderr


def test_leaked_samples_are_those_with_a_relative_nearer_to_training() -> None:
    rows = (
        row("1", "train", pixels="x"),
        row("2", "test", pixels="x"),
        row("3", "val", group="p"),
        row("4", "test", group="p"),
        row("5", "test"),
        row("6", "train"),
        row("7", "test", pixels="y"),
        row("8", "test", pixels="y"),
    )
    assert find_leaked(rows, Manifest(rows), None) == {"2": "identical-pixels", "4": "divided-group"}
    # 7 and 8 are one picture, so both leak by a near-duplicate of 7.
    both = find_leaked(rows, Manifest(rows), pair("6", "7"))
    assert {name for name, kind in both.items() if kind == "near-duplicate"} == {"7", "8"}
    assert "7" not in find_leaked(rows, Manifest(rows), pair("6", "7", "similar"))


def test_copies_leak_by_their_source_and_by_its_relatives() -> None:
    groups = {"a": "", "b": "p", "c": "p", "d": ""}
    originals = Manifest(tuple(row(name, "train", group=group) for name, group in groups.items()))
    copies = (
        row("a1", "train", source="a", group="a"),
        row("a2", "test", source="a", group="a"),
        row("b1", "train", source="b", group="p"),
        row("c1", "test", source="c", group="p"),
        row("d1", "test", source="d", group="d"),
    )
    assert find_leaked(copies, originals, None) == {"a2": "copies-of-one-source", "c1": "divided-group"}
    assert find_leaked(copies, originals, pair("a", "d"))["d1"] == "near-duplicate"


def test_a_leaky_run_shows_what_the_leak_was_worth(toolbox: Toolbox, tmp_path: Path) -> None:
    data, ws = leaky(tmp_path / "photos"), tmp_path / "ws"
    write_photos(data / "new", per_class=14)
    for label in ("left", "right"):
        for number in (12, 13):
            (data / "new" / label / f"{label}-{number}.png").rename(data / "test" / label / f"new-{number}.png")
    shutil.rmtree(data / "new")
    trained = toolbox(*TRAIN, "--data", data, "-C", ws, "--allow-leaks", "--json")
    leakage = trained.document["leakage"]
    assert leakage["kinds"] == {"identical-pixels": 6}
    assert (leakage["leaked"]["n"], leakage["clean"]["n"], trained.document["n"]) == (6, 4, 10)
    shares = [leakage[part]["metrics"]["accuracy"]["value"] * leakage[part]["n"] for part in ("leaked", "clean")]
    assert sum(shares) == pytest.approx(trained.document["metrics"]["accuracy"]["value"] * 10)
    assert set(leakage["clean"]["metrics"]) == set(trained.document["metrics"])

    shown = toolbox("evaluate", "-C", ws).stdout
    assert "clean, n = 4" in shown and "leaked, n = 6" in shown and "6 of 10 images leaked" in shown
    toolbox("report", "-C", ws)
    page = (ws / "report.html").read_text()
    assert "What the leak was worth" in page and "6 of 10 images leaked" in page

    # A run of an older version does not know which images leaked; --clean finds them.
    path = ws / "runs" / trained.document["run"] / "predictions.csv"
    lines = list(csv.DictReader(path.open()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in lines[0] if name != "leak"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    assert toolbox("evaluate", "-C", ws, "--json").document["leakage"] is None
    assert toolbox("evaluate", "-C", ws, "--clean", "--json").document["leakage"] == leakage
    assert toolbox("evaluate", "-C", ws, "--json").document["leakage"] == leakage
    assert toolbox("evaluate", "-C", ws, "--clean", "--data", data).code == 2
