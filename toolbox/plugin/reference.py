"""The hook reference in ``plugins/README.md``, rendered from the hook specifications and what they lead to.

Update it with::

    python -m toolbox.plugin.reference plugins/README.md
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from toolbox.api.components import Component
from toolbox.api.errors import UsageError
from toolbox.api.hooks import PROJECT, Hooks
from toolbox.files.atomic import write_text
from toolbox.plugin.registry import PROTOCOLS

BEGIN, END = "<!-- hooks: generated, see toolbox/plugin/reference.py -->", "<!-- hooks: end -->"
WIDTH = 120


def hooks() -> dict[str, Callable[..., Any]]:
    """Every hook specification by its name."""
    return {name: function for name, function in vars(Hooks).items() if hasattr(function, f"{PROJECT}_spec")}


def descriptor_of(hook: Callable[..., Any]) -> type[Component]:
    """The class of the descriptors that ``hook`` gives."""
    (descriptor,) = get_args(get_type_hints(hook)["return"])
    return cast(type[Component], descriptor)


def example(hook: Callable[..., Any]) -> str:
    """The example in a specification's docstring, as code."""
    return textwrap.dedent(_halves(hook)[1]).strip()


def render() -> str:
    """The whole reference."""
    lines = [*_descriptor()]
    for name, hook in hooks().items():
        lines += _hook(name, hook)
    return "\n".join(lines).strip() + "\n"


def update(text: str) -> str:
    """``text`` with the reference between its marks as it is now.

    Raises
    ------
    UsageError: it has no such marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"the file has no place for the hook reference: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{render()}\n{END}{after}"


def _descriptor() -> Iterator[str]:
    """What all descriptors have in common."""
    yield "### What a hook gives"
    yield ""
    yield _wrapped("Every hook gives descriptors, small and frozen. All kinds have the same fields:")
    yield ""
    doc = inspect.getdoc(Component) or ""
    fields = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    for item in re.split(r"\n(?=\S)", fields):
        name, _, text = item.partition(": ")
        yield _wrapped(f"- `{name}`: {_markdown(text)}", "  ")
    yield ""


def _hook(name: str, hook: Callable[..., Any]) -> Iterator[str]:
    descriptor = descriptor_of(hook)
    yield from (f"### `{name}`", "", _wrapped(f"{_markdown(_halves(hook)[0])} Gives `{descriptor.__name__}`s."), "")
    yield from ("```python", example(hook), "```", "")
    for number, protocol in enumerate(PROTOCOLS[descriptor.kind]):
        start = "The factory returns" if number == 0 else "Or it returns"
        yield _wrapped(f"{start} a `{protocol.__module__}.{protocol.__name__}`. {_markdown(_paragraph(protocol))}")
        yield ""
        yield from (_wrapped(line, "  ") for line in _members(protocol))
        yield ""


def _members(protocol: type) -> Iterator[str]:
    """Methods and attributes of a protocol, in their order, with the first paragraph on each."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(protocol))).body
    assert isinstance(tree, ast.ClassDef)
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            needed = "" if node.name in getattr(protocol, "__abstractmethods__", ()) else " (optional)"
            arguments = ", ".join(argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs))
            yield f"- `{node.name}({arguments})`{needed}: {_markdown(_paragraph(getattr(protocol, node.name)))}"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            docstring = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
            text = inspect.cleandoc(str(docstring)).partition("\n\n")[0] if docstring else ""
            yield f"- `{node.target.id} = {ast.unparse(node.value) if node.value else '…'}`: {_markdown(text)}"


def _halves(hook: Callable[..., Any]) -> tuple[str, str]:
    text, _, code = (inspect.getdoc(hook) or "").partition("\n\nExample::\n")
    return text, code


def _paragraph(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]


def _markdown(text: str) -> str:
    """A docstring's text in one line, its roles and literals as Markdown's code."""
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write_text(Path(argument), update(Path(argument).read_text("utf-8")))
