"""Loads one plugin by itself: whatever it does, the caller gets its descriptors or a reason, and soon.

In one process there is no wall against code that is hostile, ends the process (``os._exit``) or holds Python's global
lock for ever; this is about code that is broken.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, TypeVar

import pluggy

from toolbox.api.components import API_VERSION, KINDS, Component, Kind
from toolbox.api.errors import PluginError, closest
from toolbox.api.hooks import PROJECT, Hooks
from toolbox.api.quiet import stdout_on_stderr

LIMIT_VARIABLE = "TOOLBOX_PLUGIN_TIMEOUT"
LIMIT = 10.0
"""Seconds that a plugin may take to load. A good one takes some milliseconds: it imports nothing heavy."""

HOOKS: dict[Kind, str] = {kind: f"toolbox_{kind}s" for kind in KINDS}
_POLL = 0.1
_slow: dict[str, str] = {}  # those that were given up: a module that still hangs must not be waited for again

T = TypeVar("T")


def load(entry_point: metadata.EntryPoint) -> list[Component]:
    """The components behind ``entry_point``, each descriptor checked.

    Raises
    ------
    PluginError: the plugin breaks its contract, or takes longer than ``TOOLBOX_PLUGIN_TIMEOUT`` seconds.
    BaseException: whatever the plugin raised itself, ``SystemExit`` included.
    """
    hint = f"It may only be slow: {LIMIT_VARIABLE}=60 gives it a minute."
    if entry_point.value in _slow:
        raise PluginError(_slow[entry_point.value], hint)
    try:
        with stdout_on_stderr():
            return within(limit(), lambda: _load(entry_point))
    except TimeoutError:
        _slow[entry_point.value] = f"took more than {limit():g} seconds to load and was given up"
        raise PluginError(_slow[entry_point.value], hint) from None


def limit() -> float:
    """Seconds that a plugin may take: ``TOOLBOX_PLUGIN_TIMEOUT`` where that is a number above 0."""
    try:
        seconds = float(os.environ.get(LIMIT_VARIABLE, ""))
    except ValueError:
        return LIMIT
    return seconds if 0 < seconds < threading.TIMEOUT_MAX else LIMIT


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, from a thread that is given up after ``seconds``.

    A thread, since signals can't interrupt an import on Windows, and not off the main thread anywhere.

    Raises
    ------
    TimeoutError: it took longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="toolbox-plugin", daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    try:
        # In short turns: on Windows a wait can't be interrupted by Ctrl-C.
        while not done.wait(min(_POLL, max(end - time.monotonic(), 0))):
            if time.monotonic() >= end:
                _stop(thread)
                raise TimeoutError
    except KeyboardInterrupt:
        _stop(thread)
        raise
    if errors:
        # A plugin's own KeyboardInterrupt is no Ctrl-C: those reach the main thread.
        error = errors[0]
        raise PluginError("raised KeyboardInterrupt") if isinstance(error, KeyboardInterrupt) else error
    return results[0]


def reason(error: BaseException) -> str:
    """``error`` in one line."""
    if isinstance(error, PluginError):
        return error.message
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _stop(thread: threading.Thread) -> None:
    """Have ``thread`` end at its next step in Python, so that it neither computes nor prints into what follows."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def _load(entry_point: metadata.EntryPoint) -> list[Component]:
    if not entry_point.pattern.match(entry_point.value):
        raise PluginError(
            f"its entry point {entry_point.value!r} is neither 'package.module' nor 'package.module:name'"
        )
    plugin = entry_point.load()
    _check_hooks(plugin)
    # A manager for each plugin: none can get in the way of another, and there is nothing to take back.
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(plugin, entry_point.name)
    manager.check_pending()
    found: dict[tuple[Kind, str], Component] = {}
    for kind, name in HOOKS.items():
        for implementation in getattr(manager.hook, name).get_hookimpls():
            for component in _called(name, implementation.function):
                _check(component, kind, name)
                if (kind, component.name) in found:
                    raise PluginError(f"{name} gave the name {component.name!r} twice")
                found[kind, component.name] = component
    return list(found.values())


def _check_hooks(plugin: Any) -> None:
    """Refuse hooks that nobody would call: misspelt ones, and those without ``@hookimpl``."""
    for name in dir(plugin):
        method = getattr(plugin, name, None)
        if not inspect.isroutine(method):
            continue
        marked = getattr(method, f"{PROJECT}_impl", None)
        if marked is None:
            if name in HOOKS.values():
                raise PluginError(f"{name} is not marked with @hookimpl")
            continue
        hook = marked.get("specname") or name
        if hook not in HOOKS.values():
            raise PluginError(f"there is no hook {hook!r}. {closest(hook, HOOKS.values())}".rstrip())
        wanted = list(inspect.signature(method).parameters)
        if wanted:
            raise PluginError(f"{name} has the wrong signature: the hook hands over nothing, not {', '.join(wanted)}")


def _called(name: str, function: Callable[[], Any]) -> Iterator[Any]:
    given = function()
    try:
        descriptors = iter(given)
    except TypeError:
        raise PluginError(f"{name} gave {type(given).__name__}, not descriptors one by one (yield them)") from None
    yield from descriptors


def _check(component: Any, kind: Kind, hook: str) -> None:
    if not isinstance(component, Component) or component.kind != kind:
        raise PluginError(f"{hook} gave {component!r}, which is no {kind} component")
    if type(component.api_version) is not int:
        raise PluginError(f"its {kind} {component.name!r} has the api_version {component.api_version!r}, no number")
    if component.api_version != API_VERSION:
        raise PluginError(
            f"its {kind} {component.name!r} was written for plugin API {component.api_version};"
            f" this toolbox speaks {API_VERSION}",
            "The toolbox is older than the plugin: pip install --upgrade vision-toolbox"
            if component.api_version > API_VERSION
            else "The plugin is older than the toolbox.",
        )
