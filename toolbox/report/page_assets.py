"""What every page has in common: how templates are set, the stylesheet, the script, and what a browser may load."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from toolbox.report import wording
from toolbox.report.palette import DARK, LIGHT

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Dressing:
    """A page's style, its script, and its policy: that script alone runs, nothing is fetched."""

    style: Markup
    script: Markup
    policy: str


def environment() -> Environment:
    """How every page is set: everything escaped and cleaned of control characters, nothing undefined."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        # Whatever a template prints passes here, before it is escaped.
        return wording.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("toolbox.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = wording.number
    environment.filters["path"] = _breakable
    environment.filters["likeliest_pairs"] = wording.likeliest_pairs
    return environment


@cache
def dressing() -> Dressing:
    """Style, script and policy of a page with figures. Without the script values stand in the figures' titles."""
    from markupsafe import Markup

    script = _text("report.js").replace("LIGHT_COLOURS", json.dumps(dict(LIGHT)))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    # By its hash: a script that came in with a name could not run even if it were not escaped.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return Dressing(stylesheet(), Markup(script), policy)


def stylesheet() -> Markup:
    """The palette's colours as custom properties, then the stylesheet."""
    from markupsafe import Markup

    light, dark = (" ".join(f"--{role}: {colour};" for role, colour in scheme.items()) for scheme in (LIGHT, DARK))
    schemes = f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return Markup(schemes + _text("report.css"))


def _text(name: str) -> str:
    return files("toolbox.report").joinpath("templates", name).read_text("utf-8")


def _breakable(text: str) -> Markup:
    """``text`` with a place to break after each slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in wording.clean(text).split("/"))
