"""What a press of TAB offers, by the shells' own protocol, and what it costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import broken
from tests.background import finish_command
from tests.test_startup import HEAVY
from toolbox.cli.completion import joined

MODULES = """
import atexit, sys
atexit.register(lambda: print(" ".join(sorted(sys.modules)), file=open({file!r}, "w")))
from toolbox.cli.app import run
sys.exit(run([]))
"""


def pressed(*words: str, cwd: Path | None = None, shell: str = "bash", **variables: str) -> list[str]:
    """What is offered for the last of ``words``, as the shell's completion function asks for it."""
    asked = {
        "bash": {"COMP_WORDS": "\n".join(["toolbox", *words]), "COMP_CWORD": str(len(words))},
        "fish": {"_TYPER_COMPLETE_ARGS": " ".join(["toolbox", *words]), "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    env = {**asked[shell], "_TOOLBOX_COMPLETE": f"complete_{shell}", **variables}
    done = finish_command(cwd=cwd, env=env)
    assert (done.code, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_component_and_its_parameters() -> None:
    assert pressed("augment", "--augmenter", "alz") == ["alzheimer"]
    assert "vgg16" in pressed("train", "") and pressed("finetune", "resn") == ["resnet50"]
    assert pressed("train", "alzheimer-cnn:variant=", shell="fish")[0].startswith("alzheimer-cnn:variant=proposed\t")
    # With the default beside it there are two, and the shell puts no space after the equals sign.
    assert pressed("augment", "--augmenter", "alzheimer:ro") == ["alzheimer:rotation=", "alzheimer:rotation=15.0"]
    given = pressed("augment", "--augmenter", "alzheimer:rotation=10,")
    assert "alzheimer:rotation=10,shear=" in given and not [word for word in given if "10,rotation" in word]


def test_as_bash_divides_words() -> None:
    assert pressed("augment", "--augmenter", "alzheimer", ":", "ro") == ["rotation=", "rotation=15.0"]
    assert "shear=" in pressed("augment", "--augmenter", "alzheimer", ":")
    borders = pressed("augment", "--augmenter", "=", "mri", ":", "border", "=")
    assert borders == ["reflect", "replicate", "constant"]
    assert pressed("train", "alzheimer-cnn", ":", "bias", "=", "1,fil") == ["1,filters=", "1,filters=32"]
    assert joined(["toolbox", "train", ""], 2) == (["toolbox", "train", ""], 2, "")
    assert joined(["toolbox", "train"], 2) == (["toolbox", "train", ""], 2, "")


def test_settings_kinds_plugins_commands_and_data(tmp_path: Path) -> None:
    names = pressed("augment", "--set", "augm")
    assert "augment.factor=" in names and "augment.augmenter=" in names
    assert pressed("train", "--set", "training.optimizer", "=", "ad") == ["adam", "adamw"]
    assert "training.compile=true" in pressed("train", "--set", "training.comp")
    assert pressed("show", "") == ["dataset", "augmenter", "model", "evaluator", "tracker", "engine"]
    assert "mixup" in pressed("show", "augmenter", "") and pressed("show", "models", "vgg") == ["vgg16"]
    assert pressed("plugins", "disable", "kor") == ["kornia"] and pressed("plugins", "unins") == ["uninstall"]
    (tmp_path / "photos").mkdir()
    assert pressed("data", "inspect", "--data", "ph", cwd=tmp_path) == ["phantom", "photos"]
    assert pressed("show", "nonsense", "x") == pressed("augment", "--augmenter", "nonsense:x") == []


def test_runs_of_the_workspace(tmp_path: Path) -> None:
    for name in ("001-vgg16", "002-resnet50"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}", "utf-8")
    assert pressed("evaluate", "", cwd=tmp_path) == ["001-vgg16", "002-resnet50"]
    assert pressed("compare", "-C", str(tmp_path), "001-vgg16", "002") == ["002-resnet50"]
    for command in ("export", "predict", "report"):
        assert pressed(command, "002", cwd=tmp_path) == ["002-resnet50"]
    assert pressed("train", "--resume", "001", cwd=tmp_path) == ["001-vgg16"]


@pytest.mark.parametrize(
    "words",
    [
        ["augment", "--augmenter", "alzh"],
        ["finetune", "tim"],
        ["train", "--data", "dico"],
        ["show", "model", ""],
        ["train", "--set", "training.schedule="],
    ],
)
def test_nothing_heavy_is_imported(words: list[str], tmp_path: Path) -> None:
    env = {"COMP_WORDS": "\n".join(["toolbox", *words]), "COMP_CWORD": str(len(words))}
    file = tmp_path / "modules"
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(file=str(file))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **env, "_TOOLBOX_COMPLETE": "complete_bash"},
    )
    assert done.stdout.strip()
    imported = file.read_text("utf-8").split()
    assert {name.partition(".")[0] for name in imported}.isdisjoint(set(HEAVY) - {"pluggy"})
    assert not [name for name in imported if name.startswith("toolbox_") and ".heavy" in name]


def test_broken_plugins_neither_fail_nor_talk(tmp_path: Path) -> None:
    env = broken.install_all(tmp_path)
    assert pressed("augment", "--augmenter", "alz", **env) == ["alzheimer"]
    assert "raises" in pressed("plugins", "uninstall", "rai", **env)


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash and a terminal")
def test_in_a_real_bash(tmp_path: Path) -> None:
    """Typed into bash with its own completion script: TAB, then Enter, and what the command is then given."""
    import pty

    shim = tmp_path / "toolbox"
    shim.write_text(
        "#!/bin/bash\n"
        f'[ -n "$_TOOLBOX_COMPLETE" ] && exec {sys.executable} -m toolbox "$@"\n'
        f'printf "%s\\n" "$@" > {tmp_path}/given\n',
        "utf-8",
    )
    shim.chmod(0o755)
    script = subprocess.run(
        [sys.executable, "-m", "toolbox"],
        env={**os.environ, "_TOOLBOX_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (tmp_path / "script").write_text(script, "utf-8")
    typed = "toolbox augment --augmenter alzh\t--set augment.fac\t3 --augmenter mri:gam\t1,bor\tcon\t\nexit\n"
    wanted = "augment --augmenter alzheimer --set augment.factor=3 --augmenter mri:gamma=1,border=constant"
    ours, theirs = pty.openpty()
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb"}
    shell = subprocess.Popen(["bash", "--norc", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    try:
        os.write(ours, f"source {tmp_path}/script\n".encode())
        os.write(ours, typed.encode())
        shell.wait(timeout=60)
    finally:
        shell.kill()
        os.close(ours)
        os.close(theirs)
    assert (tmp_path / "given").read_text("utf-8").split() == wanted.split()
