"""How long ``toolbox --help`` takes, beside a three-command Typer program's on the same machine.

Run it with ``python -m tests.benchmarks.startup``; it prints the medians and their ratios (the aim is at most 1.5),
without more plugins than the toolbox's own and with nine broken ones.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.broken import install_all

MINIMAL = '''
import typer

app = typer.Typer()


@app.command()
def one(number: int = 1) -> None:
    """The first."""


@app.command()
def two(name: str = "x") -> None:
    """The second."""


@app.command()
def three(flag: bool = False) -> None:
    """The third."""


app()
'''
ROUNDS = 15


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """How long ``command`` takes, as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def measure(rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Median seconds of ``toolbox --help``, of the same with nine broken plugins, and of the minimal program's."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "minimal.py"
        program.write_text(MINIMAL)
        site = Path(folder) / "site"
        site.mkdir()
        # Compiled once and kept, as installed packages are.
        here = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        here.pop("PYTHONDONTWRITEBYTECODE", None)
        broken = {**here, **install_all(site)}
        ours, theirs = [sys.executable, "-m", "toolbox", "--help"], [sys.executable, str(program), "--help"]
        runs = [(ours, here), (ours, broken), (theirs, here)]
        for run in runs:
            seconds(*run)  # the first of each reads from the disk
        rows = [[seconds(*run) for run in runs] for _ in range(rounds)]
    first, second, third = (statistics.median(column) for column in zip(*rows, strict=True))
    return first, second, third


def main() -> None:
    """Print the medians and their ratios."""
    ours, broken, theirs = measure()
    print(f"minimal Typer program: {theirs * 1000:.0f} ms")
    print(f"toolbox --help: {ours * 1000:.0f} ms, ratio {ours / theirs:.2f}")
    print(f"  with nine broken plugins: {broken * 1000:.0f} ms, ratio {broken / theirs:.2f}")


if __name__ == "__main__":
    main()
