"""Engines: where work runs. They keep its order, work lazily, and hand failures on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from toolbox.api.errors import EnvironmentFailure
from toolbox.plugin.engines import FEW, build_engine
from toolbox.plugin.registry import Registry


def square(number: int) -> int:
    if number < 0:
        raise EnvironmentFailure("below zero", "give more")
    return number * number


@pytest.mark.parametrize("spec", ["inline", "processes:workers=2"])
def test_an_engine_keeps_the_order_works_lazily_and_hands_on_failures(spec: str, registry: Registry) -> None:
    engine = registry.engine(spec)
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(500):
            asked.append(number)
            yield number

    results = engine.map(square, numbers())
    assert [next(results) for _ in range(10)] == [n * n for n in range(10)]
    assert len(asked) < 50, "few wait, so that memory stays bounded"
    assert list(results) == [n * n for n in range(10, 500)]
    assert list(engine.map(square, [])) == []
    # Large items do not wait in a pipe, so that all may be idle at once; large results fill one.
    large = [bytes([number]) * 100_000 for number in range(40)]
    assert list(engine.map(bytes.title, large)) == [each.title() for each in large]
    with pytest.raises(EnvironmentFailure) as caught:
        list(engine.map(square, [1, -1, 2]))
    assert (caught.value.message, caught.value.hint) == ("below zero", "give more")


def process_id(_: object) -> int:
    return os.getpid()


def test_auto_takes_processes_for_much_work_that_can_be_pickled(registry: Registry) -> None:
    def ids(workers: int, items: int, work: Callable[[object], int] = process_id) -> set[int]:
        return set(build_engine(registry, "auto", workers).map(work, range(items)))

    here = {os.getpid()}
    assert ids(2, 3).isdisjoint(here), "the user asked for two"
    assert ids(1, 100) == ids(0, FEW - 1) == ids(2, 100, lambda _: os.getpid()) == here
    if (os.cpu_count() or 1) > 1:
        assert ids(0, FEW).isdisjoint(here)
