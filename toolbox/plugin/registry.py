"""Finds plugins, loads each by itself, and makes components by their specs.

There is no global registry: whoever needs components makes one, or is handed one.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, TypeVar, cast

import pluggy

from toolbox.errors import EnvironmentFailure, PluginError, ToolboxError, UsageError, closest
from toolbox.plugin import schema
from toolbox.plugin.components import API_VERSION, KINDS, Component, Kind
from toolbox.plugin.hookspecs import PROJECT, Hooks
from toolbox.plugin.protocols import Augmenter, Components, Dataset, Evaluator, MixingAugmenter, Model
from toolbox.plugin.spec import Spec, parse

GROUP = "toolbox"
_PROTOCOLS: dict[Kind, tuple[type, ...]] = {
    "dataset": (Dataset,),
    "augmenter": (Augmenter, MixingAugmenter),
    "model": (Model,),
    "evaluator": (Evaluator,),
}
_HOOKS: dict[Kind, str] = {kind: f"toolbox_{kind}s" for kind in KINDS}

T = TypeVar("T")


@dataclass(slots=True)
class PluginStatus:
    """One entry point and what became of it."""

    name: str
    module: str
    distribution: str
    version: str
    components: list[Component] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and who offers it."""

    component: Component
    plugin: str
    distribution: str


class Registry(Components):
    """The components on offer.

    Parameters
    ----------
    entry_points: what to load; by default every installed entry point in the group ``toolbox``.
    """

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self.plugins: list[PluginStatus] = []
        self._offers: dict[tuple[Kind, str], list[Offer]] = {}
        found = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
        for entry_point in sorted(found, key=lambda point: (point.name, point.value)):
            self._take_in(entry_point)

    def offers(self, kind: Kind | None = None) -> list[Offer]:
        """Every component of ``kind`` (of all kinds), by kind and name."""
        return [
            offer
            for (of_kind, _), offers in sorted(self._offers.items(), key=lambda item: _order(item[0]))
            if kind in (None, of_kind)
            for offer in offers
        ]

    def names(self, kind: Kind) -> list[str]:
        """The names of the components of ``kind``, sorted."""
        return sorted(name for of_kind, name in self._offers if of_kind == kind)

    def find(self, kind: Kind, name: str) -> Offer:
        """The component ``name`` of ``kind``.

        Raises
        ------
        UsageError: there is none, or two plugins offer it.
        """
        offers = self._offers.get((kind, name), [])
        if not offers:
            raise UsageError(f"no {kind} is called {name!r}", self._hint(kind, name))
        if len(offers) > 1:
            who = " and ".join(f"{offer.plugin} ({offer.distribution})" for offer in offers)
            raise UsageError(f"the {kind} {name!r} is offered by {who}", "Uninstall one of them.")
        return offers[0]

    def factory(self, offer: Offer) -> Callable[..., Any]:
        """The factory behind ``offer``, imported now.

        Raises
        ------
        PluginError: it can't be imported.
        """
        module, _, attribute = offer.component.factory.partition(":")
        what = f"the {offer.component.kind} {offer.component.name!r} of plugin {offer.plugin}"
        try:
            with _stdout_kept_clean():
                thing: Any = importlib.import_module(module)
                for part in attribute.split("."):
                    thing = getattr(thing, part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            needs = " ".join(f"'{requirement}'" for requirement in offer.component.requires)
            if needs and isinstance(error, ModuleNotFoundError):
                raise EnvironmentFailure(
                    f"{what} needs the package {error.name}, which is not installed", f"Run: pip install {needs}"
                ) from error
            hint = f"It needs: {needs}." if needs else ""
            raise PluginError(f"{what} can't be imported: {_reason(error)}", hint) from error
        if not callable(thing):
            raise PluginError(f"the factory of {what} is not callable")
        return cast(Callable[..., Any], thing)

    def make(self, kind: Kind, spec: str | Mapping[str, Any] | Spec) -> Any:
        """The component that ``spec`` describes, made.

        Raises
        ------
        UsageError: unknown name or parameter, or a bad value.
        PluginError: the plugin breaks its contract.
        """
        spec = spec if isinstance(spec, Spec) else parse(spec)
        offer = self.find(kind, spec.name)
        factory = self.factory(offer)
        arguments = schema.validated(factory, spec.parameters, f"{kind} {spec.name!r}")
        try:
            made = factory(**arguments, **dict.fromkeys(schema.handed(factory), self))
        except (ToolboxError, KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:
            raise PluginError(f"{kind} {spec.name!r} of plugin {offer.plugin} failed: {_reason(error)}") from error
        if not isinstance(made, _PROTOCOLS[kind]):
            raise PluginError(
                f"the factory of {kind} {spec.name!r} (plugin {offer.plugin}) returned"
                f" {type(made).__name__}, not a {_PROTOCOLS[kind][0].__name__}"
            )
        return made

    def dataset(self, spec: str | Mapping[str, Any] | Spec) -> Dataset:
        """:meth:`make` for a dataset."""
        return cast(Dataset, self.make("dataset", spec))

    def augmenter(self, spec: str | Mapping[str, Any] | Spec) -> Augmenter:
        """:meth:`make` for an augmenter that makes copies.

        Raises
        ------
        UsageError: it mixes batches, which only training can do.
        """
        made = self.online_augmenter(spec)
        if isinstance(made, MixingAugmenter):
            name = (spec if isinstance(spec, Spec) else parse(spec)).name
            raise UsageError(
                f"{name} mixes the images of a batch while training: there are no copies to make or to chain",
                f"Train with --train-on online --augmenter {name}.",
            )
        return made

    def online_augmenter(self, spec: str | Mapping[str, Any] | Spec) -> Augmenter | MixingAugmenter:
        """:meth:`make` for an augmenter of either kind, for use while training."""
        return cast("Augmenter | MixingAugmenter", self.make("augmenter", spec))

    def model(self, spec: str | Mapping[str, Any] | Spec) -> Model:
        """:meth:`make` for a model."""
        return cast(Model, self.make("model", spec))

    def evaluator(self, spec: str | Mapping[str, Any] | Spec) -> Evaluator:
        """:meth:`make` for an evaluator."""
        return cast(Evaluator, self.make("evaluator", spec))

    def failures(self) -> list[PluginStatus]:
        """The plugins that are installed but don't work."""
        return [plugin for plugin in self.plugins if plugin.error]

    def _take_in(self, entry_point: metadata.EntryPoint) -> None:
        status = PluginStatus(
            name=entry_point.name,
            module=entry_point.value,
            distribution=entry_point.dist.name if entry_point.dist else "",
            version=entry_point.dist.version if entry_point.dist else "",
        )
        self.plugins.append(status)
        name = f"{entry_point.name} ({entry_point.value})"
        try:
            with _stdout_kept_clean():
                plugin = entry_point.load()
                self._manager.register(plugin, name)
                self._manager.check_pending()
                status.components = list(self._components_of(plugin))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Whatever a plugin does (SystemExit included), it must not take the others down with it.
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            status.error = _reason(error)
            return
        for component in status.components:
            offer = Offer(component, entry_point.name, status.distribution)
            self._offers.setdefault((component.kind, component.name), []).append(offer)

    def _components_of(self, plugin: Any) -> Iterable[Component]:
        """What ``plugin`` offers, each descriptor checked."""
        for kind, hook_name in _HOOKS.items():
            hook = getattr(self._manager.hook, hook_name)
            for implementation in hook.get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                for component in implementation.function():
                    if not isinstance(component, Component) or component.kind != kind:
                        raise PluginError(f"{hook_name} gave {component!r}, which is no {kind} component")
                    if component.api_version != API_VERSION:
                        raise PluginError(
                            f"{kind} {component.name!r} was written for plugin API"
                            f" {component.api_version}; this toolbox speaks {API_VERSION}"
                        )
                    yield component

    def _hint(self, kind: Kind, name: str) -> str:
        failed = ", ".join(f"{plugin.name} ({plugin.error})" for plugin in self.failures())
        hint = closest(name, self.names(kind)) or f"See 'toolbox list {kind}'."
        elsewhere = [of_kind for of_kind, known in self._offers if known == name]
        if elsewhere:
            hint = f"{name!r} is {_article(elsewhere[0])}, not {_article(kind)}."
        return f"{hint} Plugins that failed to load: {failed}." if failed else hint


def describe(factory: Callable[..., Any]) -> str:
    """The factory's docstring: what a person should know of the component."""
    return inspect.getdoc(factory) or ""


def as_kind(text: str) -> Kind:
    """``text`` as a kind, singular or plural.

    Raises
    ------
    UsageError: it is none.
    """
    for kind in KINDS:
        if text.lower() in (kind, f"{kind}s"):
            return kind
    raise UsageError(f"{text!r} is no kind of component", f"Kinds: {', '.join(KINDS)}.")


@contextlib.contextmanager
def _stdout_kept_clean() -> Any:
    """What a plugin prints while it loads goes to stderr: stdout may be one JSON document."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _order(key: tuple[Kind, str]) -> tuple[int, str]:
    return KINDS.index(key[0]), key[1]


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
