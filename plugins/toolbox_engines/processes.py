"""The ``processes`` engine.

Each worker has its own pipe, because no standard pool passes the kill tests: in ``concurrent.futures`` and in loky 3.7
all workers write results into one pipe, and when one is killed halfway through a result the parent waits for the rest
of it, measured until a limit of 30 s, while here its end of file names the loss at once. Nor do their workers end when
the parent is killed: loky's were still there after 15 minutes.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing import connection
from typing import Annotated, Any, TypeVar

from pydantic import Field

from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3
"""Items per worker that may be finished before an earlier one is: the bound on memory."""

_FITS = 4096
"""Bytes that fit into any system's pipe without a reader at its other end."""


class Processes(Engine):
    """Runs in several processes, started by ``spawn`` on every system.

    A killed worker is noticed at once, workers end with their parent however it ends, and Ctrl-C is left to the parent.
    """

    def __init__(
        self, *, workers: Annotated[int, Field(ge=0, le=1024, description="processes; 0: one for each core")] = 0
    ) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._started: list[_Worker] = []

    def start(self, modules: Sequence[str] = ()) -> None:
        """Start the workers, which import ``modules`` meanwhile."""
        self._started = [_Worker(modules) for _ in range(self.workers)]

    def close(self) -> None:
        """Stop workers that were started and never used."""
        _stop(self._started)
        self._started = []

    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """See :class:`toolbox.api.engine.Engine`.

        Raises
        ------
        EnvironmentFailure: a worker was killed (because the machine ran out of memory, as a rule).
        """
        pickled_work = pickle.dumps(work)  # sent once to each worker, not with each item
        pickled_items = ((number, pickle.dumps(item)) for number, item in enumerate(items))
        workers, self._started = self._started, []
        results: dict[int, tuple[bool, Any]] = {}
        number = 0  # of the next result
        try:
            for worker in workers:
                worker.send(pickled_work)
            item = next(pickled_items, None)
            while True:
                while item and item[0] < number + AHEAD * self.workers:
                    free = self._free_worker(workers, pickled_work, item[1])
                    if free is None:
                        break
                    free.numbers.append(item[0])
                    free.send(item[1])
                    item = next(pickled_items, None)
                if number in results:
                    succeeded, value = results.pop(number)
                    if not succeeded:
                        raise value
                    yield value
                    number += 1
                    continue  # give idle workers their next items before waiting for anyone
                busy: dict[Any, _Worker] = {worker.pipe: worker for worker in workers if worker.numbers}
                if not busy:
                    return
                for pipe in connection.wait(list(busy)):
                    place, outcome = busy[pipe].receive()
                    results[place] = outcome
        finally:
            if not finish and any(worker.numbers for worker in workers):
                for worker in workers:
                    worker.process.kill()
            _stop(workers)

    def _free_worker(self, workers: list[_Worker], pickled_work: bytes, item: bytes) -> _Worker | None:
        """A worker that can take ``item``: an idle one, a new one, or one in whose pipe it can wait."""
        idle = next((worker for worker in workers if not worker.numbers), None)
        if idle is None and len(workers) < self.workers:
            idle = _Worker()
            workers.append(idle)
            idle.send(pickled_work)
        if idle is not None or len(item) > _FITS:
            return idle
        return next((worker for worker in workers if len(worker.numbers) == 1), None)


class _Worker:
    """A process, the pipe to it, and the numbers of the items that it has."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.numbers: deque[int] = deque()
        self.process = context.Process(target=_serve, args=(theirs, modules), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the worker does

    def send(self, message: bytes) -> None:
        with _killed_workers_named():
            self.pipe.send_bytes(message)

    def receive(self) -> tuple[int, tuple[bool, Any]]:
        """The number of its oldest item; whether that succeeded, and its result or exception."""
        with _killed_workers_named():
            outcome: tuple[bool, Any] = pickle.loads(self.pipe.recv_bytes())
        return self.numbers.popleft(), outcome


@contextlib.contextmanager
def _killed_workers_named() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise EnvironmentFailure(
            "a worker process was killed; the machine may be out of memory",
            "Run the same command again with fewer --workers: it continues where it stopped.",
        ) from error


def _stop(workers: Iterable[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.process.join()  # it finishes what it has begun


def _serve(pipe: connection.Connection, modules: Sequence[str]) -> None:
    """A worker's whole life: receive the work, then items, until the pipe is closed or the parent ends."""
    # A worker has one core; libraries that start a thread for each core would slow the others down.
    for library in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    if "cv2" in sys.modules:  # spawn imports the caller's own script before this
        sys.modules["cv2"].setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    for module in modules:
        importlib.import_module(module)
    with contextlib.suppress(EOFError, OSError):
        work = pickle.loads(pipe.recv_bytes())
        while True:
            pipe.send_bytes(_outcome(work, pipe.recv_bytes()))


def _outcome(work: Callable[[Any], Any], item: bytes) -> bytes:
    try:
        return pickle.dumps((True, work(pickle.loads(item))))
    except Exception as error:
        try:
            pickle.loads(outcome := pickle.dumps((False, error)))
        except Exception:  # an exception that can't be pickled, or not be built again
            outcome = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return outcome


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
