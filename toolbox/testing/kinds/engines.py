"""What the core relies on in an engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.subject import Subject

COUNT = 200

check = Checks(Engine)


@check
def keeps_the_order(subject: Subject) -> Problems:
    """Results come in the order of the items, each once, also for no items and when the engine is used again."""
    for count in (COUNT, 0, 3):
        if list(subject.made.map(square, range(count))) != [number**2 for number in range(count)]:
            yield f"{count} items: the results are not those of the items in their order"


@check
def takes_items_as_needed(subject: Subject) -> Problems:
    """Only a bounded number of items is taken ahead of the results: there may be a million of them."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    with closing(subject.made.map(square, items())) as results:
        next(results)
        if taken > 5_000:
            yield f"{taken} items are taken before the first result is given"


@check
def raises_what_work_raises(subject: Subject) -> Problems:
    """What the work raises is raised where the results are read, with its message and hint."""
    try:
        list(subject.made.map(refuse, [1]))
    except EnvironmentFailure as error:
        if (error.message, error.hint) != ("no", "try again"):
            yield f"the error arrives as {error.message!r}, {error.hint!r}"
    except Exception as error:
        yield f"an EnvironmentFailure arrives as {type(error).__name__}: {error}"
    else:
        yield "an error in the work is not raised"


@check
def stops_when_closed(subject: Subject) -> Problems:
    """Closing the generator returns soon, finishing what is in progress or not."""
    for finish in (True, False):
        results = subject.made.map(square, range(10_000), finish=finish)
        next(results)
        start = time.perf_counter()
        results.close()
        if time.perf_counter() - start > 30:
            yield f"closing takes more than 30 seconds (finish={finish})"


def square(number: int) -> int:
    """Work that can be pickled."""
    return number**2


def refuse(number: int) -> int:
    """Work that fails."""
    raise EnvironmentFailure("no", "try again")
