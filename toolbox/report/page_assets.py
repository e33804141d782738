"""What all pages share: how templates are rendered, the stylesheet, the script, and what a browser may load."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import toolbox
from toolbox.files.names import printable
from toolbox.report import wording
from toolbox.report.palette import DARK, LIGHT

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **context: Any) -> str:
    """A page of ``templates/``. It holds its style and its script, fetches nothing, and runs no other script."""
    script = _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    page = {"policy": policy, "style": _stylesheet(), "script": _safe(script), "version": toolbox.__version__}
    return _environment().get_template(template).render(page=page, **context)


@cache
def _environment() -> Environment:
    """Everything that a template prints is escaped and cleaned of control characters; nothing may be undefined."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        # Whatever a template prints passes here, before it is escaped.
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("toolbox.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = wording.number
    environment.filters["counted"] = wording.counted
    environment.filters["path"] = _breakable
    environment.filters["likeliest_pairs"] = wording.likeliest_pairs
    return environment


def _stylesheet() -> Markup:
    """The palette's colors as custom properties, then the stylesheet."""
    light, dark = (" ".join(f"--{role}: {color};" for role, color in scheme.items()) for scheme in (LIGHT, DARK))
    schemes = f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return _safe(schemes + _text("report.css"))


def _safe(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


def _text(name: str) -> str:
    return files("toolbox.report").joinpath("templates", name).read_text("utf-8")


def _breakable(text: str) -> Markup:
    """``text`` with a place to break after each slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in printable(text).split("/"))
