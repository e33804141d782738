"""Files that the user names: only the toolbox's own are replaced; devices, pipes and links stay what they are."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.conftest import Finished, Toolbox, write_photos
from toolbox.files import atomic
from toolbox.files.outputs import check_output
from toolbox.workspace import Workspace

SETTINGS = {"training.size": 32, "training.epochs": 1, "training.pretrained": False, "audit.near": False}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A workspace with one finished run."""
    root = tmp_path_factory.mktemp("outputs")
    write_photos(root / "photos")
    (root / "ws").mkdir()
    (root / "ws" / "toolbox.toml").write_text(f'data = "{root / "photos"}"\n[audit]\nnear = false\n')
    Workspace(root / "ws", settings=SETTINGS).train("timm:arch=test_resnet")
    return root


STUDY = """
name = "one"
seeds = [0]
[base]
data = "phantom:subjects=8,slices=2,size=32"
model = "timm:arch=test_resnet"
[arms.a]
"""
COMMANDS = {
    "predict": ("predict", "1", "--csv", "{file}", "{photos}"),
    "report": ("report", "-o", "{file}"),
    "report-md": ("report", "--format", "md", "-o", "{file}"),
    "report-json": ("report", "--format", "json", "-o", "{file}"),
    "inspect": ("data", "inspect", "--picture", "{file}"),
    "preview": ("augment", "--preview", "1", "--picture", "{file}"),
    "preview-svg": ("augment", "--preview", "1", "--picture", "{file}"),
    "inspect-svg": ("data", "inspect", "--picture", "{file}"),
    "study": ("study", "report", "{study}", "-o", "{file}"),
}


def call(toolbox: Toolbox, workspace: Path, name: str, file: Path, *more: str) -> Finished:
    study = workspace / "one.toml"
    study.write_text(STUDY)
    names = {"file": file, "photos": workspace / "photos" / "left", "study": study}
    words = [word.format(**names) for word in COMMANDS[name]]
    return toolbox(*words, *more, "-C", workspace / "ws")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_of_the_users_is_refused_and_an_output_replaced(
    toolbox: Toolbox, workspace: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / ("out.svg" if name.endswith("svg") else "out.png")
    file.write_bytes((workspace / "photos" / "left" / "left-00.png").read_bytes())
    before = file.read_bytes()
    refused = call(toolbox, workspace, name, file)
    assert refused.code == 2 and "--force" in refused.stderr and file.read_bytes() == before
    assert call(toolbox, workspace, name, file, "--force").code == 0
    ours = file.read_bytes()
    assert ours != before
    assert call(toolbox, workspace, name, file).code == 0
    file.write_bytes(b"")  # as mktemp makes it
    assert call(toolbox, workspace, name, file).code == 0 and file.stat().st_size


def test_a_pattern_that_the_shell_expanded_costs_no_photo(toolbox: Toolbox, workspace: Path) -> None:
    photos = sorted((workspace / "photos" / "left").iterdir())
    before = photos[0].read_bytes()
    refused = toolbox("predict", 1, "--csv", *photos, "-C", workspace / "ws")
    assert refused.code == 2 and photos[0].name in refused.stderr and photos[0].read_bytes() == before


@pytest.mark.parametrize("name", ["audit.html", "audit.json", "report.html", "preview.png"])
def test_pages_in_the_workspace_spare_a_file_of_the_users(toolbox: Toolbox, workspace: Path, name: str) -> None:
    command = {"audit": ("data", "audit"), "report": ("report",), "preview": ("augment", "--preview", 1)}
    words = (*command[name.split(".")[0]], "-C", workspace / "ws")
    file = workspace / "ws" / name
    file.write_text("my own notes")
    refused = toolbox(*words)
    assert refused.code == 2 and name in refused.stderr and file.read_text() == "my own notes"
    assert toolbox(*words, "--force").code == 0 and file.read_bytes() != b"my own notes"
    assert toolbox(*words).code == 0


def test_a_page_of_the_first_version_may_be_replaced(tmp_path: Path) -> None:
    for end in ("<p>Written by toolbox 0.1.0 from the files of", "<footer><p>toolbox 0.1.0</p></footer>\n</body>\n"):
        (tmp_path / "page.html").write_text(f"<!doctype html>\n{end}")
        check_output(tmp_path / "page.html")


def test_a_record_of_a_run_is_no_output(toolbox: Toolbox, workspace: Path) -> None:
    record = next((workspace / "ws" / "runs").glob("*/run.json"))
    refused = toolbox("report", "--format", "json", "-o", record, "-C", workspace / "ws")
    assert refused.code == 2 and '"status": "finished"' in record.read_text()


def test_a_folder_is_no_file(toolbox: Toolbox, workspace: Path, tmp_path: Path) -> None:
    refused = call(toolbox, workspace, "report", tmp_path, "--force")
    assert refused.code == 2 and "is a folder" in refused.stderr


def test_a_link_stays_and_its_target_is_replaced(toolbox: Toolbox, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "there" / "target.csv"
    link.symlink_to("there/target.csv")
    assert call(toolbox, workspace, "predict", link).code == 0  # a link that leads nowhere yet
    assert link.is_symlink() and target.read_text().startswith("path,prediction")
    target.write_text("my own")
    assert call(toolbox, workspace, "predict", link).code == 2 and target.read_text() == "my own"
    assert call(toolbox, workspace, "predict", link, "--force").code == 0
    assert link.is_symlink() and target.read_text().startswith("path,prediction")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_written_to(toolbox: Toolbox, workspace: Path, tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert call(toolbox, workspace, "predict", pipe).code == 0
    reader.join(10)
    assert read[0].startswith(b"path,prediction") and stat.S_ISFIFO(pipe.stat().st_mode)


def device(folder: Path, name: str, minor: int) -> Path:
    """The system's device ``name``, or one like it for root, who could replace the system's."""
    if os.name == "nt" or not Path("/dev", name).exists():
        pytest.skip("no such devices")
    if os.geteuid():
        return Path("/dev", name)
    try:
        os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        (folder / name).open("wb").close()
    except OSError as error:
        pytest.skip(f"no devices can be made here: {error}")
    return folder / name


def test_devices_are_written_to(toolbox: Toolbox, workspace: Path, tmp_path: Path) -> None:
    null, full = device(tmp_path, "null", 3), device(tmp_path, "full", 7)
    assert call(toolbox, workspace, "predict", null).code == 0
    (tmp_path / "link").symlink_to(null)
    atomic.write_text(tmp_path / "link", "gone")
    done = call(toolbox, workspace, "report", full)
    assert done.code == 1 and "disk is full" in done.stderr
    assert all(stat.S_ISCHR(path.stat().st_mode) for path in (null, full))
