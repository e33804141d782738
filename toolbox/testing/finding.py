"""What the kit says, and the checks that say it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolbox.testing.subject import Subject

Problems = Iterable[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a component does otherwise than the toolbox relies on.

    ``component``: its kind and spec, as a user types them; ``check``: the check's name; ``problem``: what was seen,
    in words for the component's author.
    """

    component: str
    check: str
    problem: str

    def __str__(self) -> str:
        return f"{self.component}: {self.problem} [{self.check}]"


@dataclass(frozen=True)
class Check:
    """One thing that the core relies on.

    ``name``: what a finding calls it; ``why``: what relies on it, in words; ``protocol``: components that it is for
    (an augmenter makes copies or mixes batches, and the two are checked by different means); ``without_making``:
    whether it can be made without the component, which may want parameters that nobody gave.
    """

    name: str
    why: str
    run: Callable[[Subject], Problems]
    protocol: type[Any] = object
    without_making: bool = False


class Checks(list[Check]):
    """The checks of one kind, in the order in which they are made."""

    def __init__(self, protocol: type[Any] = object, without_making: bool = False) -> None:
        super().__init__()
        self.protocol = protocol
        self.without_making = without_making

    def __call__(self, function: Callable[[Subject], Problems]) -> Callable[[Subject], Problems]:
        """Add ``function`` as a check: its name with dashes, its docstring is why."""
        name = function.__name__.replace("_", "-")
        self.append(Check(name, inspect.getdoc(function) or "", function, self.protocol, self.without_making))
        return function
