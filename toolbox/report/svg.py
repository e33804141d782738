"""matplotlib's SVG made fit to be a file and to stand in a page: small, the same each time, with tooltips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from toolbox.files.names import printable
from toolbox.report.palette import LIGHT

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_ROLES: Mapping[str, str] = {color: f"var(--{role})" for role, color in LIGHT.items()}
_TAGS = frozenset(["svg", "g", "defs", "path", "use", "text", "clipPath", "rect", "image", "title"])
"""What a drawing consists of. A file with anything else in it was not written here and never reaches a page."""


def for_file(svg: str, alt: str, source: str = "", tooltips: Mapping[str, Sequence[str]] | None = None) -> str:
    """``svg`` as a file of its own.

    ``source`` identifies the data that it was drawn from, see :func:`source_of`; ``tooltips`` are the texts of each
    element's marks, by its id.
    """
    root = ET.fromstring(svg)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag != "text" and not (element.text or "").strip():
            element.text = None
        style = [part.strip() for part in element.attrib.pop("style", "").split(";")]
        style = [part.replace(": ", ":", 1) for part in style if part and not part.startswith("font-family")]
        if style:
            element.set("style", ";".join(style))
        if element.tag == "path":
            element.set("d", " ".join(element.get("d", "").split()))
        elif element.tag == "text" and element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
    for parent in list(root.iter()):
        for child in list(parent):
            # The background, which is drawn without color.
            if child.tag in ("metadata", "style") or (child.tag == "path" and child.get("style") == "fill:none"):
                parent.remove(child)
    for element in list(root.iter()):
        texts = (tooltips or {}).get(element.get("id", ""), ())
        marks = list(element.iter("use")) if len(texts) > 1 else [element]
        for mark, text in zip(marks, texts, strict=False):
            title = ET.Element("title")
            title.text = printable(text)
            mark.insert(0, title)
    _rename_ids(root, "f")
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "data-source": source,
        "viewBox": root.attrib["viewBox"],
        "width": root.attrib["width"],
        "height": root.attrib["height"],
        "role": "img",
        "aria-label": printable(alt),
        "style": f"background:{LIGHT['paper']}",
        "font-family": "system-ui, 'DejaVu Sans', sans-serif",
        "stroke-linejoin": "round",
    }
    return ET.tostring(root, encoding="unicode") + "\n"


def source_of(file: str) -> str:
    """The ``source`` that a file was written with."""
    match = re.match(r'<svg xmlns="[^"]*" data-source="(\w*)"', file)
    return match[1] if match else ""


def for_page(file: str, key: str) -> tuple[str, float]:
    """A file of :func:`for_file` as an element of a page, and its width in points.

    Its colors become CSS variables, its font the page's, and its ids begin with ``key``, unique in the page.

    Raises
    ------
    ValueError: the file was not written by :func:`for_file`.
    """
    try:
        root = ET.fromstring(file)
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    for element in root.iter():
        element.tag = _local(element.tag)
        target = element.get("href", "#")
        if element.tag not in _TAGS or not target.startswith(("#", "data:image/png;base64,")):
            raise ValueError(f"a drawing with <{element.tag} href={target!r}>")
        if style := element.get("style"):
            element.set("style", re.sub(r"#[0-9a-f]{6}", lambda match: _ROLES.get(match[0], match[0]), style))
    _rename_ids(root, key)
    attributes = root.attrib
    root.attrib = {"class": "chart", "viewBox": attributes["viewBox"], "role": "img"}
    root.attrib |= {"aria-label": attributes["aria-label"], "id": key}
    return ET.tostring(root, encoding="unicode"), float(attributes["viewBox"].split()[2])


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rename_ids(root: ET.Element, key: str) -> None:
    """Keep only the ids that something refers to, and number them in order of appearance after ``key``."""
    used: set[str] = set()
    for element in root.iter():
        used.update(*(_REFERENCE.findall(value) for value in element.attrib.values()))
        if element.get("href", "").startswith("#"):
            used.add(element.attrib["href"][1:])
    names: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", "")
        if old in used:
            names[old] = f"{key}-{len(names) + 1}"
            element.set("id", names[old])
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href" and value.startswith("#"):
                element.set(name, f"#{names[value[1:]]}")
            else:
                element.set(name, _REFERENCE.sub(lambda match: f"url(#{names[match[1]]})", value))
