"""A check, and what it finds."""

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
    """Something that a component does differently from what the toolbox relies on.

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
    """One property that the toolbox relies on.

    ``name``: what findings call it; ``why``: what relies on it; ``run``: yields problems; ``protocol``: the class of
    components that have it (:class:`Augmenter` or :class:`MixingAugmenter`, say); ``builds``: whether it needs the
    component itself, rather than its descriptor and factory alone.
    """

    name: str
    why: str
    run: Callable[[Subject], Problems]
    protocol: type[Any] | tuple[type[Any], ...]
    builds: bool


class Checks(list[Check]):
    """The checks of one kind; calling it with a function adds one, in the function's name and docstring."""

    def __init__(self, protocol: type[Any] | tuple[type[Any], ...] = object, builds: bool = True) -> None:
        super().__init__()
        self.protocol = protocol
        self.builds = builds

    def __call__(self, function: Callable[[Subject], Problems]) -> Callable[[Subject], Problems]:
        """Add ``function`` as a check, its name with dashes."""
        name = function.__name__.replace("_", "-")
        self.append(Check(name, inspect.getdoc(function) or "", function, self.protocol, self.builds))
        return function
