"""What a plugin says of a component before anything heavy is imported.

A hook returns these small frozen descriptors. The factory is a string that is imported only when the component
is used, so a listing, a help text or a completion never pays for torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

Kind = Literal["dataset", "augmenter", "model", "evaluator"]
KINDS: tuple[Kind, ...] = ("dataset", "augmenter", "model", "evaluator")

API_VERSION = 1
"""Version of the contract between core and plugins; raised when a plugin written for the old one would break."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_EXAMPLE = re.compile(r"toolbox [^\n]+\Z")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


@dataclass(frozen=True, slots=True)
class Component:
    """A named thing that a plugin offers.

    Parameters
    ----------
    name: lower-case letters, digits, ``-``, ``_`` and ``.``; what a user types.
    summary: one line for listings.
    factory: ``"package.module:callable"``. Its keyword parameters, with annotations and defaults, are the
        component's parameters: they give the options, their validation, and what ``toolbox show`` prints.
    requires: distributions (or extras) that the factory needs beyond the plugin's own dependencies.
    api_version: the :data:`API_VERSION` the component was written for. What doesn't say is of the first version, and
        stays so: a later toolbox knows from it that the plugin is older.
    example: a command line that uses it, ``toolbox …``, which ``toolbox show`` prints; without one, a plain one.

    Raises
    ------
    ValueError: a name, factory, summary or example that is not of this form.
    """

    name: str
    summary: str
    factory: str
    requires: tuple[str, ...] = ()
    api_version: int = 1
    example: str = ""

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise ValueError(f"component name {self.name!r}: use lower-case letters, digits, '-', '_' and '.'")
        if not isinstance(self.factory, str) or not _FACTORY.match(self.factory):
            raise ValueError(f"factory {self.factory!r} of {self.name!r}: write 'package.module:callable'")
        if not isinstance(self.summary, str) or not self.summary.strip():
            raise ValueError(f"component {self.name!r} has no summary")
        if not isinstance(self.example, str) or (self.example and not _EXAMPLE.match(self.example)):
            raise ValueError(f"example {self.example!r} of {self.name!r}: write one line that begins with 'toolbox '")


@dataclass(frozen=True, slots=True)
class DatasetComponent(Component):
    """A dataset; the factory returns a :class:`toolbox.api.protocols.Dataset`."""

    kind: ClassVar[Kind] = "dataset"


@dataclass(frozen=True, slots=True)
class AugmenterComponent(Component):
    """An augmenter; the factory returns a :class:`toolbox.api.protocols.Augmenter`."""

    kind: ClassVar[Kind] = "augmenter"


@dataclass(frozen=True, slots=True)
class ModelComponent(Component):
    """A model; the factory returns a :class:`toolbox.api.protocols.Model`."""

    kind: ClassVar[Kind] = "model"


@dataclass(frozen=True, slots=True)
class EvaluatorComponent(Component):
    """An evaluator; the factory returns a :class:`toolbox.api.protocols.Evaluator`."""

    kind: ClassVar[Kind] = "evaluator"
