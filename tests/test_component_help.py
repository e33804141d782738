"""``--help`` with a component on the line: its parameters in a panel of its own, and no torch for it."""

from __future__ import annotations

import pytest

from tests.conftest import Toolbox
from tests.test_startup import modules_after


@pytest.mark.parametrize(
    ("words", "panels"),
    [
        (["augment", "--augmenter", "mri:noise=1"], {"augmenter mri, of plugin kornia": "ghosting="}),
        (
            ["finetune", "timm", "--evaluator=errors", "--data", "phantom"],
            {
                "model timm, of plugin timm": "arch=",
                "evaluator errors, of plugin errors": "count=",
                "dataset phantom, of plugin phantom": "shuffle_labels=",
            },
        ),
        (["train", "vgg16"], {"model vgg16, of plugin timm": "'toolbox show model vgg16'"}),
    ],
)
def test_a_panel_for_each_component(toolbox: Toolbox, words: list[str], panels: dict[str, str]) -> None:
    done = toolbox(*words, "--help")
    assert done.code == 0
    for title, content in panels.items():
        assert content in done.stdout.partition(title)[2].partition("╰")[0]
    assert modules_after(*words, "--help").isdisjoint({"torch", "timm", "kornia"})


def test_without_a_component_and_with_an_unknown_one(toolbox: Toolbox, tmp_path: object) -> None:
    plain = toolbox("train", "--help").stdout
    assert ", of plugin" not in plain and "--augmenter mri --help" in plain
    assert toolbox("train", "--data", tmp_path, "--help").stdout == plain
    assert "Did you mean 'vgg16'?" in toolbox("train", "vgg17", "--help").stdout
