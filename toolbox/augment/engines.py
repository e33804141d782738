"""Where the work is done: in this process, or in several. Outputs are functions of their key, so that it can't matter.

An engine maps a picklable function over items and gives the results in the items' order. Each item is worked on at
least once; whoever works on one twice writes the same bytes twice. A cluster's engine needs nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Protocol, TypeVar

from toolbox.data.index import threaded
from toolbox.errors import EnvironmentFailure

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 3
"""Items that wait for each worker, so that none is idle and memory stays bounded."""


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
        yield from threaded(work, items)


class Processes:
    """In ``workers`` processes of their own, made by ``spawn`` as everywhere the toolbox runs.

    Workers end with their parent, however that ends, and leave Ctrl-C to it.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """See :class:`Engine`.

        Raises
        ------
        EnvironmentFailure: a worker was killed (the system was out of memory, as a rule).
        """
        context = multiprocessing.get_context("spawn")
        # The work is sent to each worker once, not with each item.
        arguments = (pickle.dumps(work),)
        pool = ProcessPoolExecutor(self.workers, context, initializer=_begin, initargs=arguments)
        rest = iter(items)
        try:
            waiting: deque[Future[Any]] = deque(pool.submit(_work, item) for item in islice(rest, AHEAD * self.workers))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_work, item) for item in islice(rest, 1))
        except BrokenProcessPool as error:
            raise EnvironmentFailure(
                "a worker process was killed; the machine may be out of memory",
                "Run the same command again with fewer --workers: it goes on where it was.",
            ) from error
        finally:
            # What has begun is finished, so that no file is left half-written.
            pool.shutdown(wait=True, cancel_futures=True)


def choose(workers: int, work: Callable[..., Any], outputs: int) -> Engine:
    """The engine for ``workers`` (0: as many as there are cores) and about so many ``outputs``.

    Starting processes takes about as long as a thousand copies; work that can't be pickled stays here.
    """
    count = workers or (os.cpu_count() or 1)
    if count == 1 or (workers == 0 and outputs < 1500) or not _picklable(work):
        return Inline()
    return Processes(count)


def _picklable(work: Callable[..., Any]) -> bool:
    try:
        pickle.dumps(work)
    except Exception:  # a third party's dataset may hold anything
        return False
    return True


_given: Callable[[Any], Any] | None = None


def _begin(work: bytes) -> None:
    """A worker's first act: take the work, leave Ctrl-C to the parent, and end when it ends."""
    global _given
    # A worker has a core of its own; libraries that start a thread for each core would get in each other's way.
    for library in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    if "cv2" in sys.modules:  # the caller's own script is imported before this
        sys.modules["cv2"].setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _given = pickle.loads(work)


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(item: Any) -> Any:
    assert _given is not None
    return _given(item)
