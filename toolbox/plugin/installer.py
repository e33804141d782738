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
from toolbox.plugin import disabled
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


class BuildNeeded(EnvironmentFailure):
    """Something has to be built from source, which runs third-party code before it is installed."""


class Installer:
    """The program that installs into the running environment.

    Raises
    ------
    EnvironmentFailure: there is neither pip nor uv.
    """

    def __init__(self) -> None:
        uv = shutil.which("uv")
        self.uses_uv = bool(uv) and (_is_uv_environment() or importlib.util.find_spec("pip") is None)
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

    def plan(self, requirements: Sequence[str], *, upgrade: bool = False, build: bool = True) -> list[Change]:
        """What installing ``requirements`` would change. Without ``build``, no third-party code runs.

        Raises
        ------
        BuildNeeded: without ``build``, it can't be known.
        EnvironmentFailure: the installer failed, for the reason that it gives.
        """
        warning = "Building from source already runs third-party code"
        if not build and (sources := runs_code(requirements)):
            raise BuildNeeded(f"{warning}: {', '.join(sources)}")
        options = [*(["--upgrade"] if upgrade else []), *([] if build else ["--only-binary", ":all:"])]
        try:
            versions = self._plan(requirements, options)
        except EnvironmentFailure as error:
            if build:
                raise
            reason = f"No wheel available ({error.message}). {warning}: {', '.join(requirements)}"
            raise BuildNeeded(reason) from error
        return [Change(name, version, _version(name)) for name, version in versions]

    def install(
        self, requirements: Sequence[str], changes: Sequence[Change], *, upgrade: bool = False
    ) -> list[Installed]:
        """Install ``requirements``, which makes ``changes``; returns the plugins that are new or in another version.

        Raises
        ------
        EnvironmentFailure: the installer failed, for the reason that it gives.
        """
        before = {(plugin.name, plugin.distribution) for plugin in installed()}
        options = [*([] if self.uses_uv else ["--quiet"]), *(["--upgrade"] if upgrade else [])]
        self._run(["install", *self._where, *options, *_arguments(requirements)])
        distributions = {normalised(change.name) for change in changes}
        return [
            plugin
            for plugin in installed()
            if normalised(plugin.distribution) in distributions or (plugin.name, plugin.distribution) not in before
        ]

    def uninstall(self, distribution: str) -> None:
        """Remove ``distribution``, and its plugins from the list of disabled ones.

        Raises
        ------
        EnvironmentFailure: the installer failed, or can't remove it, because it lies outside this environment.
        """
        plugins = [plugin.name for plugin in named(distribution)]
        options = [] if self.uses_uv else ["--yes"]
        process = self._run(["uninstall", *self._where, *options, distribution])
        if _version(distribution):
            place = metadata.distribution(distribution).locate_file("")
            reason = _errors_in(process.stdout + process.stderr)
            raise EnvironmentFailure(
                f"{distribution} can't be uninstalled: {reason}", f"It is in {place}: remove it there, or disable it."
            )
        disabled.remove([distribution, *plugins])

    def _plan(self, requirements: Sequence[str], options: Sequence[str]) -> list[tuple[str, str]]:
        """Names and versions that would be installed."""
        if not self.uses_uv:
            words = ["install", "--dry-run", "--quiet", "--report", "-", *options, *_arguments(requirements)]
            items = [item["metadata"] for item in json.loads(self._run(words).stdout)["install"]]
            return [(item["name"], item["version"]) for item in items]
        process = self._run(["install", *self._where, "--dry-run", *options, *_arguments(requirements)])
        lines = map(_UV_LINE.match, process.stderr.splitlines())
        versions = [(line["name"], line["version"]) for line in lines if line]
        if not versions and "Would install" in process.stderr:  # in a format that this version does not know
            return [(text, "") for text in requirements]
        return versions

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        process = subprocess.run(
            [*self._command, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
        if process.returncode:
            raise EnvironmentFailure(f"{'uv' if self.uses_uv else 'pip'} failed: {_errors_in(process.stderr)}")
        importlib.invalidate_caches()
        return process


def runs_code(requirements: Sequence[str]) -> list[str]:
    """Those of ``requirements`` that are built from source: even planning to install them runs their code."""
    pieces = [piece for text in requirements for piece in (_lines(text) if is_list(text) else [text])]
    return [piece for piece in pieces if not piece.endswith(_BUILT) and not _is_name(piece)]


def is_list(text: str) -> bool:
    """Whether ``text`` is a file of requirements, as ``toolbox plugins freeze`` writes it."""
    return not text.endswith(_FILES) and Path(text).is_file()


def check_requirements(requirements: Sequence[str]) -> None:
    """Refuse what would be misread: an option of the installer, a missing path, a name that is also a folder.

    Raises
    ------
    UsageError: one of ``requirements`` is such a case.
    """
    for text in requirements:
        if text.startswith("-"):
            raise UsageError(f"{text!r} is an option of pip's, not a plugin", "Set it by pip's environment variables.")
        path = "://" not in text and "@" not in text and ("/" in text or "\\" in text or text.endswith(_FILES))
        if path and not Path(text).exists():
            raise UsageError(f"{text} does not exist")
        if _is_name(text) and Path(text).is_dir():
            raise UsageError(f"{text!r} could be a name or the folder here", f"For the folder, write ./{text}")


def named(name: str) -> list[Installed]:
    """The installed plugins that ``name`` means: one by its own name, or all of a distribution.

    Raises
    ------
    UsageError: there is none.
    """
    plugins = installed()
    matches = [plugin for plugin in plugins if plugin.matches(name)]
    if not matches:
        if Path(name).exists():
            hint = f"This takes the name of a plugin. To install the folder: toolbox plugins install {name}"
            raise UsageError(f"no installed plugin is called {name!r}", hint)
        known = {plugin.name for plugin in plugins} | {plugin.distribution for plugin in plugins if plugin.distribution}
        raise UsageError(
            f"no installed plugin is called {name!r}", closest(name, known) or "See 'toolbox plugins list'."
        )
    return matches


def removable(name: str) -> str:
    """The distribution to uninstall for ``name``.

    Raises
    ------
    UsageError: no plugin has this name, or plugins of several distributions do.
    Refused: it comes with the toolbox, or its distribution is not known.
    """
    if normalised(name) == OWN:
        raise Refused(f"{name} is the toolbox itself", f"Run: pip uninstall {OWN}")
    plugins = named(name)
    if any(plugin.shipped for plugin in plugins) and not any(not plugin.shipped for plugin in plugins):
        raise Refused(
            f"{name} comes with the toolbox and can't be uninstalled by itself", f"Run: toolbox plugins disable {name}"
        )
    distributions = sorted({plugin.distribution for plugin in plugins if not plugin.shipped})
    if len(distributions) > 1:
        raise UsageError(f"{name!r} is a plugin of {' and '.join(distributions)}", "Name the one to uninstall.")
    if not distributions[0]:
        raise Refused(f"the distribution of {name} is unknown", f"Run: toolbox plugins disable {name}")
    return distributions[0]


def frozen() -> list[str]:
    """A requirement for each distribution that brings plugins, as the installer accepts it.

    A distribution installed from a folder, file or URL is named by that (PEP 610), any other by its version.
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
    subdirectory = origin.get("subdirectory")
    url += f"#subdirectory={subdirectory}" if subdirectory else ""
    # A repository on this disk: older pips take no name before such a URL.
    return url if url.partition("+")[2].startswith("file:") else f"{distribution.name} @ {url}"


def _is_name(text: str) -> bool:
    """Whether ``text`` is a name, perhaps with a version, to be looked up in an index."""
    return bool(_REQUIREMENT.match(text)) and not text.endswith(_FILES)


def _lines(path: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in Path(path).read_text("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _arguments(requirements: Sequence[str]) -> list[str]:
    return [word for text in requirements for word in (("-r", text) if is_list(text) else (text,))]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _is_uv_environment() -> bool:
    try:
        lines = (Path(sys.prefix) / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)


def _errors_in(text: str) -> str:
    """The reason that an installer gives for its failure: pip's or uv's error lines, else the last line."""
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("hint:", "Using Python"))
    ]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if not errors:
        start = next((number for number, line in enumerate(lines) if line.startswith("error: ")), len(lines) - 1)
        errors = [" ".join(lines[max(start, 0) :]).removeprefix("error: ")]
    return "; ".join(dict.fromkeys(errors)) or "no reason given"
