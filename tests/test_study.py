"""Studies: a file becomes runs, finished runs are not run again, a failed one stops no other, arms are compared."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.background import start_command
from tests.conftest import Toolbox
from toolbox import Study
from toolbox.api.errors import UsageError
from toolbox.plugin.engines import build_engine
from toolbox.plugin.registry import Registry
from toolbox.runs.folder import EVALUATION, HISTORY, PREDICTIONS, RUN, Run
from toolbox.runs.predictions import Predictions
from toolbox.study import file as files
from toolbox.study import ledger

SMALL = """
name = "small"
question = "does augmentation help?"
seeds = [0, 1]

[base]
data = "phantom:subjects=20,slices=3,size=32"
model = "alzheimer-cnn"
epochs = 1
training.size = 32
training.early_stopping = false
audit.near = false
augment.factor = 2
augment.size = 32

[arms.originals]
[arms.augmented]
training.train_on = "augmented"

[matrix]
"split.protocol" = ["split-then-augment", "augment-then-split"]

[[exclude]]
arm = "originals"
"split.protocol" = "augment-then-split"

[[compare]]
a = "originals"
b = "augmented"
"""


def write(folder: Path, text: str = SMALL) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_arms_times_matrix_times_seeds_less_what_is_excluded(tmp_path: Path) -> None:
    plan = Study(write(tmp_path), workspace=tmp_path).plan
    names = {run.name for run in plan.runs}
    assert len(plan.runs) == len(names) == 6 and len({run.key for run in plan.runs}) == 6
    assert "originals, split-then-augment, seed 1" in names
    assert not any("originals, augment-then-split" in name for name in names)
    # Those of one split stand together.
    splits = [run.split_key for run in plan.runs]
    assert len(set(splits)) == 2 and splits == sorted(splits, key=splits.index)


def test_folds_are_runs_of_their_own(tmp_path: Path) -> None:
    text = SMALL.replace("seeds = [0, 1]", "seeds = [0]\nfolds = 3")
    plan = Study(write(tmp_path, text), workspace=tmp_path).plan
    assert {run.fold for run in plan.runs} == {0, 1, 2} and len({run.split_key for run in plan.runs}) == 6


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds =", "sedes =", "no key of a study is called 'sedes'"),
        ("training.size", "training.sise", "no setting is called 'training.sise'"),
        ('b = "augmented"', 'b = "augmentde"', "there is no arm 'augmentde'"),
        ('arm = "originals"\n"split', '"split.test" = 1\n"split', "neither 'arm' nor a key of [matrix]"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "different whole numbers"),
        ('model = "alzheimer-cnn"', 'model = "alzheimer-cn"', "alzheimer-cn"),
        ("epochs = 1", "epochs = -1", "epochs"),
        ("audit.near", "seed = 3\naudit.near", "seeds and folds belong to the study"),
        ("[matrix]", "[matrix", "not valid TOML"),
        ('b = "augmented"', 'b = ["augmented"]', "compare.0.b: input should be a valid string"),
        ('b = "augmented"', 'b = "augmented"\nmetric = "acuracy"', "can't be compared by 'acuracy'"),
        ('model = "alzheimer-cnn"', "model = 5", "model is 5"),
        ('model = "alzheimer-cnn"', 'model = "alzheimer-cnn"\nunfreeze_last = "no"', "unfreeze_last is 'no'"),
        ("[matrix]", f"[matrix]\n'training.lr' = {[1] * 900}\n'training.epochs' = {[1] * 900}", "combinations"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SMALL
    with pytest.raises(UsageError) as caught:
        Study(write(tmp_path, SMALL.replace(old, new, 1)), workspace=tmp_path).plan  # noqa: B018
    assert words in caught.value.message


@pytest.mark.parametrize("key", ["exclude", "compare"])
def test_lists_that_are_none_are_told(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"{key}: input should be a valid list"):
        files.read(write(tmp_path, f"{key} = 5"))


def test_a_ledger_with_spoilt_lines_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    ledger.append(tmp_path, {"key": ["a"], "status": "finished", "run": "x"})
    ledger.append(tmp_path, {"key": "b", "status": "finished", "run": 5})
    ledger.append(tmp_path, {"key": "c", "status": "finished", "run": "x"})
    assert list(ledger.read(tmp_path)) == ["c"]


def test_two_arms_that_are_the_same_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are the same experiment"):
        Study(write(tmp_path, SMALL.replace('training.train_on = "augmented"\n', "")), workspace=tmp_path).plan  # noqa: B018


def test_arms_may_differ_in_a_setting_that_changes_no_result(tmp_path: Path) -> None:
    arms = SMALL.replace("[arms.originals]", "[arms.originals]\n[arms.one-thread]\nthreads = 1")
    plan = Study(write(tmp_path, arms), workspace=tmp_path).plan
    assert len({run.key for run in plan.runs}) == len(plan.runs) == 10


def engine_in_a_job(spec: str) -> str:
    try:
        return type(build_engine(Registry(), spec)).__name__
    except UsageError as error:
        return error.message


def test_a_job_uses_the_engine_of_the_settings_unless_that_starts_processes(registry: Registry) -> None:
    jobs = registry.engine("processes:workers=1")
    names = list(jobs.map(engine_in_a_job, ["auto", "inline", "processes:workers=2", "inlin"]))
    assert names[:3] == ["Inline", "Inline", "Inline"] and "inlin" in names[3]


def test_unfreeze_last_of_older_files_is_a_setting_and_keeps_its_runs(tmp_path: Path) -> None:
    base = "data = 'phantom:subjects=20,slices=3,size=32'\nmethod = 'finetune'\nmodel = 'timm:arch=test_resnet'"
    start = f"name = 'tuned'\nseeds = [0]\n[base]\n{base}\n"
    older = Study(write(tmp_path, f"{start}[arms.head]\n[arms.last]\nunfreeze_last = true\n"), workspace=tmp_path).plan
    # The keys of the version before, so that a study which it began is continued.
    assert [run.key for run in older.runs] == ["004b12e3564f", "69403da12eae"]
    text = f"{start}[arms.a]\n[matrix]\n'last.unfreeze' = ['none', 'last', 'all', 2]\n"
    newer = Study(write(tmp_path, text), workspace=tmp_path).plan
    assert [run.key for run in newer.runs][:2] == [run.key for run in older.runs]
    assert len({run.key for run in newer.runs}) == 4


def test_built_in_studies(toolbox: Toolbox, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [study["name"] for study in toolbox("study", "list", "--json").document["studies"]]
    assert names == ["alzheimer", "cats-dogs", "quick"]
    for name in names:
        study = Study(name, data=photos)
        assert study.plan.runs and study.file.compare and study.file.question
        assert name in toolbox("study", "list").stdout
        assert toolbox("study", "show", name).stdout == study.file.path.read_text("utf-8")
    assert toolbox("study", "show", name, "--json").document["toml"] == study.file.path.read_text("utf-8")


def test_a_new_study_is_a_copy_for_editing(toolbox: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = toolbox("study", "new", "quick", "--json")
    assert written.document["path"] == "quick.toml" and Study("quick.toml").plan.runs
    assert (tmp_path / "quick.toml").read_text("utf-8") == Study("quick").file.path.read_text("utf-8")
    again = toolbox("study", "new", "quick")
    assert again.code == 2 and "quick.toml already exists" in again.stderr
    assert toolbox("study", "new", "quick", "mine.toml").code == 0 and (tmp_path / "mine.toml").is_file()


def test_a_study_of_ones_own_pictures_asks_for_them(toolbox: Toolbox, tmp_path: Path) -> None:
    plan = toolbox("study", "plan", "cats-dogs", "-C", tmp_path)
    assert plan.code == 2 and "has no dataset of its own" in plan.stderr and "--data FOLDER" in plan.stderr
    unknown = toolbox("study", "plan", "cats-dog", "-C", tmp_path)
    assert unknown.code == 2 and "'cats-dogs'" in unknown.stderr


def test_the_whole_way_and_nothing_twice(toolbox: Toolbox, tmp_path: Path) -> None:
    path, ws = write(tmp_path), tmp_path / "ws"
    planned = toolbox("study", "plan", path, "-C", ws, "--json")
    assert planned.code == 0 and len(planned.document["runs"]) == 6 and planned.document["seconds"] > 0
    assert not ws.exists()
    first = toolbox("study", "run", path, "-C", ws, "--json")
    assert first.code == 0, first.stderr
    cells = {cell["name"]: cell for cell in first.document["cells"]}
    leaky = cells["augmented, augment-then-split"]
    assert leaky["leaky"] and not cells["originals, split-then-augment"]["leaky"]
    assert all(cell["runs"] == 2 and cell["low"] <= cell["value"] <= cell["high"] for cell in cells.values())
    (compared,) = first.document["comparisons"]
    assert compared["verdict"] in ("a", "b", "not distinguishable") and "originals" in compared["title"]
    (leakage,) = first.document["leakage"]
    assert leakage["low"] <= leakage["difference"] <= leakage["high"]
    again = toolbox("study", "run", path, "-C", ws, "--json")
    assert again.document == first.document and "6 of 6 runs are already finished" in again.stderr
    shown = toolbox("study", "report", path, "-C", ws).stdout
    assert "How much of the accuracy was leakage" in shown and "without leaks" in shown
    assert "6 finished" in toolbox("study", "status", path, "-C", ws).stdout
    page = (ws / "studies" / "small" / "report.html").read_text()
    assert "How much of the accuracy was leakage" in page and "does augmentation help?" in page


def test_finished_runs_outlive_a_change_of_the_plan(toolbox: Toolbox, tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("[arms.augmented]")].replace("seeds = [0, 1]", "seeds = [0, 1, 2]")
    path, ws = write(tmp_path, text), tmp_path / "ws"
    assert toolbox("study", "run", path, "-C", ws).code == 0
    folder = ws / "studies" / "small"
    finished = {run: (run / RUN).read_bytes() for run in sorted(folder.glob("splits/*/runs/*"))}
    assert len(finished) == 3
    cut_off, unreadable, empty = (next(iter(finished)).parent / name for name in ("007-x", "008-x", "009-x"))
    for run in (cut_off, unreadable, empty):
        run.mkdir()
    record = json.loads(next(iter(finished.values())))
    (cut_off / RUN).write_text(json.dumps({**record, "status": "running"}))
    (unreadable / RUN).write_text('{"id": "008-x", ')
    (empty / ".run.json.abc.tmp").touch()
    write(tmp_path, text.replace("seeds = [0, 1, 2]", "seeds = [0]"))
    assert toolbox("study", "run", path, "-C", ws).code == 0
    assert toolbox("study", "run", path, "-C", ws, "--set", "split.seed=5").code == 0
    assert {run: (run / RUN).read_bytes() for run in finished} == finished
    assert not cut_off.exists() and unreadable.exists() and not empty.exists()


def test_status_looks_into_the_folders_of_finished_runs(toolbox: Toolbox, tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("[arms.augmented]")]
    path, ws = write(tmp_path, text), tmp_path / "ws"
    assert toolbox("study", "run", path, "-C", ws).code == 0
    first = next(iter(ledger.read(ws / "studies" / "small").values()))
    for name in (".", PREDICTIONS, EVALUATION):
        lost = ws / "studies" / "small" / first.run / name
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        shown = toolbox("study", "status", path, "-C", ws, "--json")
        assert sorted(run["status"] for run in shown.document["runs"]) == ["finished", "missing"]
        assert "1 missing, 1 finished" in toolbox("study", "status", path, "-C", ws).stdout
        assert toolbox("study", "run", path, "-C", ws).code == 0
        assert "2 finished" in toolbox("study", "status", path, "-C", ws).stdout
        first = next(entry for entry in ledger.read(ws / "studies" / "small").values() if entry.key == first.key)


def test_a_killed_study_goes_on_and_ends_the_same(toolbox: Toolbox, tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = toolbox("study", "run", path, "-C", tmp_path / "whole", "--json").document
    killed = tmp_path / "killed"
    process = start_command("study", "run", path, "-C", killed, "--quiet", leads_session=True)
    folder = killed / "studies" / "small"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.running:
        if sum(entry.status == "finished" for entry in ledger.read(folder).values()) >= 2:
            break
        time.sleep(0.02)
    process.kill_session()
    process.wait()
    with (folder / ledger.FILE_NAME).open("ab") as file:
        file.write(b'{"key": "cut off')
    resumed = toolbox("study", "run", path, "-C", killed, "--json")
    assert resumed.code == 0 and "runs are already finished" in resumed.stderr

    def figures(document: dict[str, object]) -> str:
        text = json.dumps({name: document[name] for name in ("cells", "comparisons", "leakage")})
        return text.replace(str(killed), "").replace(str(tmp_path / "whole"), "")

    assert figures(resumed.document) == figures(whole)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_stops_the_study_and_not_one_run(toolbox: Toolbox, tmp_path: Path, jobs: int) -> None:
    path, ws = write(tmp_path), tmp_path / "ws"
    process = start_command("study", "run", path, "-C", ws, "--jobs", jobs)
    folder = ws / "studies" / "small"
    while process.running and not any(e.status == "started" for e in ledger.read(folder).values()):
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert "interrupted" in process.stderr and "Traceback" not in process.stderr
    assert not any(entry.status == "failed" for entry in ledger.read(folder).values())


def test_a_run_that_fails_stops_no_other(toolbox: Toolbox, tmp_path: Path) -> None:
    text = SMALL.replace("[arms.originals]", '[arms.originals]\nmethod = "finetune"\ntraining.weights = "/nowhere.pth"')
    done = toolbox("study", "run", write(tmp_path, text), "-C", tmp_path / "ws", "--json")
    assert done.code == 1
    cells = {cell["name"]: cell for cell in done.document["cells"]}
    assert cells["originals, split-then-augment"]["failed"] == 2
    assert cells["augmented, split-then-augment"]["runs"] == 2
    assert len(done.document["failures"]) == 2 and "nowhere.pth" in done.document["failures"][0][1]


def test_a_plan_tells_what_can_not_be_run_here(toolbox: Toolbox, tmp_path: Path, photos: Path) -> None:
    arm = '[arms.originals]\nmethod = "finetune"\nmodel = "timm:arch=test_vit"'
    text = SMALL.replace("[arms.originals]", arm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        told = toolbox("study", "plan", write(tmp_path, text), "--data", photos, "-C", tmp_path / "ws")
    assert told.code == 0 and "not available" in told.stdout and "in all" in told.stdout


def test_other_data_without_editing_the_file(toolbox: Toolbox, photos: Path, tmp_path: Path) -> None:
    text = SMALL.replace("seeds = [0, 1]", "seeds = [0]")
    done = toolbox("study", "run", write(tmp_path, text), "--data", photos, "-C", tmp_path / "ws", "--json")
    assert done.code == 0, done.stderr
    run = Path(done.document["cells"][0]["paths"][0])
    assert json.loads((run / "run.json").read_text())["data"]["spec"] == str(photos)


@pytest.mark.slow  # two processes that import torch, and enough copies to make an engine start more of them
def test_splits_side_by_side_give_the_same_as_one_after_the_other(toolbox: Toolbox, tmp_path: Path) -> None:
    # More copies than are worth processes of their own: a job must not start any.
    text = SMALL.replace("seeds = [0, 1]", "seeds = [0]").replace("augment.factor = 2", "augment.factor = 60")
    path = write(tmp_path, text)
    one, two = (
        toolbox("study", "run", path, "--jobs", jobs, "-C", tmp_path / f"jobs-{jobs}", "--set", "threads=1", "--json")
        for jobs in (1, 2)
    )
    assert one.code == two.code == 0, two.stderr
    values = [[cell["value"] for cell in done.document["cells"]] for done in (one, two)]
    assert values[0] == pytest.approx(values[1]) and two.document["failures"] == []


def test_a_history_and_predictions_that_were_spoilt(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (tmp_path / HISTORY).write_bytes(b'{"epoch": 1}\nnull\n\xff\n')
    assert run.history() == [{"epoch": 1}]
    (tmp_path / PREDICTIONS).write_bytes(b"\xff\xfeid,path")
    with pytest.raises(UsageError, match="no file of predictions"):
        Predictions.read(tmp_path / PREDICTIONS)
