"""``toolbox list``, ``show`` and ``doctor``: what is available, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from toolbox.cli import completion
from toolbox.cli.command import Call, command

app = typer.Typer()
PANEL = "Look around"
KINDS = "dataset, augmenter, model, evaluator, tracker or engine."


@command(app, name="list", panel=PANEL)
def list_components(
    call: Call,
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help=KINDS, autocompletion=completion.KIND)] = "",
) -> None:
    """List the available components by kind, and the plugin that each comes from."""
    from toolbox.cli.views.components import components_table
    from toolbox.plugin.registry import Registry, as_kind

    registry = Registry()
    offers = registry.offers(as_kind(kind) if kind else None)
    call.terminal.show(*components_table(offers))
    call.warn_of_broken_plugins(registry)
    call.terminal.emit({"components": [offer.document() for offer in offers]})


@command(app, panel=PANEL)
def show(
    call: Call,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=KINDS, autocompletion=completion.KIND)],
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The component, or a spec of a model.", autocompletion=completion.OF_KIND),
    ],
) -> None:
    """Show one component: what it does, its parameters, and the plugin that it comes from."""
    from toolbox.cli.views.components import component_details, model_parts
    from toolbox.plugin import schema
    from toolbox.plugin.registry import Registry, as_kind, describe
    from toolbox.plugin.spec import parse

    registry, spec = Registry(), parse(name)
    offer = registry.find(as_kind(kind), spec.name)
    component, factory = offer.component, registry.factory(offer)
    parameters = schema.parameters(factory, f"{component.kind} {spec.name!r}")
    description, example = describe(factory), schema.example(component, parameters)
    call.terminal.show(*component_details(offer, description, parameters, example))
    document: dict[str, Any] = {
        "kind": component.kind,
        "name": spec.name,
        "plugin": offer.plugin,
        "summary": component.summary,
        "description": description,
        "example": example,
        "parameters": [item.document() for item in parameters],
    }
    missing = [item for item in parameters if item.required and item.name not in spec.parameters]
    if component.kind == "model" and not missing:
        from toolbox.models.describe import outline

        document["parts"] = outline(spec, registry.model(spec))
        call.terminal.show(*model_parts(document["parts"]))
    call.terminal.emit(document)


@command(app, panel=PANEL)
def doctor(call: Call) -> None:
    """Show what is installed, which device is used, and which plugins failed, why, and how to fix them."""
    from toolbox.cli.views.components import environment_table, plugin_failures
    from toolbox.plugin.registry import Registry
    from toolbox.settings import environment

    registry = Registry()
    report = {**environment.versions(), **environment.describe_hardware()}
    call.terminal.show(environment_table(report), *plugin_failures(registry))
    failures = [plugin.document() for plugin in registry.failures()]
    failed = [{key: failure[key] for key in ("name", "distribution", "error", "hint")} for failure in failures]
    call.terminal.emit({"environment": report, "plugins": len(registry.plugins), "failed_plugins": failed})
