"""What holds for components of every kind: descriptor, factory, parameters."""

from __future__ import annotations

import json
import pickle
import shlex
from typing import Any

from pydantic import ValidationError

from toolbox.api.components import API_VERSION
from toolbox.api.errors import PluginError, UsageError
from toolbox.plugin import schema
from toolbox.plugin.registry import PROTOCOLS, describe
from toolbox.plugin.spec import parse
from toolbox.testing.check import Checks, Problems
from toolbox.testing.second_process import imported_modules
from toolbox.testing.subject import BuildError, Subject

# fmt: off
HEAVY = frozenset({
    "torch", "torchvision", "timm", "kornia", "kornia_rs", "torchmetrics", "tensorflow", "keras", "jax",
    "transformers", "datasets", "onnx", "onnxruntime", "numpy", "scipy", "sklearn", "pandas",
    "statsmodels", "skimage", "cv2", "PIL", "matplotlib", "nibabel", "pydicom", "simplejpeg",
    "safetensors",
})
# fmt: on
"""Packages that take long to import."""

MAX_MODULES = 150
"""Modules that a plugin may import when it registers."""

CHECKS = check = Checks(builds=False)


@check
def described(subject: Subject) -> Problems:
    """The descriptor fills one line of ``toolbox list`` and was written for this version of the hooks."""
    component = subject.offer.component
    if "\n" in component.summary or len(component.summary) > 120:
        yield f"the summary has {len(component.summary)} characters; a listing has room for one line of 120"
    if component.api_version != API_VERSION:
        yield f"it was written for plugin API {component.api_version}; this toolbox supports {API_VERSION}"


@check
def imports_nothing_heavy(subject: Subject) -> Problems:
    """Loading the plugin and calling its hooks imports nothing heavy; seen in a process of its own.

    Every listing, help text and completion does both, and importing torch takes two seconds. Move such imports into
    the factory's module, or into the function that needs them.
    """
    modules = imported_modules(subject)
    heavy = sorted(HEAVY & {name.partition(".")[0] for name in modules})
    if heavy:
        yield f"registering the plugin {subject.offer.plugin} imports {', '.join(heavy)}"
    elif len(modules) > MAX_MODULES:
        yield f"registering the plugin {subject.offer.plugin} imports {len(modules)} modules, more than {MAX_MODULES}"


@check
def factory_exists(subject: Subject) -> Problems:
    """The factory that the descriptor names can be imported and called."""
    try:
        _ = subject.factory
    except BuildError as error:
        yield str(error)


@check
def documented(subject: Subject) -> Problems:
    """The factory has a docstring and each parameter a description: ``toolbox show`` prints both.

    A description is part of the annotation: ``Annotated[float, Field(ge=0, description="…")]``.
    """
    if describe(subject.factory) in {"", *map(describe, PROTOCOLS[subject.kind])}:
        yield "the factory has no docstring of its own, which 'toolbox show' prints"
    for name, info in _fields(subject).items():
        if not (info.description or "").strip():
            yield f"the parameter {name!r} has no description"


@check
def typed(subject: Subject) -> Problems:
    """Each parameter can be passed by name and has a type, by which a user's value is checked and converted."""
    try:
        fields = schema.signature_model(subject.factory, "the factory").model_fields
    except PluginError as error:
        yield error.message
        return
    for name, info in fields.items():
        if info.annotation in (Any, object):
            yield f"the parameter {name!r} accepts anything: no value can be checked"


@check
def defaults_valid(subject: Subject) -> Problems:
    """Each default is a value that a user could have typed, so that a spec can record what a run was made with."""
    for name, info in _fields(subject).items():
        if info.is_required():
            continue
        try:
            json.dumps(info.default, allow_nan=False)
            model = schema.signature_model(subject.factory, "the factory")
            model.__pydantic_validator__.validate_assignment(model.model_construct(), name, info.default)
        except ValidationError as error:
            yield f"the default of {name!r}, {info.default!r}, is not valid: {schema.explain(error)}"
        except (TypeError, ValueError):
            yield f"the default of {name!r}, {info.default!r}, can't be written in a spec"


@check
def example_valid(subject: Subject) -> Problems:
    """The example, if the descriptor has one, names the component, with parameters that it has."""
    component = subject.offer.component
    if not component.example:
        return
    try:
        words = shlex.split(component.example)
    except ValueError as error:
        yield f"a shell can't read the example {component.example!r}: {error}"
        return
    # Settings name components too: --set augment.engine=NAME, --set training.trackers=['NAME'].
    values = [*words, *(word.partition("=")[2].strip("[]'\"") for word in words)]
    specs = [value for value in values if value.partition(":")[0] == component.name]
    if not specs:
        yield f"the example {component.example!r} does not use it"
    for spec in specs:
        try:
            schema.validate(subject.factory, parse(spec).parameters, "the example")
        except UsageError as error:
            yield f"{error.message} {error.hint}".rstrip()


@check
def can_be_built(subject: Subject) -> Problems:
    """The factory, called with the spec's parameters, returns what its kind promises."""
    if subject.missing:
        return
    try:
        _ = subject.component
    except BuildError as error:
        yield str(error)


def can_be_pickled(subject: Subject) -> Problems:
    """Several processes can work on it; one that can't be pickled is left to a single process.

    For datasets and augmenters.
    """
    try:
        pickle.loads(pickle.dumps(subject.component))
    except Exception as error:
        yield f"it can't be pickled: {error}"


def _fields(subject: Subject) -> dict[str, Any]:
    """The parameters as pydantic fields; none where the signature can't be read, which ``typed`` reports."""
    try:
        return dict(schema.signature_model(subject.factory, "the factory").model_fields)
    except PluginError:
        return {}
