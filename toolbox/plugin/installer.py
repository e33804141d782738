"""Installs and removes plugins with the environment's own installer, pip or uv; nothing here loads a plugin."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from toolbox.api.errors import EnvironmentFailure, Refused, UsageError, closest
from toolbox.plugin.discovery import OWN, Installed, installed, normalised

_BUILT = ".whl"
_FILES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*([<>=!~][^@]*)?\Z")
_UV_LINE = re.compile(r"\s*\+\s*(?P<name>[A-Za-z0-9._-]+)(==|\s+@\s+)(?P<version>\S+)")


@dataclass(frozen=True, slots=True)
class Change:
    """A distribution that an installation would bring, and the version that is there now (empty: none)."""

    name: str
    version: str
    present: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}" + (f" (now {self.present})" if self.present else "")


class Installer:
    """The program that installs into the running environment.

    Raises
    ------
    EnvironmentFailure: there is neither pip nor uv.
    """

    def __init__(self) -> None:
        uv = shutil.which("uv")
        self.uses_uv = bool(uv) and (_made_by_uv() or importlib.util.find_spec("pip") is None)
        if self.uses_uv:
            self._command = [str(uv), "pip"]
            self._where = ["--python", sys.executable]
        elif importlib.util.find_spec("pip") is not None:
            self._command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
            self._where = []
        else:
            raise EnvironmentFailure(
                "this environment has neither pip nor uv to install with", f"Run: {sys.executable} -m ensurepip"
            )

    def plan(self, wanted: Sequence[str], *, upgrade: bool = False, build: bool = True) -> list[Change]:
        """What installing ``wanted`` would bring. Without ``build`` only wheels are looked at: no foreign code runs.

        Raises
        ------
        EnvironmentFailure: the installer finds no way; its own words are the reason.
        """
        extra = [*(["--upgrade"] if upgrade else []), *([] if build else ["--only-binary", ":all:"])]
        if self.uses_uv:
            done = self._run(["install", *self._where, "--dry-run", *extra, *_arguments(wanted)])
            found = [(line["name"], line["version"]) for line in map(_UV_LINE.match, done.stderr.splitlines()) if line]
            if not found and "Would install" in done.stderr:  # said in other words than those that are known here
                found = [(text, "") for text in wanted]
        else:
            done = self._run(["install", "--dry-run", "--quiet", "--report", "-", *extra, *_arguments(wanted)])
            items = [item["metadata"] for item in json.loads(done.stdout)["install"]]
            found = [(item["name"], item["version"]) for item in items]
        return [Change(name, version, _version(name)) for name, version in found]

    def install(self, wanted: Sequence[str], *, upgrade: bool = False) -> None:
        """Install ``wanted``.

        Raises
        ------
        EnvironmentFailure: the installer failed; its own words are the reason.
        """
        quiet = [] if self.uses_uv else ["--quiet"]
        extra = ["--upgrade"] if upgrade else []
        self._run(["install", *self._where, *quiet, *extra, *_arguments(wanted)])

    def uninstall(self, distribution: str) -> None:
        """Remove ``distribution``.

        Raises
        ------
        EnvironmentFailure: the installer failed, or it is still there, since it lies outside this environment.
        """
        sure = [] if self.uses_uv else ["--yes"]
        done = self._run(["uninstall", *self._where, *sure, distribution])
        if _version(distribution):
            where = metadata.distribution(distribution).locate_file("")
            said = _last_words(done.stdout + done.stderr)
            raise EnvironmentFailure(
                f"{distribution} is still there: {said}", f"It lies in {where}; take it away there, or disable it."
            )

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        done = subprocess.run(
            [*self._command, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
        if done.returncode:
            raise EnvironmentFailure(f"{'uv' if self.uses_uv else 'pip'} failed: {_last_words(done.stderr)}")
        importlib.invalidate_caches()
        return done


def runs_code(wanted: Sequence[str]) -> list[str]:
    """Those of ``wanted`` that are built from source: merely to look at them runs code of theirs."""
    pieces = [piece for text in wanted for piece in (_lines(text) if is_list(text) else [text])]
    return [piece for piece in pieces if not piece.endswith(_BUILT) and not _is_name(piece)]


def is_list(text: str) -> bool:
    """Whether ``text`` is a file of requirements, as ``toolbox plugins freeze`` writes it."""
    return not text.endswith(_FILES) and Path(text).is_file()


def check_wanted(wanted: Sequence[str]) -> None:
    """Refuse what would be taken for something else: an option of the installer, or a folder that isn't there.

    Raises
    ------
    UsageError: so it is.
    """
    for text in wanted:
        if text.startswith("-"):
            raise UsageError(f"{text!r} is an option of pip's, not a plugin", "Set it by pip's environment variables.")
        path = "://" not in text and "@" not in text and ("/" in text or "\\" in text or text.endswith(_FILES))
        if path and not Path(text).exists():
            raise UsageError(f"there is no {text}")
        if _is_name(text) and Path(text).is_dir():
            raise UsageError(f"{text!r} is a folder here, and may be a name too", f"For the folder write ./{text}")


def named(name: str) -> list[Installed]:
    """The installed plugins that ``name`` means: one by its own name, or all of a distribution.

    Raises
    ------
    UsageError: there is none.
    """
    plugins = installed()
    found = [plugin for plugin in plugins if plugin.matches(name)]
    if not found:
        if Path(name).exists():
            hint = f"Plugins go by their names here. Install it first: toolbox plugins install {name}"
            raise UsageError(f"no installed plugin is called {name!r}", hint)
        known = {plugin.name for plugin in plugins} | {plugin.distribution for plugin in plugins if plugin.distribution}
        raise UsageError(
            f"no installed plugin is called {name!r}", closest(name, known) or "See 'toolbox plugins list'."
        )
    return found


def removable(name: str) -> str:
    """The distribution that ``name`` would be uninstalled with.

    Raises
    ------
    UsageError: no plugin is called so, or more than one distribution offers one that is.
    Refused: it comes with the toolbox, or its distribution is not known.
    """
    if normalised(name) == OWN:
        raise Refused(f"{name} is the toolbox itself", f"Run: pip uninstall {OWN}")
    found = named(name)
    if any(plugin.shipped for plugin in found) and not any(not plugin.shipped for plugin in found):
        raise Refused(
            f"{name} comes with the toolbox and can't be uninstalled by itself", f"Run: toolbox plugins disable {name}"
        )
    distributions = sorted({plugin.distribution for plugin in found if not plugin.shipped})
    if len(distributions) > 1:
        raise UsageError(f"{name!r} is a plugin of {' and '.join(distributions)}", "Name the one to uninstall.")
    if not distributions[0]:
        raise Refused(f"nothing tells which distribution brings {name}", f"Run: toolbox plugins disable {name}")
    return distributions[0]


def frozen() -> list[str]:
    """One requirement for each distribution that brings plugins, in the form that the installer takes back.

    What was installed from a folder, a file or a URL is named by it (PEP 610), the rest by its version.
    """
    distributions = {plugin.distribution for plugin in installed() if plugin.distribution and not plugin.shipped}
    return [_requirement(metadata.distribution(name)) for name in sorted(distributions, key=normalised)]


def _requirement(distribution: metadata.Distribution) -> str:
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    url = origin.get("url")
    if not url:
        return f"{distribution.name}=={distribution.version}"
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {url}"
    version_control = origin.get("vcs_info")
    if version_control:
        url = f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    below = origin.get("subdirectory")
    url += f"#subdirectory={below}" if below else ""
    # A repository on this disk: older pips take no name before such a URL.
    return url if url.partition("+")[2].startswith("file:") else f"{distribution.name} @ {url}"


def _is_name(text: str) -> bool:
    """Whether ``text`` is a name, perhaps with a version, to be looked up in an index."""
    return bool(_REQUIREMENT.match(text)) and not text.endswith(_FILES)


def _lines(path: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in Path(path).read_text("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _arguments(wanted: Sequence[str]) -> list[str]:
    return [word for text in wanted for word in (("-r", text) if is_list(text) else (text,))]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _made_by_uv() -> bool:
    try:
        lines = (Path(sys.prefix) / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)


def _last_words(text: str) -> str:
    """What an installer says of its failure: pip's or uv's lines of errors, else the last line."""
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("hint:", "Using Python"))
    ]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if not errors:
        start = next((number for number, line in enumerate(lines) if line.startswith("error: ")), len(lines) - 1)
        errors = [" ".join(lines[max(start, 0) :]).removeprefix("error: ")]
    return "; ".join(dict.fromkeys(errors)) or "no reason given"
