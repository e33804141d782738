"""A factory's parameters as its source text has them, for completion: nothing of the factory is imported or run.

:mod:`toolbox.plugin.schema` asks the factory itself, which costs whatever its module imports. Here the text is parsed;
what can't be told from it (a factory made at run time, a module without source) is left out, never guessed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_NOT_OPTIONS = ("self", "cls")
_DEEPEST = 8
"""Names that lead to names: enough for any code that people wrote, and an end for what goes in circles."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter: its name, what it may be where that is a choice of few, its default and meaning where written."""

    name: str
    choices: tuple[str, ...] = ()
    default: Any = None
    description: str = ""


def options(factory: str) -> list[Option]:
    """What the factory ``package.module:callable`` can be given, in its order; empty where the text doesn't tell."""
    module, _, attribute = factory.partition(":")
    found = _find(module, attribute.split("."))
    return [] if found is None else list(_options(*found))


@dataclass(frozen=True, slots=True)
class _Module:
    """A module's text, and what its top level binds."""

    name: str
    bound: dict[str, ast.AST]
    imported: dict[str, tuple[str, str]]


@cache
def _module(name: str) -> _Module | None:
    path = _source(name)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    read = _Module(name, {}, {})
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            read.bound[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            read.bound[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            read.bound[node.target.id] = node.value
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            read.imported.update({alias.asname or alias.name: (origin, alias.name) for alias in node.names})
    return read


def _source(name: str) -> Path | None:
    """The file of the module ``name``. Only the top package is looked up: to ask for more would import it."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest and spec.origin is not None:
        return Path(spec.origin) if spec.origin.endswith(".py") else None
    for place in spec.submodule_search_locations or ():
        path = Path(place, *rest)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _find(module: str, names: list[str], depth: int = 0) -> tuple[_Module, ast.AST] | None:
    """What ``names`` (of a class within a class, say) are bound to, followed through imports."""
    read = _module(module) if depth < _DEEPEST and module not in sys.builtin_module_names else None
    if read is None:
        return None
    first, *rest = names
    if first in read.imported:
        origin, name = read.imported[first]
        return _find(origin, [name, *rest], depth + 1)
    node = read.bound.get(first)
    for name in rest:
        body = node.body if isinstance(node, ast.ClassDef) else []
        node = next((item for item in body if isinstance(item, Function | ast.ClassDef) and item.name == name), None)
    if isinstance(node, ast.Name):
        return _find(module, [node.id], depth + 1)
    return None if node is None else (read, node)


def _options(read: _Module, node: ast.AST) -> Iterator[Option]:
    made = _maker(read, node, 0)
    if made is None:
        return
    read, function = made
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults += arguments.defaults
    for argument, default in zip([*plain, *arguments.kwonlyargs], [*defaults, *arguments.kw_defaults], strict=True):
        if argument.arg in _NOT_OPTIONS or _last_name(argument.annotation) == "Components":
            continue
        choices, description = _annotation(read, argument.annotation, 0)
        yield Option(argument.arg, choices, _literal(default), description)


def _maker(read: _Module, node: ast.AST, depth: int) -> tuple[_Module, Function] | None:
    """The function whose parameters ``node`` has: itself, or the ``__init__`` of a class or of what it derives from."""
    if isinstance(node, Function):
        return read, node
    if not isinstance(node, ast.ClassDef) or depth > _DEEPEST:
        return None
    for item in node.body:
        if isinstance(item, Function) and item.name == "__init__":
            return read, item
    for base in node.bases:
        found = _find(read.name, [base.id]) if isinstance(base, ast.Name) else None
        made = _maker(*found, depth + 1) if found is not None else None
        if made is not None:
            return made
    return None


def _annotation(read: _Module, node: ast.AST | None, depth: int) -> tuple[tuple[str, ...], str]:
    """The choices of a ``Literal`` or ``bool``, and the description of a ``Field``."""
    if depth > _DEEPEST or node is None:
        return (), ""
    if isinstance(node, ast.Name):
        if node.id == "bool":
            return ("true", "false"), ""
        found = _find(read.name, [node.id])
        return _annotation(*found, depth + 1) if found is not None else ((), "")
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if _last_name(node.value) == "Literal":
            return tuple(str(part.value) for part in parts if isinstance(part, ast.Constant)), ""
        if _last_name(node.value) == "Annotated":
            choices, description = _annotation(read, parts[0], depth + 1)
            said = [
                keyword.value.value
                for part in parts[1:]
                if isinstance(part, ast.Call)
                for keyword in part.keywords
                if keyword.arg == "description" and isinstance(keyword.value, ast.Constant)
            ]
            return choices, str(said[0]) if said else description
    return (), ""


def _last_name(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None
