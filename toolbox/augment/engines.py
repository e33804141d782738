"""Where the work is done: in this process, or in several. Outputs are functions of their key, so that it can't matter.

An engine maps a picklable function over items and gives the results in the items' order. Each item is worked on at
least once; whoever works on one twice writes the same bytes twice. A cluster's engine needs nothing else.
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
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import connection
from typing import Any, Protocol, TypeVar, cast

from toolbox.api.errors import EnvironmentFailure
from toolbox.api.threads import map_in_threads

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3
"""Items for each worker that may be done before an earlier one is, so that memory stays bounded."""


class Engine(Protocol):
    """Maps work over items."""

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """``work`` of each item, in order, each done at least once.

        Closing the generator ends the work: when it is closed nobody works any more.
        """


class Inline:
    """In this process, in threads: decoding, warping and writing let go of the interpreter."""

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """See :class:`Engine`."""
        yield from map_in_threads(work, items)


class Processes:
    """In ``workers`` processes of their own, made by ``spawn`` as everywhere the toolbox runs.

    Each has a pipe of its own, and there is no lock between them: whichever is killed, whatever it is doing, is
    noticed. (``concurrent.futures`` shares one pipe, and waits for ever when a worker is killed while it writes.)
    Workers end with their parent, however that ends, and leave Ctrl-C to it. What they have begun when the map is
    left early they finish, or with ``at_once`` not: for items that take long, and are done anew if they were cut off.
    """

    def __init__(self, workers: int, at_once: bool = False) -> None:
        self.workers = workers
        self.at_once = at_once
        self._early: list[_Worker] = []

    def start(self) -> None:
        """Start the workers now, while their work is still being prepared; :meth:`close` ends those never used."""
        self._early = [_Worker() for _ in range(self.workers)]

    def close(self) -> None:
        """End workers that were started and not used."""
        _end(self._early)
        self._early = []

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """See :class:`Engine`.

        Raises
        ------
        EnvironmentFailure: a worker was killed (the system was out of memory, as a rule).
        """
        payload = pickle.dumps(work)  # sent to each worker once, not with each item
        rest = ((number, pickle.dumps(item)) for number, item in enumerate(items))
        found: dict[int, tuple[bool, Any]] = {}
        crew, self._early = self._early, []
        asked: tuple[int, bytes] | None = next(rest, None)
        number = 0
        try:
            for worker in crew:
                worker.teach(payload)
            while True:
                while asked and asked[0] < number + AHEAD * self.workers and (free := self._free(crew, payload, asked)):
                    free.give(*asked)
                    asked = next(rest, None)
                if number in found:
                    done, value = found.pop(number)
                    if not done:
                        raise value
                    yield value
                    number += 1
                    continue  # whoever is idle by now is given more before anybody is waited for
                pipes = {worker.pipe: worker for worker in crew if worker.has}
                if not pipes:
                    return
                for pipe in connection.wait(list(pipes)):
                    worker = pipes[cast("connection.Connection", pipe)]
                    place = worker.has[0]
                    found[place] = worker.take()
        finally:
            if self.at_once and any(worker.has for worker in crew):
                for worker in crew:
                    worker.process.kill()
            _end(crew)

    def _free(self, crew: list[_Worker], payload: bytes, asked: tuple[int, bytes]) -> _Worker | None:
        """Who can be given one more item; a new worker while there are not enough."""
        idle = next((worker for worker in crew if not worker.has), None)
        if idle is None and len(crew) < self.workers:
            idle = _Worker()
            crew.append(idle)
            idle.teach(payload)
        if idle is not None or len(asked[1]) > _FITS:
            return idle
        # One more waits in the pipe, so that nobody is idle.
        return next((worker for worker in crew if len(worker.has) == 1), None)


_FITS = 4096
"""Bytes that any system's pipe takes without somebody reading at its other end."""


class _Worker:
    """A process, the pipe to it, and the numbers of the items that it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.has: deque[int] = deque()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that its end is the pipe's

    def teach(self, payload: bytes) -> None:
        """Send the work that its items are for."""
        with self._told():
            self.pipe.send_bytes(payload)

    def give(self, number: int, item: bytes) -> None:
        self.has.append(number)
        with self._told():
            self.pipe.send_bytes(item)

    def take(self) -> tuple[bool, Any]:
        """Whether the oldest item went well, and its result or the exception."""
        with self._told():
            found: tuple[bool, Any] = pickle.loads(self.pipe.recv_bytes())
        self.has.popleft()
        return found

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            raise EnvironmentFailure(
                "a worker process was killed; the machine may be out of memory",
                "Run the same command again with fewer --workers: it goes on where it was.",
            ) from error


def _end(crew: Iterable[_Worker]) -> None:
    for worker in crew:
        worker.pipe.close()
    for worker in crew:
        # What has begun is finished, so that nobody works any more.
        worker.process.join()


def choose(workers: int, work: Callable[..., Any], outputs: int, early: Processes | None = None) -> Engine:
    """The engine for ``workers`` (0: as many as there are cores) and about so many ``outputs``.

    Starting processes takes about as long as a thousand copies; work that can't be pickled stays here. ``early``:
    one whose workers are there already.
    """
    count = _count(workers)
    if count == 1 or (workers == 0 and outputs < _PAYS) or not _travels(work):
        return Inline()
    return early or Processes(count)


@contextlib.contextmanager
def early(workers: int, factor: int) -> Iterator[Processes | None]:
    """Processes that start while the sources are still being read, if so many copies of each make it likely that
    they will pay; see :func:`choose`."""
    if _count(workers) == 1 or (workers == 0 and factor < _MANY):
        yield None
        return
    engine = Processes(_count(workers))
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


_PAYS = 1500
"""Outputs from which on processes pay."""

_MANY = 20
"""Copies of a source from which on it takes few sources to come to :data:`_PAYS`."""


def _count(workers: int) -> int:
    # A worker (of a study with --jobs, say) has one core and may not have processes of its own.
    return 1 if multiprocessing.current_process().daemon else workers or (os.cpu_count() or 1)


def _travels(thing: object) -> bool:
    """Whether another process can be given it."""
    try:
        pickle.loads(pickle.dumps(thing))
    except Exception:  # a third party's dataset may hold anything
        return False
    return True


def _serve(pipe: connection.Connection) -> None:
    """A worker's whole life: leave Ctrl-C to the parent, end when it ends, and until then do what it gives."""
    # A worker has a core of its own; libraries that start a thread for each core would get in each other's way.
    for library in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    if "cv2" in sys.modules:  # the caller's own script is imported before this
        sys.modules["cv2"].setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    for module in _WARM:
        importlib.import_module(module)
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the pipe: there is nothing more to do
        work = pickle.loads(pipe.recv_bytes())
        while True:
            pipe.send_bytes(_answer(work, pipe.recv_bytes()))


_WARM = ("cv2", "simplejpeg", "toolbox.augment.worker")
"""What a worker of ours will need, whatever its work; imported while it waits."""


def _answer(work: Callable[[Any], Any], item: bytes) -> bytes:
    try:
        return pickle.dumps((True, work(pickle.loads(item))))
    except Exception as error:
        answer = pickle.dumps((False, error)) if _travels(error) else b""
        return answer or pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
