"""The component that is being checked, made once and whenever a check wants another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from toolbox.api.components import Kind
from toolbox.api.dataset import Dataset
from toolbox.plugin.registry import Registry
from toolbox.plugin.schema import Parameter, parameters
from toolbox.plugin.spec import Spec, parse

_SECONDS = 300
"""How long another process may take."""


class NotMadeError(Exception):
    """The component can't be made; its check says why, and no other one has anything to add."""


class Subject:
    """A component by its kind and spec.

    ``kept``: what checks have made for each other, so that a large model is built once for all of them.
    """

    def __init__(self, kind: Kind, spec: str | Mapping[str, Any] | Spec, registry: Registry) -> None:
        self.kind = kind
        self.spec = spec if isinstance(spec, Spec) else parse(spec)
        self.registry = registry
        self.offer = registry.find(kind, self.spec.name)
        self.kept: dict[object, Any] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.spec}"

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The component's factory, imported."""
        try:
            return self.registry.factory(self.offer)
        except Exception as error:
            raise NotMadeError(_one_line(error)) from error

    @property
    def parameters(self) -> list[Parameter]:
        """What the factory can be given."""
        return parameters(self.factory, str(self))

    @cached_property
    def wanting(self) -> list[str]:
        """Parameters that the factory needs and the spec doesn't give."""
        return [item.name for item in self.parameters if item.required and item.name not in self.spec.parameters]

    @cached_property
    def made(self) -> Any:
        """What the factory gives.

        Raises
        ------
        NotMadeError: it can't be made.
        """
        try:
            return self.again()
        except Exception as error:
            raise NotMadeError(_one_line(error)) from error

    def again(self, **changed: Any) -> Any:
        """Another one, with some parameters changed."""
        return self.registry.make(self.kind, Spec(self.spec.name, {**self.spec.parameters, **changed}))

    def keep(self, name: object, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made once for all checks."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    @property
    def dataset(self) -> Dataset:
        """:attr:`made` of a dataset."""
        made: Dataset = self.made
        return made

    def elsewhere(self, what: str) -> Mapping[str, Any]:
        """What a fresh process says of the component (see :mod:`toolbox.testing.elsewhere`).

        Raises
        ------
        RuntimeError: it fails there.
        """
        plugin = next(status for status in self.registry.plugins if status.name == self.offer.plugin)
        asked: dict[str, Any] = {"what": what, "plugin": [plugin.name, plugin.module]}
        if what == "registration":
            return _registration(json.dumps(asked))
        asked |= {"kind": self.kind, "spec": {"name": self.spec.name, **self.spec.parameters}}
        found: Mapping[str, Any] = self.keep(("elsewhere", what), lambda: _elsewhere(json.dumps(asked, default=str)))
        return found


@lru_cache(maxsize=256)
def _registration(asked: str) -> Mapping[str, Any]:
    """The same for all components of a plugin."""
    return _elsewhere(asked)


def _elsewhere(asked: str) -> Mapping[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "toolbox.testing.elsewhere"],
        input=asked,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=_SECONDS,
        # Strings hash differently there, so that what hangs on the order of a set shows.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "20011"},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"it fails in a process of its own: {last}")
    answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
