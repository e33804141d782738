"""``toolbox compare``: what is refused, which test decides, what the verdict says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.conftest import Toolbox
from tests.records import evaluation, record
from toolbox.api.errors import Refused, UsageError
from toolbox.evaluation.compare import arms_of, compare_arms
from toolbox.evaluation.compare import compare as compare_runs
from toolbox.evaluation.test_set_uses import FILE_NAME, uses_of
from toolbox.report.gather import run_view
from toolbox.runs.evaluation import MANY
from toolbox.runs.folder import EVALUATION, PREDICTIONS, Run, create_run
from toolbox.runs.predictions import Predictions
from toolbox.runs.record import RunRecord
from toolbox.settings.schema import Settings
from toolbox.statistics import compare as statistics
from toolbox.statistics.compare import Pair
from toolbox.statistics.scores import PredictionSet, Units
from toolbox.statistics.verdict import Design
from toolbox.workspace import Workspace

QUICK = {"training.pretrained": False, "training.size": 32, "training.batch_size": 8, "head.epochs": 2}


def compare(runs: Sequence[Run], *arguments: Any) -> dict[str, Any]:
    """The comparison as ``--json`` prints it."""
    return compare_runs(runs, *arguments).document()


def made(
    place: Path,
    right: Sequence[bool] | np.ndarray,
    model: str = "m",
    seed: int = 0,
    groups: Sequence[str] = (),
    leaky: bool = False,
    **changed: str,
) -> Run:
    """A run whose answers to two classes in turn are right where ``right`` says so; ``changed`` alters sample 0."""
    document = record(model=model, seed=seed, leaky=leaky, config={"seed": seed})
    run = create_run(place, model, RunRecord.model_validate(document))
    right = np.asarray(right, dtype=bool)
    count = len(right)
    truth = np.arange(count) % 2
    certain = np.random.default_rng(seed).uniform(0.55, 0.95, count)
    second = np.where(right == (truth == 1), certain, 1 - certain)
    rows = [
        SimpleNamespace(id=f"{at:04}", path=f"{at}.png", label="ab"[truth[at]], split="test", pixels=f"hash {at}",
                        group=groups[at] if groups else "")
        for at in range(count)
    ]  # fmt: skip
    vars(rows[0]).update(changed)
    ordered = rows[::-1] if seed % 2 else rows
    Predictions.of_rows(ordered, ["a", "b"], _ordered(second, seed)).write(run.path / PREDICTIONS)
    (run.path / EVALUATION).write_text(json.dumps(evaluation()))
    return run


def _ordered(second: np.ndarray, seed: int) -> np.ndarray:
    both = np.stack([1 - second, second], 1)
    return both[::-1] if seed % 2 else both


def wrong_at(count: int, *wrong: int) -> np.ndarray:
    right = np.ones(count, dtype=bool)
    right[list(wrong)] = False
    return right


@pytest.mark.parametrize("shared", range(11))
def test_90_against_87_of_100_is_not_distinguishable_whatever_the_pairing(tmp_path: Path, shared: int) -> None:
    first = wrong_at(100, *range(10))
    second = wrong_at(100, *range(shared), *range(50, 50 + 13 - shared))
    document = compare([made(tmp_path, first, "a"), made(tmp_path, second, "b", seed=1)])
    assert document["verdict"] == "not distinguishable" and document["test"] == "mcnemar-mid-p"
    found = document["difference"]
    assert found["value"] == pytest.approx(-0.03) and found["low"] < 0 < found["high"] and found["method"] == "tango"
    assert document["words"].startswith("not distinguishable on 100 images (−3.0 points, 95 % CI −")
    assert 0.03 < document["detectable"] < 0.25 and "with 100 images, a true difference of" in document["words"]
    assert document["scope"] == "models" and "train each with 3 seeds" in document["scope_words"]


def test_a_winner_is_named_from_its_side(tmp_path: Path) -> None:
    good, bad = made(tmp_path, wrong_at(100, 1), "a"), made(tmp_path, wrong_at(100, *range(20, 35)), "b")
    forward, backward = compare([bad, good]), compare([good, bad])
    assert (forward["verdict"], backward["verdict"]) == ("b", "a")
    assert forward["difference"]["value"] == pytest.approx(0.14) == -backward["difference"]["value"]
    assert forward["words"] == "B (001-a) is better (+14.0 points, 95 % CI +7.3 to +22.5, p < .001)"
    assert backward["words"] == "A (001-a) is better (+14.0 points, 95 % CI +7.3 to +22.5, p < .001)"
    assert {each["metric"]: each["test"] for each in forward["comparisons"]}["auc"] == "delong"
    lower_is_better = compare([bad, good], ["log_loss"])
    assert lower_is_better["difference"]["value"] < 0 and lower_is_better["verdict"] == "b"


def test_what_can_not_be_compared_is_refused_with_the_reason(tmp_path: Path) -> None:
    plain = made(tmp_path, wrong_at(40, 1))
    for reason, other in (
        ("different images", made(tmp_path, wrong_at(38, 1))),
        ("different images", made(tmp_path, wrong_at(40, 1), id="another")),
        ("'0000' is 'a' in", made(tmp_path, wrong_at(40, 1), label="b")),
        ("different pixels of 1 test", made(tmp_path, wrong_at(40, 1), pixels="another")),
        ("val split", _on_validation(tmp_path)),
    ):
        with pytest.raises(Refused, match=reason):
            compare([plain, other])
    with pytest.raises(UsageError, match="two different runs"):
        compare([plain, plain])
    with pytest.raises(UsageError, match="acuracy"):
        compare([plain, made(tmp_path, wrong_at(40, 2))], ["acuracy"])


def _on_validation(place: Path) -> Run:
    run = made(place, wrong_at(40, 1))
    path = run.path / PREDICTIONS
    path.write_text(path.read_text().replace(",test,", ",val,"))
    return run


def test_what_could_not_be_checked_and_leaks_are_told(tmp_path: Path) -> None:
    old = made(tmp_path, wrong_at(40, 1), pixels="")
    leaky = made(tmp_path, wrong_at(40), leaky=True)
    notes = " ".join(compare([old, leaky])["notes"])
    assert f"pixels could not be checked: {old.id}" in notes and f"{leaky.id} is leaky" in notes


def test_groups_decide_where_there_are_groups(tmp_path: Path) -> None:
    # B alone is right on all ten slices of two patients: twenty slices, but two answers.
    groups = [f"patient {at // 10}" for at in range(100)]
    first, second = wrong_at(100, *range(20)), wrong_at(100)
    alone = compare([made(tmp_path, first), made(tmp_path, second)])
    grouped = compare([made(tmp_path, first, groups=groups), made(tmp_path, second, groups=groups)])
    assert alone["verdict"] == "b" and alone["p_value"] < 0.001
    assert grouped["verdict"] == "not distinguishable" and grouped["p_value"] == 0.25
    assert grouped["test"] == "sign-flip-mid-p-by-group" and "of 10 groups" in grouped["words"]
    found = {each["metric"]: each["test"] for each in grouped["comparisons"]}
    assert found["auc"] == "delong-by-group" and found["f1"] == "paired-bootstrap-by-group"


def arms(place: Path, a: float, b: float, seeds: int, count: int = 200, wobble: float = 0.0) -> list[list[Run]]:
    rng = np.random.default_rng(0)
    hard = rng.random(count)
    found: list[list[Run]] = [[], []]
    for seed in range(seeds):
        for side, level in ((0, a), (1, b)):
            right = hard + rng.normal(0, 0.05, count) < level + rng.normal(0, wobble)
            found[side].append(made(place, right, "ab"[side], seed))
    return found


def test_runs_that_differ_in_the_seed_alone_form_an_arm(tmp_path: Path) -> None:
    first, second = arms(tmp_path, 0.7, 0.9, 3)
    document = compare([*first, *second])
    assert document["verdict"] == "b" and document["test"] == "seeds-t"
    assert [arm["seeds"] for arm in document["arms"]] == [[0, 1, 2], [0, 1, 2]]
    values = document["arms"][0]["metrics"]["accuracy"]
    assert values["mean"] == pytest.approx(np.mean(values["values"])) and values["sd"] == pytest.approx(
        np.std(values["values"], ddof=1)
    )
    found = compare_arms(first, second)
    assert (found.verdict, found.p_value) == ("b", document["p_value"])
    assert found.low < found.difference < found.high and "with 3 pairs of runs" not in found.words
    assert compare_arms(first[:1], second[:1]).test == "mcnemar-mid-p"
    only = compare(first)
    assert (
        only["verdict"] == "not distinguishable"
        and only["difference"] is None
        and "nothing to compare" in only["words"]
    )


def test_what_is_unfrozen_tells_arms_apart(tmp_path: Path) -> None:
    trained = []
    for unfreeze in ("last", "2", "all"):
        for seed in (0, 1):
            run = made(tmp_path, wrong_at(40, seed), seed=seed)
            config = Settings.model_validate({"seed": seed, "last": {"unfreeze": unfreeze}}).model_dump(mode="json")
            run.save_record(RunRecord.model_validate({**run.record.document(), "kind": "finetune", "config": config}))
            trained.append(run)
    assert [len(arm.runs) for arm in arms_of(trained)] == [2, 2, 2]


def test_seeds_that_differ_much_hide_a_difference(tmp_path: Path) -> None:
    first, second = arms(tmp_path / "calm", 0.7, 0.8, 4)
    calm = compare_arms(first, second)
    first, second = arms(tmp_path / "wild", 0.7, 0.8, 4, wobble=0.3)
    wild = compare_arms(first, second)
    assert calm.verdict == "b" and wild.verdict == "not distinguishable"
    assert wild.high - wild.low > 2 * (calm.high - calm.low)


def test_three_arms_are_corrected_after_holm(tmp_path: Path) -> None:
    chosen = [made(tmp_path, wrong_at(100, *range(errors)), name) for name, errors in (("x", 20), ("y", 13), ("z", 12))]
    document = compare(chosen, ["accuracy"])
    assert [each["a"] + each["b"] for each in document["comparisons"]] == ["ab", "ac", "bc"]
    p = [each["p_value"] for each in document["comparisons"]]
    assert [each["p_value_holm"] for each in document["comparisons"]] == pytest.approx([2 * p[0], 3 * p[1], p[2]])
    assert document["verdict"] == "not distinguishable"  # z is the best, but not better than y
    assert "after Holm" in document["words"]


@pytest.mark.parametrize(("seeds", "folds"), [(3, 1), (1, 5), (3, 5)])
def test_copies_of_runs_change_nothing(seeds: int, folds: int) -> None:
    rng = np.random.default_rng(seeds * folds)
    pairs = []
    for fold in range(folds):
        hard, names = rng.random(60), tuple(f"{fold} {at}" for at in range(60))
        for _ in range(seeds):
            level = 0.7 + rng.normal(0, 0.05, 2)
            pairs.append(Pair(*(_answers(hard + rng.normal(0, 0.2, 60) < side) for side in level), names))
    for metric in ("accuracy", "f1"):
        once, twice, partly = (statistics.compare_arms(runs, metric) for runs in (pairs, pairs * 2, [*pairs, pairs[0]]))
        assert once == twice == partly
        assert once.units == 60 * folds and once.design == Design(seeds, folds)
        assert once.test == ("folds-t" if folds > 1 else "seeds-t")


def test_the_scope_of_a_verdict_follows_from_its_design() -> None:
    scopes = {(1, 1): "models", (2, 1): "models", (3, 1): "training set", (1, 4): "models", (1, 5): "methods"}
    assert {key: Design(*key).scope for key in scopes} == scopes


def test_folds_decide_by_the_corrected_resampled_t_test() -> None:
    rng = np.random.default_rng(3)
    pairs = [
        Pair(*(_answers(rng.random(40) < level) for level in (0.6, 0.8)), tuple(f"{fold} {at}" for at in range(40)))
        for fold in range(5)
    ]
    found = statistics.compare_arms(pairs)
    differences = np.array(found.b_values) - np.array(found.a_values)
    t = differences.mean() / np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 4))
    # Trained on fewer images than the other folds have: the correction is larger.
    fewer = statistics.compare_arms([replace(pair, train=100) for pair in pairs])
    assert fewer.p_value > found.p_value


def test_a_margin_is_tested_from_both_sides(tmp_path: Path) -> None:
    runs = [made(tmp_path, wrong_at(400, *range(20)), "a"), made(tmp_path, wrong_at(400, *range(1, 22)), "b")]
    near = compare_runs(runs, (), 2).deciding
    assert near is not None and near.equivalence == "equivalent" and "equivalent within 2 points" in near.words
    assert -0.02 < near.narrow[0] < near.narrow[1] < 0.02 and near.low < near.narrow[0]
    worse = compare_runs([runs[0], made(tmp_path, wrong_at(400, *range(1, 30)), "c")], (), 1).deciding
    assert worse is not None and worse.equivalence == "a at most worse"
    assert "A (001-a) is at most 1 points worse" in worse.words
    document = compare(runs, ["log_loss"], 5)
    assert document["margin"]["value"] == 0.05
    with pytest.raises(UsageError, match="negative"):
        compare(runs, (), -1)


def test_only_the_primary_metric_decides(tmp_path: Path) -> None:
    runs = [made(tmp_path, wrong_at(100, *range(20, 35)), "a"), made(tmp_path, wrong_at(100, 1), "b")]
    found = {each["metric"]: each["verdict"] for each in compare(runs)["comparisons"]}
    assert found.pop("accuracy") == "b" and set(found.values()) == {"descriptive"}


def test_top_k_of_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="three or more classes"):
        compare([made(tmp_path, wrong_at(40, 1)), made(tmp_path, wrong_at(40, 2))], ["top_k"])


def test_few_groups_are_a_warning(tmp_path: Path) -> None:
    groups = [f"patient {at // 10}" for at in range(90)]
    runs = [made(tmp_path, wrong_at(90, at), str(at), groups=groups) for at in (1, 2)]
    assert any("only 9 groups" in note for note in compare(runs)["notes"])


def _answers(right: np.ndarray) -> PredictionSet:
    targets = np.arange(len(right)) % 2
    return PredictionSet(targets, np.eye(2)[np.where(right, targets, 1 - targets)], Units.from_groups([], len(right)))


def test_the_command_from_training_to_verdict(
    toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "ws"
    for seed in (0, 1):
        Workspace(place, data=photos, settings={**QUICK, "seed": seed}).finetune("timm:arch=test_resnet")
    done = toolbox("compare", 1, 2, "-C", place, "--json")
    assert done.code == 0, done.stderr
    document = done.document
    assert document["schema"] == 1 and document["verdict"] in ("a", "b", "not distinguishable")
    assert not any("pixels" in note for note in document["notes"])
    shown = toolbox("compare", 1, 2, "-C", place)
    assert "McNemar, mid-p" in shown.stdout and "2 times" in shown.stdout
    monkeypatch.setenv("COLUMNS", "80")
    narrow = toolbox("compare", 1, 2, "-C", place).stdout
    assert "log loss" in narrow.partition("difference")[0].partition("95 %")[0]
    Workspace(tmp_path / "ws", data=photos, settings={**QUICK, "split.seed": 5}).finetune("timm:arch=test_resnet")
    refused = toolbox("compare", 1, 3, "-C", place)
    assert refused.code == 4 and "different images" in refused.stderr


def test_looks_at_a_test_set_are_counted(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws", data=photos, settings=QUICK)
    run = ws.finetune("timm:arch=test_resnet")
    assert run.evaluation.looks is not None and run.evaluation.looks.count == 1
    again = ws.evaluate().looks
    assert again is not None and (again.test_set, again.count, again.by_run) == (run.evaluation.looks.test_set, 2, 2)
    path = tmp_path / "ws" / FILE_NAME
    path.write_text(path.read_text() * (MANY // 2) + '{"test_set": "cut')
    seen = uses_of(ws.run())
    assert seen is not None and seen.count == MANY and "validation set" in seen.words
    assert ("uses of its test set", "20, 20 of them by this run") in run_view(ws.run()).facts
    assert "validation set" in toolbox("evaluate", "-C", tmp_path / "ws").stdout


def test_an_arm_that_is_always_right_wins_however_many_seeds_say_so() -> None:
    """No sample and no seed differs from another: there is no variance to divide by, and no doubt either."""
    wrong, right = _answers(np.zeros(60, dtype=bool)), _answers(np.ones(60, dtype=bool))
    names = tuple(map(str, range(60)))
    found = statistics.compare_arms([Pair(wrong, right, names)] * 3)
    assert found.verdict == "b" and found.low > 0.85 and found.p_value < 1e-9
    same = statistics.compare_arms([Pair(right, right, names)] * 3)
    assert same.verdict == "not distinguishable" and same.low < 0 < same.high


def test_groups_that_all_say_the_same_have_an_interval_on_their_side() -> None:
    targets = np.arange(40) % 2
    units = Units(np.arange(40) // 4, 10, True)
    right = np.eye(2)[targets]
    found = statistics.compare_pair(PredictionSet(targets, 1 - right, units), PredictionSet(targets, right, units))
    assert found.difference == 1 and 0 < found.low < found.high == pytest.approx(1) and found.verdict == "b"
