"""Keeps what other libraries would say to the console off it: what matters becomes an error."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """No warnings, and no log records below an error from the loggers ``names``."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def stdout_on_stderr() -> Iterator[TextIO]:
    """What is printed meanwhile goes to stderr, by libraries in C and by processes that are started, too.

    Yields the stream that still leads to where stdout did. Where ``sys.stdout`` is not the process's own (in a
    notebook, in a test), what goes past Python is left alone.
    """
    if not (_is(sys.stdout, 1) and _is(sys.stderr, 2)):
        former = sys.stdout
        with redirect_stdout(sys.stderr):
            yield former
        return
    sys.stdout.flush()
    descriptor = os.dup(1)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", closefd=False) as former, redirect_stdout(sys.stderr):
            os.dup2(2, 1)
            yield former
    finally:
        os.dup2(descriptor, 1)
        os.close(descriptor)


def _is(stream: TextIO, number: int) -> bool:
    """Whether ``stream`` is the process's own stream ``number``."""
    try:
        return stream.fileno() == number
    except (OSError, ValueError, AttributeError):
        return False
