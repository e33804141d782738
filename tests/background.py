"""Commands in processes of their own, to be interrupted and killed, that start in a blink.

They are forked from a server that has imported torch and what commands import besides, which takes as long as all the
rest of such a test. Commands as a user starts them, with these imports, are in :mod:`tests.test_cli`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Finished

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "scipy.stats",
        "sklearn.metrics",
        "timm",
        "torchmetrics.functional",
        "toolbox.cli.app",
        "toolbox.report.gather",
        "toolbox.study.runner",
        "toolbox.training.experiment",
        "toolbox.workspace",
    ]
)


class Background:
    """A process that calls ``function``; its exit code is what that returns, or 1 if it raises.

    Parameters
    ----------
    function: at the top level of a module.
    cwd: the process's working directory.
    env: its environment variables; by default those of this process.
    leads_session: it and its children can be killed together by ``os.killpg``.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        leads_session: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="background-")
        variables = {**os.environ, "COLUMNS": "100", **(env or {})}
        self._process = _SERVER.Process(
            target=_call,
            args=(function, arguments, Path(self._folder.name), str(cwd or Path.cwd()), variables, leads_session),
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.exitcode is None

    @property
    def stdout(self) -> str:
        """What it has written to its standard output so far."""
        return self._written("stdout")

    @property
    def stderr(self) -> str:
        """What it has written to its standard error so far."""
        return self._written("stderr")

    def _written(self, name: str) -> str:
        path = Path(self._folder.name, name)
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def send_signal(self, number: int) -> None:
        """Send a signal to it, if it is still running."""
        if self.running:
            os.kill(self.pid, number)

    def kill_session(self) -> None:
        """Kill it and its children; it must lead a session."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = 120) -> int:
        """Its exit code (negative: the signal that ended it) once it has ended; AssertionError if it does not."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"still running after {timeout} s:\n{self.stderr}")
        return code


def run_command(*words: str) -> int:
    """``toolbox WORDS``, for :class:`Background`."""
    from toolbox.cli.app import run

    sys.argv = ["toolbox", *words]
    return run(list(words))


def start_command(*words: object, **options: Any) -> Background:
    """``toolbox WORDS`` in the background; options as of :class:`Background`."""
    return Background(run_command, *map(str, words), **options)


def finish_command(*words: object, **options: Any) -> Finished:
    """Run ``toolbox WORDS`` in the background to its end."""
    process = start_command(*words, **options)
    code = process.wait(600)
    return Finished(code, process.stdout, process.stderr)


def _call(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    folder: Path,
    cwd: str,
    variables: dict[str, str],
    leads_session: bool,
) -> None:
    """In the new process: stand where a started program stands, call, and end as an interpreter ends."""
    if leads_session:
        os.setsid()
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    sys.path[:0] = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = function(*arguments)
        code = result if isinstance(result, int) else 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what an interpreter does before it ends
    atexit._run_exitfuncs()
    os._exit(code)
