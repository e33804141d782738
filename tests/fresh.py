"""A new environment that sees what is installed in this one, and takes in what is installed into it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Finished


@dataclass(frozen=True)
class Environment:
    """A virtual environment in ``folder``."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site(self) -> Path:
        """Where its packages lie."""
        base = {"base": str(self.folder), "platbase": str(self.folder)}
        return Path(sysconfig.get_path("purelib", "venv", base))

    def run(self, *arguments: object, cwd: Path, answer: str = "", **variables: str) -> Finished:
        """``python ARGUMENTS`` in ``cwd``. No network is needed: what builds a package is installed already."""
        done = subprocess.run(
            [str(self.python), *map(str, arguments)],
            input=answer,
            capture_output=True,
            text=True,
            cwd=cwd,
            # For pip, the value of a variable that is called "no" is what follows the "no".
            env={**os.environ, "COLUMNS": "150", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", **variables},
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def toolbox(self, *arguments: object, cwd: Path, answer: str = "", **variables: str) -> Finished:
        """``toolbox ARGUMENTS`` in ``cwd``."""
        return self.run("-m", "toolbox", *arguments, cwd=cwd, answer=answer, **variables)


def environment(folder: Path) -> Environment:
    """Make one in ``folder``."""
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    here = sysconfig.get_path("purelib")
    (made.site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", "utf-8")
    assert Path(sys.prefix) != folder
    return made
