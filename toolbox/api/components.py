"""Descriptors: what a hook returns for each component that a plugin offers.

The factory is a string, imported only when the component is used, so that listing components never imports torch.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

if TYPE_CHECKING:
    from toolbox.api.augmenter import Augmenter
    from toolbox.api.dataset import Dataset
    from toolbox.api.evaluator import Evaluator
    from toolbox.api.model import Model

Kind = Literal["dataset", "augmenter", "model", "evaluator", "tracker", "engine"]
KINDS: tuple[Kind, ...] = get_args(Kind)

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
    api_version: the :data:`API_VERSION` the component was written for. State it: it is 1 where it is missing, and
        a later toolbox can tell from it that the plugin is older.
    example: a command line for ``toolbox show`` to print, ``toolbox …``; a plain one is made up without it.

    Raises
    ------
    ValueError: a name, factory, summary or example not of this form.
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
    """A dataset; the factory returns a :class:`toolbox.api.dataset.Dataset`."""

    kind: ClassVar[Kind] = "dataset"


@dataclass(frozen=True, slots=True)
class AugmenterComponent(Component):
    """An augmenter; the factory returns a :class:`toolbox.api.augmenter.Augmenter`."""

    kind: ClassVar[Kind] = "augmenter"


@dataclass(frozen=True, slots=True)
class ModelComponent(Component):
    """A model; the factory returns a :class:`toolbox.api.model.Model`."""

    kind: ClassVar[Kind] = "model"


@dataclass(frozen=True, slots=True)
class EvaluatorComponent(Component):
    """An evaluator; the factory returns a :class:`toolbox.api.evaluator.Evaluator`."""

    kind: ClassVar[Kind] = "evaluator"


@dataclass(frozen=True, slots=True)
class TrackerComponent(Component):
    """A tracker; the factory returns a :class:`toolbox.api.tracker.Tracker`."""

    kind: ClassVar[Kind] = "tracker"


@dataclass(frozen=True, slots=True)
class EngineComponent(Component):
    """An engine; the factory returns a :class:`toolbox.api.engine.Engine`."""

    kind: ClassVar[Kind] = "engine"


class Components(ABC):
    """Makes components from specs, for a component that is made of others.

    A factory with a parameter annotated as ``Components`` gets one that knows all that is installed. Such a parameter
    is no option: it can't be given in a spec, and ``toolbox show`` does not list it. Use it in the factory and do not
    keep it, since components travel between processes.
    """

    @abstractmethod
    def dataset(self, spec: str | Mapping[str, Any]) -> Dataset:
        """The dataset that ``spec`` describes (``"folder:path=here"``, ``{"name": "folder", "path": "here"}``).

        Raises
        ------
        toolbox.api.errors.UsageError: unknown name or parameter, or a bad value.
        toolbox.api.errors.PluginError: its plugin breaks its contract.
        """

    @abstractmethod
    def augmenter(self, spec: str | Mapping[str, Any]) -> Augmenter:
        """:meth:`dataset` for an augmenter. One that mixes batches is a ``UsageError``."""

    @abstractmethod
    def model(self, spec: str | Mapping[str, Any]) -> Model:
        """:meth:`dataset` for a model."""

    @abstractmethod
    def evaluator(self, spec: str | Mapping[str, Any]) -> Evaluator:
        """:meth:`dataset` for an evaluator."""
