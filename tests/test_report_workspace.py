"""The report of a real workspace: seeds as arms, an audit, an external test, copies; as a page, Markdown and JSON."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import Toolbox, write_photos
from tests.report_examples import ATTRIBUTE, SCRIPT, Page, full, hostile
from toolbox.report import markdown
from toolbox.report.comparing import comparisons
from toolbox.report.document import document
from toolbox.report.formats import write
from toolbox.runs.folder import find_runs
from toolbox.workspace import Workspace

MODEL = "timm:arch=test_resnet"
QUICK = {
    "training.pretrained": False,
    "training.size": 32,
    "training.batch_size": 8,
    "head.epochs": 2,
    "augment.factor": 2,
    "augment.size": 32,
    "augment.quality": 90,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds on originals, two on copies, one run on another split, an external test of the first."""
    folder = tmp_path_factory.mktemp("made")
    photos, ws = write_photos(folder / "photos", per_class=24), folder / "ws"
    (photos / "LICENSE.txt").write_text("Free for <b>all</b>.\n\nNo warranty.\n")

    def place(**settings: object) -> Workspace:
        given = {**QUICK, **{name.replace("__", "."): value for name, value in settings.items()}}
        return Workspace(ws, data=photos, settings=given, command=f"toolbox finetune {MODEL} -C {ws}")

    for seed in (0, 1):
        place(seed=seed, training__train_on="originals").finetune(MODEL)
    place().augment()
    for seed in (0, 1):
        place(seed=seed, training__train_on="augmented").finetune(MODEL)
    assert not place().audit.leaks
    other = folder / "other"
    shutil.copytree(photos, other)
    (other / "LICENSE.txt").unlink()
    place().evaluate("1", data=other)
    Workspace(folder / "elsewhere", data=photos, settings={**QUICK, "split.seed": 5}).finetune(MODEL)
    shutil.copytree(next((folder / "elsewhere" / "runs").iterdir()), ws / "runs" / "000-stranger")
    return ws


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return Workspace(made).report().read_text("utf-8")


def test_seeds_are_arms_and_strangers_are_refused_with_the_reason(made: Path, page: str) -> None:
    (found,), refused = comparisons(find_runs(made))
    assert [[run.id[:3] for run in arm.runs] for arm in found.arms] == [["001", "002"], ["003", "004"]]
    assert all(
        arm.sd("accuracy") is not None and arm.name.endswith(f"2 seeds (arm {arm.letter})") for arm in found.arms
    )
    assert found.comparisons[0].test in ("seeds-t", "mcnemar-mid-p")
    assert len(refused) == 1 and "000-stranger and 001-timm were tested on different images" in refused[0]
    text = Page(page).text
    assert (
        "trained on augmented" in text
        and "what differs: trained on (originals, augmented)" in text
        and "SD between seeds" in text
        and "different images" in text
    )
    assert text.count("not distinguishable") + text.count("is better") > 1 and text.count("descriptive") > 3


def test_more_arms_than_four_are_compared_with_holm_by_what_decides(made: Path, tmp_path: Path) -> None:
    chosen = []
    for number in range(6):
        shutil.copytree(made / "runs" / "001-timm", tmp_path / "runs" / f"{number + 1:03d}")
        record = tmp_path / "runs" / f"{number + 1:03d}" / "run.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "model": f"m{number}"}))
    chosen = find_runs(tmp_path)
    (found,), _ = comparisons(chosen)
    assert len(found.comparisons) == 15 and {each.metric for each in found.comparisons} == {"accuracy"}
    assert all(each.adjusted is not None for each in found.comparisons)


def test_the_data_section_tells_split_licence_audit_and_looks(made: Path, page: str) -> None:
    text = Page(page).text
    assert "No leaks" in text and "different pictures were described" in text
    assert {"audit.json", "audit.html"} <= {a["href"] for a in Page(page).all("a")}
    assert "Free for <b>all</b>. No warranty." in text and "LICENSE.txt" in text
    assert re.search(r"uses of the test set\s*4", text)
    assert "of these images were trained on" in text


def test_an_audit_of_another_split_is_not_shown_as_this_one(made: Path, tmp_path: Path) -> None:
    ws = Path(shutil.copytree(made, tmp_path / "ws"))
    audit = ws / "audit.json"
    audit.write_text(audit.read_text().replace('"manifest": "', '"manifest": "0'))
    assert "of other data or another split" in Page(Workspace(ws).report(["1"]).read_text("utf-8")).text
    audit.write_text("{")
    assert "Not audited" in Page(Workspace(ws).report(["1"]).read_text("utf-8")).text
    leaky = {"kind": "identical-bytes", "paths": ["a", "b"], "splits": ["train", "test"], "count": 9, "leak": True}
    kept = json.loads((made / "audit.json").read_text())
    audit.write_text(json.dumps({**kept, "leaks_by_kind": {"identical-bytes": 1}, "groups": [leaky]}))
    text = Page(Workspace(ws).report(["1"]).read_text("utf-8")).text
    assert "1 leak." in text and "the same file: a (train), b (test) and 7 more" in text


def test_without_images_no_picture_of_the_data_is_in_it(made: Path, page: str, toolbox: Toolbox) -> None:
    assert "<img" in page and "data:image" in page
    output = made / "plain.html"
    assert toolbox("report", "1", "3", "-C", made, "--no-images", "-o", output).code == 0
    plain = output.read_text("utf-8")
    assert "<img" not in plain and "data:image" not in plain and "audit.html" not in plain
    assert "Confusion matrix" in plain and "No leaks" in plain


def test_the_steps_make_the_same_again(made: Path, page: str, toolbox: Toolbox) -> None:
    (command,) = re.findall(r"<code>(toolbox augment.*?)</code>", page)
    words = shlex.split(command.replace("&#39;", "'").replace("&#34;", '"'))
    again = toolbox(*words[1:], "--json")
    assert again.code == 0, again.stderr
    assert again.document["written"] == 0 and again.document["skipped"] > 0
    assert page.count(f"<code>toolbox finetune {MODEL}") == 4
    assert "toolbox evaluate 001-" in page


def test_figures_are_kept_with_their_data(made: Path, page: str) -> None:
    names = {path.name for path in (made / "runs" / "003-timm" / "figures").iterdir()}
    for stem in ("learning-curve-loss", "learning-curve-accuracy", "confusion-matrix", "roc", "classes-after"):
        assert {f"{stem}.svg", f"{stem}.png", f"{stem}.csv"} <= names
    assert "classes-before.csv" in names


def test_the_page_of_five_runs_is_small(page: str) -> None:
    assert len(page.encode()) < 2_000_000


def test_json_and_markdown_hold_what_the_page_holds(made: Path, toolbox: Toolbox) -> None:
    done = toolbox("report", "1", "2", "3", "4", "-C", made, "--format", "json")
    assert done.code == 0, done.stderr
    found = json.loads((made / "report.json").read_text("utf-8"))
    assert found["schema"] == 1 and [run["id"][:3] for run in found["runs"]] == ["001", "002", "003", "004"]
    assert found["runs"][0]["metrics"]["accuracy"]["value"] is not None
    words = found["comparisons"][0]["words"]
    assert words in found["summary"]["limits"]
    assert toolbox("report", "1", "2", "3", "4", "-C", made, "--format", "md").code == 0
    text = (made / "report.md").read_text("utf-8")
    assert words in text.replace("\\", "")
    assert MarkdownIt("commonmark").enable("table").render(text).count("<table>") >= 10


def test_an_unknown_form_is_told_before_anything_is_read(toolbox: Toolbox, made: Path) -> None:
    done = toolbox("report", "-C", made, "--format", "htm")
    assert done.code == 2 and "Did you mean 'html'?" in done.stderr


def test_a_spoilt_evaluation_is_one_line(made: Path, toolbox: Toolbox, tmp_path: Path) -> None:
    ws = Path(shutil.copytree(made, tmp_path / "ws"))
    (ws / "runs" / "002-timm" / "evaluation-0.json").write_text("{}")
    done = toolbox("report", "-C", ws)
    assert done.code == 2 and "evaluation-0.json is damaged at run: Field required" in done.stderr
    (ws / "runs" / "002-timm" / "evaluation-0.json").unlink()
    (ws / "runs" / "001-timm" / "predictions.csv").unlink()
    done = toolbox("report", "1", "2", "-C", ws, "--json")
    assert done.code == 0 and done.document["comparisons"] == [] and "predictions.csv" in done.document["refused"][0]


def test_hostile_names_are_text_in_markdown_too() -> None:
    text = markdown.render(hostile())
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    assert not [token for token in flat if token.type in ("html_block", "html_inline", "image", "link_open")]
    words = "".join(token.content for token in flat if token.type in ("text", "text_special"))
    assert SCRIPT in words and ATTRIBUTE in words and "[red]" in words
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text) and text.encode("utf-8")
    fenced = MarkdownIt("commonmark").parse(markdown.code("a\n```\n# b"))
    assert [(token.type, token.content) for token in fenced] == [("fence", "a\n```\n# b\n")]


def test_hostile_names_and_undefined_values_are_json(tmp_path: Path) -> None:
    write(hostile(), tmp_path / "report.json", "json")
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["runs"][0]["id"] == SCRIPT and found["runs"][0]["metrics"]["precision"]["value"] is None
    assert document(full())["runs"][1]["history"][0]["epoch"] == 1


def test_the_terminal_says_the_same(made: Path, toolbox: Toolbox) -> None:
    done = toolbox("report", "1", "3", "-C", made)
    assert done.code == 0
    assert re.search(r"accuracy +[+−]\d+\.\d points", done.stdout) and "⠒" in done.stdout
    text = " ".join(done.stdout.split())
    assert "not distinguishable" in text or "is better" in text
    assert text.endswith("report.html")
