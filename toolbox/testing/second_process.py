"""A second interpreter: what a plugin imports when it registers, and whether a component is the same there."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import metadata
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from toolbox.plugin.registry import GROUP, Registry
from toolbox.testing.subject import Subject

R = TypeVar("R")

SECONDS = 300
"""Time that one answer may take."""

SAMPLES = 2000
"""Samples of a dataset that are compared."""

DRAWS = 8
"""Parameters of an augmenter that are compared."""


def fingerprint(component: Any) -> str:
    """SHA-256 of what must be equal in every process: a dataset's samples in order, an augmenter's parameters."""
    from toolbox.api.dataset import Dataset
    from toolbox.testing.inputs import draw

    if isinstance(component, Dataset):
        lines: list[Any] = [
            [sample.id, sample.path, sample.label, sample.group, sample.split]
            for sample in islice(component.samples(), SAMPLES)
        ]
    else:
        lines = [draw(component, number) for number in range(DRAWS)]
    return hashlib.sha256(json.dumps(lines, default=str).encode()).hexdigest()


def fingerprint_elsewhere(subject: Subject) -> str:
    """:func:`fingerprint` in the second process."""
    spec = {"name": subject.spec.name, **subject.spec.parameters}
    return _call(_pool(), _fingerprint, *_plugin(subject), subject.kind, spec)


def imported_modules(subject: Subject) -> list[str]:
    """The modules that registering the subject's plugin imports, seen in a process of its own."""
    return _imported_modules(*_plugin(subject))


@lru_cache(maxsize=256)
def _imported_modules(name: str, module: str) -> list[str]:
    with _new_pool() as pool:
        return _call(pool, _register, name, module)


@cache
def _pool() -> ProcessPoolExecutor:
    """One process for all components, as starting it and importing torch takes seconds."""
    return _new_pool()


def _new_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def _call(pool: ProcessPoolExecutor, function: Callable[..., R], *arguments: Any) -> R:
    try:
        with _other_hash_seed():
            return pool.submit(_run, sys.path, dict(os.environ), function, *arguments).result(SECONDS)
    except Exception as error:
        _pool.cache_clear()  # it may be broken
        raise RuntimeError(f"it fails in a second process: {type(error).__name__}: {error}") from error


@contextmanager
def _other_hash_seed() -> Iterator[None]:
    """Let strings hash differently in a process that starts now, so that a dependence on the order of a set shows."""
    seed = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "20011"
    try:
        yield
    finally:
        os.environ.pop("PYTHONHASHSEED")
        if seed is not None:
            os.environ["PYTHONHASHSEED"] = seed


def _plugin(subject: Subject) -> tuple[str, str]:
    plugin = next(status for status in subject.registry.plugins if status.name == subject.offer.plugin)
    return plugin.name, plugin.module


def _run(path: list[str], environment: dict[str, str], function: Callable[..., R], *arguments: Any) -> R:
    """Call ``function`` with this process's import path and environment, which tests change."""
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    return function(*arguments)


def _register(name: str, module: str) -> list[str]:
    before = set(sys.modules)
    Registry([metadata.EntryPoint(name, module, GROUP)])
    return sorted(set(sys.modules) - before)


def _fingerprint(name: str, module: str, kind: Any, spec: dict[str, Any]) -> str:
    return fingerprint(_registry(name, module).make(kind, spec))


@cache
def _registry(name: str, module: str) -> Registry:
    others = (point for point in metadata.entry_points(group=GROUP) if point.name != name)
    return Registry([*others, metadata.EntryPoint(name, module, GROUP)])
