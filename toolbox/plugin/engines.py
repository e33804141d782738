"""Select the engine that runs work: the setting ``augment.engine``, and ``--workers`` for ``auto``."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from toolbox.api.engine import Engine
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, parse

AUTO = "auto"
FEW = 12
"""Items (of about a second each) below which starting processes takes longer than the work."""

T = TypeVar("T")
R = TypeVar("R")


def build_engine(registry: Registry, spec: str | dict[str, Any], workers: int = 0) -> Engine:
    """The engine ``spec``, or for ``auto`` processes where they pay: ``workers`` of them (0: one for each core).

    Raises
    ------
    UsageError: there is no such engine.
    """
    is_worker = multiprocessing.current_process().daemon  # of a study's jobs: it can't start processes of its own
    if spec != AUTO and not (is_worker and parse(spec).name == "processes"):
        return registry.engine(spec)
    count = workers or os.cpu_count() or 1
    if is_worker or count == 1:
        return registry.engine("inline")
    processes = registry.engine(Spec("processes", {"workers": count}))
    return AutoEngine(registry.engine("inline"), processes, few=0 if workers else FEW)


class AutoEngine(Engine):
    """Processes for ``few`` items or more whose work can be pickled, else threads of this process."""

    def __init__(self, inline: Engine, processes: Engine, few: int) -> None:
        self.inline = inline
        self.processes = processes
        self.few = few

    def start(self, modules: Sequence[str] = ()) -> None:
        """Start the processes."""
        self.processes.start(modules)

    def close(self) -> None:
        """Stop the processes if they were not used."""
        self.processes.close()

    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """See :class:`toolbox.api.engine.Engine`."""
        rest = iter(items)
        first = list(islice(rest, self.few))
        engine = self.processes if len(first) == self.few and _can_pickle(work) else self.inline
        yield from engine.map(work, chain(first, rest), finish=finish)


def _can_pickle(thing: object) -> bool:
    try:
        pickle.loads(pickle.dumps(thing))
    except Exception:  # a third party's dataset may hold anything
        return False
    return True
