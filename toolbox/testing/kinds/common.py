"""What is relied on whatever the kind of component."""

from __future__ import annotations

import json
import shlex
from typing import Any

from pydantic import ValidationError

from toolbox.api.components import API_VERSION
from toolbox.api.errors import PluginError, UsageError
from toolbox.plugin import schema
from toolbox.plugin.registry import PROTOCOLS, describe
from toolbox.plugin.spec import parse
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.subject import NotMadeError, Subject

# fmt: off
HEAVY = frozenset({
    "torch", "torchvision", "timm", "kornia", "kornia_rs", "torchmetrics", "tensorflow", "keras", "jax",
    "transformers", "datasets", "onnx", "onnxruntime", "numpy", "scipy", "sklearn", "pandas",
    "statsmodels", "skimage", "cv2", "PIL", "matplotlib", "nibabel", "pydicom", "simplejpeg",
    "safetensors",
})
# fmt: on
"""Packages that take long to import."""

MANY = 150
"""Modules that a plugin may import when it is registered."""

check = Checks(without_making=True)
made = Checks()


@check
def described(subject: Subject) -> Problems:
    """The descriptor fills one line of ``toolbox list`` and was written for this version of the hooks.

    What it lacks is refused when the plugin is loaded; here it is also asked for what a reader wants: one line.
    """
    component = subject.offer.component
    if "\n" in component.summary or len(component.summary) > 120:
        yield f"the summary has {len(component.summary)} characters; one line of 120 is what a listing has room for"
    if component.api_version != API_VERSION:
        yield f"it was written for plugin API {component.api_version}; this toolbox speaks {API_VERSION}"
    others = [offer for offer in subject.registry.offers(subject.kind) if offer.component.name == component.name]
    if len(others) > 1:
        yield f"{' and '.join(offer.plugin for offer in others)} offer a {subject.kind} of this name"


@check
def light_when_registered(subject: Subject) -> Problems:
    """Loading the plugin and calling its hooks imports nothing heavy; seen in a process of its own.

    Every listing, help text and completion does both; two seconds for torch would be felt at each press of a key.
    Move what needs it into the module that the factory lies in, or import it in the function that uses it.
    """
    modules = subject.elsewhere("registration")["modules"]
    heavy = sorted(HEAVY & {name.partition(".")[0] for name in modules})
    if heavy:
        yield f"registering the plugin {subject.offer.plugin} imports {', '.join(heavy)}"
    elif len(modules) > MANY:
        yield f"registering the plugin {subject.offer.plugin} imports {len(modules)} modules; {MANY} is plenty"


@check
def factory_found(subject: Subject) -> Problems:
    """The factory that the descriptor names can be imported and called."""
    try:
        _ = subject.factory
    except NotMadeError as error:
        yield str(error)


@check
def documented(subject: Subject) -> Problems:
    """The factory has a docstring and each parameter a description: ``toolbox show`` prints both.

    A description stands in the annotation: ``Annotated[float, Field(ge=0, description="…")]``.
    """
    if describe(subject.factory) in {"", *map(describe, PROTOCOLS[subject.kind])}:
        yield "the factory has no docstring of its own, which is what 'toolbox show' prints"
    try:
        for parameter in subject.parameters:
            if not parameter.description.strip():
                yield f"the parameter {parameter.name!r} has no description"
    except PluginError:
        return  # the next check says it


@check
def typed(subject: Subject) -> Problems:
    """Each parameter can be given by name and has a type, by which a user's value is checked and converted."""
    try:
        model = schema.signature_model(subject.factory, "the factory")
    except PluginError as error:
        yield error.message
        return
    for name, info in model.model_fields.items():
        if info.annotation in (Any, object):
            yield f"the parameter {name!r} takes anything: no value can be checked"


@check
def defaults_valid(subject: Subject) -> Problems:
    """Each default is a value that a user could have given, so that a spec can say what a run was made with."""
    try:
        model = schema.signature_model(subject.factory, "the factory")
    except PluginError:
        return  # the check before says it
    for name, info in model.model_fields.items():
        if info.is_required():
            continue
        try:
            json.dumps(info.default, allow_nan=False)
        except (TypeError, ValueError):
            yield f"the default of {name!r}, {info.default!r}, can't be written in a spec"
            continue
        try:
            model.__pydantic_validator__.validate_assignment(model.model_construct(), name, info.default)
        except ValidationError as error:
            yield f"the default of {name!r}, {info.default!r}, is not valid: {schema.explain(error)}"


@check
def example_valid(subject: Subject) -> Problems:
    """The example, where the descriptor has one, names the component, with parameters that it has."""
    component = subject.offer.component
    if not component.example:
        return
    try:
        words = shlex.split(component.example)
    except ValueError as error:
        yield f"the example {component.example!r} is not what a shell can read: {error}"
        return
    # Also of a setting (--set augment.engine=NAME) and of a list in it (training.trackers=['NAME']).
    values = [*words, *(word.partition("=")[2].strip("[]'\"") for word in words)]
    specs = [value for value in values if value.partition(":")[0] == component.name]
    if not specs:
        yield f"the example {component.example!r} does not use it"
    for spec in specs:
        try:
            schema.validate(subject.factory, parse(spec).parameters, "the example")
        except UsageError as error:
            yield f"{error.message} {error.hint}".rstrip()


@made
def can_be_made(subject: Subject) -> Problems:
    """The factory, called with what the spec gives, returns what its kind promises."""
    try:
        _ = subject.made
    except NotMadeError as error:
        yield str(error)
