"""Calls into components: a failure names the component and its plugin, and global state that it changes is restored.

A component's code is a third party's. It may raise anything (``SystemExit`` included), return anything, and change
what the whole process shares. Callers wrap each call in :func:`guard` and, where it does enough work to pay for that,
in :func:`isolate`; they refuse a wrong result with :func:`refuse`.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from toolbox.api.errors import ComponentError, ToolboxError
from toolbox.api.progress import Reporter, SilentReporter
from toolbox.plugin.loader import describe_error

_ORIGIN = "_toolbox_origin"
HINT = "Set TOOLBOX_DEBUG=1 to see the traceback."


def set_origin(component: object, text: str) -> None:
    """Attach to ``component`` what :func:`origin` returns; it is kept when the component is pickled."""
    with suppress(AttributeError, TypeError):  # slots
        object.__setattr__(component, _ORIGIN, text)


def origin(component: object) -> str:
    """What messages call ``component`` (or a component that is still being built, which is its name itself)."""
    return str(getattr(component, _ORIGIN, component if isinstance(component, str) else type(component).__name__))


def refuse(component: object, returned: str, expected: str) -> NoReturn:
    """Refuse a wrong result.

    Raises
    ------
    ComponentError: always: ``model 'evil' of plugin toolbox-evil returned …; expected …``.
    """
    raise ComponentError(f"{origin(component)} returned {returned}; expected {expected}")


def a_type(value: object) -> str:
    """The type of a result, for :func:`refuse`: ``a tuple``, ``an int``, ``None``."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@contextmanager
def guard(component: object, *passing: type[BaseException]) -> Iterator[None]:
    """Name ``component`` in whatever its code raises.

    Errors of the toolbox's own, Ctrl-C, lack of memory and the types in ``passing`` are left alone.

    Raises
    ------
    ComponentError: the code raised anything else.
    """
    try:
        yield
    except (ToolboxError, KeyboardInterrupt, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        if isinstance(error, passing) or _is_out_of_memory(error):
            raise
        raise ComponentError(f"{origin(component)} failed: {describe_error(error)}", HINT) from error


@contextmanager
def isolate(component: object, reporter: Reporter | None = None, *, seeds: bool = True) -> Iterator[None]:
    """Restore the global state that ``component`` changes, with a warning that names it.

    That is: working directory, umask, environment, torch's default dtype and number of threads, whether it computes
    gradients, and with ``seeds`` the global random generators of Python, NumPy and torch. It takes half a millisecond.
    """
    before = _State(seeds)
    try:
        yield
    finally:
        if changed := before.restore():
            (reporter or SilentReporter()).warn(f"{origin(component)} changed {', '.join(changed)}; restored")


class _State:
    """The global state of this process at one moment."""

    def __init__(self, seeds: bool) -> None:
        self._values = [(name, read, write, read()) for name, read, write in _accessors(seeds)]

    def restore(self) -> list[str]:
        """Restore what differs now, and name it."""
        changed = []
        for name, read, write, value in self._values:
            if read() != value:
                changed.append(name)
                with suppress(OSError):  # the working directory may be gone
                    write(value)
        return changed


def _accessors(seeds: bool) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], object]]]:
    """What is watched: its name, and how to read and write it. Only libraries that are loaded already."""
    yield "the working directory", _working_directory, os.chdir
    yield "the umask", _umask, os.umask
    yield "the environment", lambda: dict(os.environ), _set_environment
    if seeds:
        yield "Python's random generator", random.getstate, random.setstate
    if seeds and (numpy := sys.modules.get("numpy")):
        yield "NumPy's global random generator", _numpy_state(numpy), numpy.random.set_state
    if torch := sys.modules.get("torch"):
        yield "torch's default dtype", torch.get_default_dtype, torch.set_default_dtype
        yield "torch's number of threads", torch.get_num_threads, torch.set_num_threads
        yield "whether torch computes gradients", torch.is_grad_enabled, torch.set_grad_enabled
        if seeds:
            yield "torch's global random generator", _torch_state(torch), _set_torch_state(torch)


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return ""


def _umask() -> int:
    """The umask, read without changing it where the system tells it: other threads may be creating files."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_environment(values: dict[str, str]) -> None:
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def _numpy_state(numpy: Any) -> Callable[[], Any]:
    def read() -> Any:
        name, key, *rest = numpy.random.get_state()
        return (name, key.tolist(), *rest)

    return read


def _torch_state(torch: Any) -> Callable[[], bytes]:
    return lambda: torch.get_rng_state().numpy().tobytes()


def _set_torch_state(torch: Any) -> Callable[[bytes], object]:
    return lambda state: torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the device has no memory left; the CPU's allocator raises no specific error."""
    return type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
