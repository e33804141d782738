"""The component under test, built once for all checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from toolbox.api.components import Kind
from toolbox.plugin.registry import Registry
from toolbox.plugin.schema import Parameter, parameters
from toolbox.plugin.spec import Spec, parse


class BuildError(Exception):
    """The component can't be built. One check reports it; the others have nothing to add."""


class Subject:
    """A component by its kind and spec."""

    def __init__(self, kind: Kind, spec: str | Mapping[str, Any] | Spec, registry: Registry) -> None:
        self.kind = kind
        self.spec = spec if isinstance(spec, Spec) else parse(spec)
        self.registry = registry
        self.offer = registry.find(kind, self.spec.name)
        self._cache: dict[object, Any] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.spec}"

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The component's factory.

        Raises
        ------
        BuildError: it can't be imported.
        """
        factory: Callable[..., Any] = _translated(lambda: self.registry.factory(self.offer))
        return factory

    @property
    def parameters(self) -> list[Parameter]:
        """The factory's parameters."""
        return parameters(self.factory, str(self))

    @property
    def missing(self) -> list[str]:
        """Parameters that the factory requires and the spec does not set."""
        return [item.name for item in self.parameters if item.required and item.name not in self.spec.parameters]

    @cached_property
    def component(self) -> Any:
        """What the factory returns.

        Raises
        ------
        BuildError: it can't be built.
        """
        return _translated(self.rebuild)

    def rebuild(self, **changes: Any) -> Any:
        """Build another one, with ``changes`` to the parameters."""
        return self.registry.make(self.kind, Spec(self.spec.name, {**self.spec.parameters, **changes}))

    def cached(self, key: object, compute: Callable[[], Any]) -> Any:
        """The result of ``compute``, computed once for all checks of this component."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]


def _translated(build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:
        raise BuildError(" ".join(str(error).split()) or type(error).__name__) from error
