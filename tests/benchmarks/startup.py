"""How long ``toolbox --help`` takes, beside a three-command Typer program's on the same machine.

Run it with ``python tests/benchmarks/startup.py``; it prints both medians and their ratio (the aim is at most 1.5).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def seconds(command: list[str]) -> float:
    """How long ``command`` takes, as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def measure(rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of ``toolbox --help`` and of the minimal program's ``--help``, run in turn."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "minimal.py"
        program.write_text(MINIMAL)
        ours = [sys.executable, "-m", "toolbox", "--help"]
        theirs = [sys.executable, str(program), "--help"]
        seconds(ours), seconds(theirs)  # the first run of each reads from the disk
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return statistics.median(first for first, _ in pairs), statistics.median(second for _, second in pairs)


def main() -> None:
    """Print the two medians and their ratio."""
    ours, theirs = measure()
    print(f"toolbox --help: {ours * 1000:.0f} ms; minimal Typer program: {theirs * 1000:.0f} ms")
    print(f"ratio: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
