"""The factory's signature is the schema: its keyword parameters are the component's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticUndefined

from toolbox.api.components import Component, Components, Kind
from toolbox.api.errors import PluginError, UsageError, closest


@dataclass(frozen=True, slots=True)
class Parameter:
    """One option of a component: ``choices`` are its values where it is a ``Literal`` or a ``bool``."""

    name: str
    type: str
    default: Any
    required: bool
    description: str
    choices: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The parameter as ``--json`` prints it; a default that JSON can't hold is a string."""
        values = {name: value for name, value in asdict(self).items() if name != "choices"}
        plain = self.default is None or isinstance(self.default, bool | int | float | str | list | dict)
        return {**values, "default": self.default if plain else str(self.default)}


def signature_model(factory: Callable[..., Any], what: str) -> type[BaseModel]:
    """A pydantic model with a field for each parameter of ``factory`` that a user can give.

    Raises
    ------
    PluginError: a parameter without annotation, or one that can't be given by name.
    """
    fields: dict[str, Any] = {}
    try:
        signature = inspect.signature(factory, eval_str=True)
    except (TypeError, ValueError, NameError) as error:
        raise PluginError(f"the signature of {what} can't be read: {error}") from error
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise PluginError(f"parameter {parameter.name!r} of {what} can't be given by name")
        if parameter.annotation is parameter.empty:
            raise PluginError(f"parameter {parameter.name!r} of {what} has no annotation")
        if parameter.annotation is Components:
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    # No protected namespaces: a component may have a parameter called model_something.
    config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=True)
    model: type[BaseModel] = create_model("Parameters", __config__=config, **fields)
    return model


def parameters(factory: Callable[..., Any], what: str) -> list[Parameter]:
    """What ``factory`` can be given, in the order of its signature."""
    model = signature_model(factory, what)
    annotations = inspect.signature(factory).parameters
    return [
        Parameter(
            name=name,
            type=_type_text(annotations[name].annotation, info.annotation),
            default=None if info.default is PydanticUndefined else info.default,
            required=info.is_required(),
            description=info.description or "",
            choices=_choices(info.annotation),
        )
        for name, info in model.model_fields.items()
    ]


def validate(factory: Callable[..., Any], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Check and convert ``values`` by the factory's signature; defaults are left to the factory.

    Raises
    ------
    UsageError: an unknown key (the closest known one is named), a missing or a bad value.
    """
    model = signature_model(factory, what)
    for key in values:
        if key not in model.model_fields:
            raise UsageError(f"{what} has no parameter {key!r}", closest(key, model.model_fields))
    values = {key: _as_word(value, model.model_fields[key].annotation) for key, value in values.items()}
    try:
        checked = model(**values)
    except ValidationError as error:
        raise UsageError(f"{what}: {explain(error)}") from error
    return {key: getattr(checked, key) for key in values}


_EXAMPLES: dict[Kind, str] = {
    "dataset": "toolbox data inspect --data {}",
    "augmenter": "toolbox augment --augmenter {}",
    "model": "toolbox train {}",
    "evaluator": "toolbox evaluate --evaluator {}",
    "tracker": "toolbox train resnet50 --set 'training.trackers=[\"{}\"]'",
    "engine": "toolbox augment --set augment.engine={}",
}


def example(component: Component, known: Sequence[Parameter]) -> str:
    """A command line that uses ``component``: its author's, else a plain one with its required parameters."""
    required = ",".join(f"{parameter.name}=…" for parameter in known if parameter.required)
    spec = f"{component.name}:{required}" if required else component.name
    return component.example or _EXAMPLES[component.kind].format(spec)


def components_parameters(factory: Callable[..., Any]) -> list[str]:
    """The parameters of ``factory`` annotated as :class:`toolbox.api.components.Components`."""
    signature = inspect.signature(factory, eval_str=True)
    return [parameter.name for parameter in signature.parameters.values() if parameter.annotation is Components]


def explain(error: ValidationError) -> str:
    """A validation error as one line: where, what is wrong, what was given."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"][:1].lower() + item["msg"][1:]
        value = "" if item["type"] == "missing" else f" (given: {item['input']!r})"
        parts.append(f"{where}: {message}{value}")
    return "; ".join(parts)


def _as_word(value: Any, annotation: Any) -> Any:
    """Turn the booleans that ``true`` and ``false`` were parsed to back into words, for a ``Literal`` of words."""
    word = str(value).lower()
    is_word = isinstance(value, bool) and get_origin(annotation) is Literal and word in get_args(annotation)
    return word if is_word else value


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _choices(inner[0])
    return tuple(str(choice) for choice in inner) if origin is Literal else ()


def _type_text(annotation: Any, resolved: Any) -> str:
    """The annotation in the author's words: ``int``, ``a | b``, ``list of int``."""
    if isinstance(resolved, type) and not get_args(resolved):
        return resolved.__name__
    origin, inner = get_origin(resolved), get_args(resolved)
    if origin is Literal:
        return " | ".join(str(choice) for choice in inner)
    if origin is Annotated:
        return _type_text(annotation, inner[0])
    if origin in (list, tuple, Sequence) and inner and set(inner[1:]) <= {...}:
        return f"list of {_type_text(annotation, inner[0])}"
    return str(resolved if resolved is not None else annotation).replace("typing.", "")
