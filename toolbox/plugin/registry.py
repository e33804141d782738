"""Finds plugins, loads each by itself, and builds components by their specs.

There is no global registry: create one, or pass one on.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar, cast

from toolbox.api.augmenter import Augmenter, MixingAugmenter
from toolbox.api.components import KINDS, Component, Components, Kind
from toolbox.api.dataset import Dataset, VirtualDataset
from toolbox.api.engine import Engine
from toolbox.api.errors import EnvironmentFailure, PluginError, UsageError, closest
from toolbox.api.evaluator import Evaluator
from toolbox.api.model import Model
from toolbox.api.quiet import stdout_on_stderr
from toolbox.api.tracker import Tracker
from toolbox.plugin import disabled, discovery, guard, schema
from toolbox.plugin.discovery import GROUP
from toolbox.plugin.loader import PluginStatus, describe_error, load_plugins
from toolbox.plugin.spec import Spec, parse

__all__ = ["GROUP", "Offer", "PluginStatus", "Registry", "as_kind", "describe"]

PROTOCOLS: dict[Kind, tuple[type, ...]] = {
    "dataset": (Dataset, VirtualDataset),
    "augmenter": (Augmenter, MixingAugmenter),
    "model": (Model,),
    "evaluator": (Evaluator,),
    "tracker": (Tracker,),
    "engine": (Engine,),
}
"""What a factory returns, by kind: an instance of one of these."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and who offers it."""

    component: Component
    plugin: str
    distribution: str

    def document(self) -> dict[str, str]:
        """The offer as ``--json`` prints it."""
        described = {"kind": self.component.kind, "name": self.component.name, "summary": self.component.summary}
        return {**described, "plugin": self.plugin, "distribution": self.distribution}


class Registry(Components):
    """The components on offer.

    Parameters
    ----------
    entry_points: what to load; by default every installed entry point in the group ``toolbox`` that the user has
        not disabled.
    """

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        if entry_points is None:
            saved, environment = disabled.load(), disabled.from_environment()
            plugins = [(plugin, disabled.disabled_by(plugin, saved, environment)) for plugin in discovery.installed()]
        else:
            described = map(discovery.metadata_of, entry_points)
            plugins = [(plugin, "") for plugin in discovery.in_order(described)]
        self._status = load_plugins(plugins)
        self._offers: dict[tuple[Kind, str], list[Offer]] = {}
        for status in self._status:
            components, status.components = status.components, []
            for component in components:
                self._offer(component, status)
        self._report_clashes()

    @property
    def plugins(self) -> list[PluginStatus]:
        """Every plugin that is installed, by name."""
        return sorted(self._status, key=lambda status: (status.name, status.module))

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
            with stdout_on_stderr():
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
            raise PluginError(f"{what} can't be imported: {describe_error(error)}", hint) from error
        if not callable(thing):
            raise PluginError(f"the factory of {what} is not callable")
        return cast(Callable[..., Any], thing)

    def make(self, kind: Kind, spec: str | Mapping[str, Any] | Spec) -> Any:
        """Build the component that ``spec`` describes.

        Raises
        ------
        UsageError: unknown name or parameter, or a bad value.
        ComponentError: the plugin breaks its contract.
        """
        spec = spec if isinstance(spec, Spec) else parse(spec)
        offer = self.find(kind, spec.name)
        factory = self.factory(offer)
        arguments = schema.validate(factory, spec.parameters, f"{kind} {spec.name!r}")
        label = f"{kind} {spec.name!r} of plugin {offer.plugin}"
        with guard.guard(label):
            component = factory(**arguments, **dict.fromkeys(schema.components_parameters(factory), self))
        if not isinstance(component, PROTOCOLS[kind]):
            guard.refuse(label, guard.a_type(component), f"a {PROTOCOLS[kind][0].__name__}")
        guard.set_origin(component, label)
        return component

    def dataset(self, spec: str | Mapping[str, Any] | Spec) -> Dataset:
        """:meth:`make` for a dataset."""
        return cast(Dataset, self.make("dataset", spec))

    def augmenter(self, spec: str | Mapping[str, Any] | Spec) -> Augmenter:
        """:meth:`make` for an augmenter that makes copies.

        Raises
        ------
        UsageError: it mixes batches, which only training can do.
        """
        augmenter = self.online_augmenter(spec)
        if isinstance(augmenter, MixingAugmenter):
            name = (spec if isinstance(spec, Spec) else parse(spec)).name
            raise UsageError(
                f"{name} mixes the images of a batch while training: there are no copies to make or to chain",
                f"Train with --train-on online --augmenter {name}.",
            )
        return augmenter

    def online_augmenter(self, spec: str | Mapping[str, Any] | Spec) -> Augmenter | MixingAugmenter:
        """:meth:`make` for an augmenter of either kind, for use while training."""
        return cast("Augmenter | MixingAugmenter", self.make("augmenter", spec))

    def model(self, spec: str | Mapping[str, Any] | Spec) -> Model:
        """:meth:`make` for a model."""
        return cast(Model, self.make("model", spec))

    def evaluator(self, spec: str | Mapping[str, Any] | Spec) -> Evaluator:
        """:meth:`make` for an evaluator."""
        return cast(Evaluator, self.make("evaluator", spec))

    def tracker(self, spec: str | Mapping[str, Any] | Spec) -> Tracker:
        """:meth:`make` for a tracker."""
        return cast(Tracker, self.make("tracker", spec))

    def engine(self, spec: str | Mapping[str, Any] | Spec) -> Engine:
        """:meth:`make` for an engine."""
        return cast(Engine, self.make("engine", spec))

    def parameters(self, offer: Offer) -> list[schema.Parameter]:
        """The parameters of a component, whose factory is imported for it.

        Raises
        ------
        PluginError: the factory can't be imported, or has no usable signature.
        """
        return schema.parameters(self.factory(offer), f"{offer.component.kind} {offer.component.name!r}")

    def failures(self) -> list[PluginStatus]:
        """The plugins that are installed but don't work as they should."""
        return [plugin for plugin in self.plugins if plugin.error]

    def _offer(self, component: Component, status: PluginStatus) -> None:
        """Add a component; the toolbox's own keep their names, so that no plugin changes what a command means."""
        offers = self._offers.setdefault((component.kind, component.name), [])
        if offers and not status.shipped and offers[0].distribution == discovery.OWN:
            status.error = f"offers the {component.kind} {component.name!r}, a name that {offers[0].plugin} has already"
            return
        status.components.append(component)
        offers.append(Offer(component, status.name, status.distribution))

    def _report_clashes(self) -> None:
        """Name both plugins where two offer one name; neither is used, since either might be meant."""
        for (kind, name), offers in self._offers.items():
            for status in self._status:
                if len(offers) > 1 and any(offer.plugin == status.name for offer in offers):
                    others = " and ".join(offer.plugin for offer in offers if offer.plugin != status.name)
                    status.error = f"offers the {kind} {name!r}, and so does {others}"

    def _hint(self, kind: Kind, name: str) -> str:
        failed = ", ".join(plugin.name for plugin in self.failures())
        hint = closest(name, self.names(kind)) or f"See 'toolbox list {kind}'."
        elsewhere = [of_kind for of_kind, known in self._offers if known == name]
        if elsewhere:
            hint = f"{name!r} is {_article(elsewhere[0])}, not {_article(kind)}."
        without = ", ".join(f"{plugin.name} (by {plugin.disabled_by})" for plugin in self.plugins if plugin.disabled_by)
        hint = f"{hint} Disabled plugins: {without}." if without else hint
        return f"{hint} Plugins with a fault: {failed}; see 'toolbox doctor'." if failed else hint


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


def _order(key: tuple[Kind, str]) -> tuple[int, str]:
    return KINDS.index(key[0]), key[1]


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
