"""Engines: results in order, items taken as needed, and an end when it is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure
from toolbox.testing.check import Checks, Problems
from toolbox.testing.subject import Subject

CHECKS = check = Checks(Engine)


@check
def results_keep_the_order(subject: Subject) -> Problems:
    """Each item has one result, in the order of the items, also for no items and when the engine is used again."""
    for count in (200, 0, 3):
        if list(subject.component.map(square, range(count))) != [number**2 for number in range(count)]:
            yield f"{count} items: the results are not those of the items, in their order"


@check
def takes_items_as_needed(subject: Subject) -> Problems:
    """Only a bounded number of items is taken ahead of the results: there may be a million of them."""
    count = 0

    def items() -> Iterator[int]:
        nonlocal count
        for number in range(10_000):
            count += 1
            yield number

    with closing(subject.component.map(square, items())) as results:
        next(results)
        if count > 5_000:
            yield f"it takes {count} items before it gives the first result"


@check
def raises_what_the_work_raises(subject: Subject) -> Problems:
    """An error in the work is raised where the results are read, with its message and hint."""
    try:
        list(subject.component.map(fail, [1]))
    except EnvironmentFailure as error:
        if (error.message, error.hint) != ("no", "try again"):
            yield f"the error arrives as {error.message!r}, {error.hint!r}"
    except Exception as error:
        yield f"an EnvironmentFailure arrives as {type(error).__name__}: {error}"
    else:
        yield "an error in the work is not raised"


@check
def stops_when_closed(subject: Subject) -> Problems:
    """Closing the generator returns soon and takes no more items, whether items in progress are finished or not."""
    for finish in (True, False):
        results = subject.component.map(square, items := iter(range(10_000)), finish=finish)
        next(results)
        start = time.perf_counter()
        results.close()
        if time.perf_counter() - start > 30:
            yield f"closing takes more than 30 seconds (finish={finish})"
        if next(items, 10_000) > 5_000:
            yield f"closing works through the rest of the items (finish={finish})"


def square(number: int) -> int:
    """Work that can be pickled."""
    return number**2


def fail(number: int) -> int:
    """Work that fails."""
    raise EnvironmentFailure("no", "try again")
