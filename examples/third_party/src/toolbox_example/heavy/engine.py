"""An engine that leaves the work to joblib, and with it to whatever joblib's backends reach (Dask, Ray, Spark)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Annotated, TypeVar

from joblib import Parallel, delayed
from pydantic import Field

from toolbox.api.engine import Engine

T = TypeVar("T")
R = TypeVar("R")


class Joblib(Engine):
    """Runs in joblib's workers: threads, processes, or a backend that another package registers."""

    def __init__(
        self,
        *,
        backend: Annotated[str, Field(description="joblib's name for it: threading, loky, dask, …")] = "threading",
        jobs: Annotated[int, Field(ge=1, le=1024, description="workers")] = 2,
    ) -> None:
        self.backend = backend
        self.jobs = jobs

    def map(self, work: Callable[[T], R], items: Iterable[T], *, finish: bool = True) -> Generator[R, None, None]:
        """Results in the order of the items, with at most twice as many items in progress as there are workers."""
        parallel = Parallel(self.jobs, backend=self.backend, return_as="generator", batch_size=1)
        yield from parallel(delayed(work)(item) for item in items)
