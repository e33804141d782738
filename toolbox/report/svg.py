"""Matplotlib's SVG made fit to stand in a page: small, the same each time, and in the page's colours and font."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from toolbox.report.palette import LIGHT
from toolbox.report.wording import clean

if TYPE_CHECKING:
    from toolbox.report.hover import Place

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_ROLES: Mapping[str, str] = {colour: f"var(--{role})" for role, colour in LIGHT.items()}
_STANDALONE_FONT = "system-ui, 'DejaVu Sans', sans-serif"


def for_page(svg: str, key: str, alt: str, places: Sequence[Place] = ()) -> str:
    """``svg`` as an element of a page: colours are CSS variables, the font is the page's, ids begin with ``key``.

    ``key`` must be unique in the page. ``alt`` becomes the accessible name. ``places`` tell their values when they are
    pointed at.
    """
    root = _tidy(svg, key)
    for element in root.iter():
        _restyle(element, _ROLES)
    root.attrib = {  # without width and height: the page decides, the viewBox keeps the proportions
        "class": "chart",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": clean(alt),
        "id": key,
    }
    if places:
        _add(root, places)
    return ET.tostring(root, encoding="unicode")


def _add(root: ET.Element, places: Sequence[Place]) -> None:
    group = ET.SubElement(root, "g", {"class": "places"})
    for place in places:
        numbers = {"x": place.x, "y": place.y, "width": place.width, "height": place.height}
        rectangle = ET.SubElement(group, "rect", {name: f"{value:.1f}" for name, value in numbers.items()})
        ET.SubElement(rectangle, "title").text = clean(place.text)


def for_file(svg: str, alt: str) -> str:
    """``svg`` as a file of its own, in the light colours that it was drawn in."""
    root = _tidy(svg, "f")
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": root.attrib["viewBox"],
        "width": root.attrib["width"],
        "height": root.attrib["height"],
        "role": "img",
        "aria-label": clean(alt),
        "font-family": _STANDALONE_FONT,
        "stroke-linejoin": "round",
    }
    for element in root.iter():
        _restyle(element, {})
    return ET.tostring(root, encoding="unicode") + "\n"


def view_box(svg: str) -> tuple[float, float]:
    """Width and height of a finished SVG in its own units."""
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if match is None:
        raise ValueError("an SVG without a viewBox that begins at 0 0")
    return float(match[1]), float(match[2])


def _tidy(svg: str, key: str) -> ET.Element:
    root = ET.fromstring(svg)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        element.tail = None
        if element.tag != "text" and not (element.text or "").strip():
            element.text = None
    _drop(root, {"metadata", "style"})
    _rename_ids(root, key)
    for element in root.iter("path"):
        element.set("d", " ".join(element.get("d", "").split()))
    for element in root.iter("text"):
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
    return root


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _drop(root: ET.Element, tags: set[str]) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            # Clearing the figure's background leaves paths that draw nothing.
            if child.tag in tags or (child.tag == "path" and child.get("style") == "fill: none"):
                parent.remove(child)


def _rename_ids(root: ET.Element, key: str) -> None:
    """Keep only the ids that something refers to, and number them in order of appearance after ``key``."""
    used = set()
    for element in root.iter():
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
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


def _restyle(element: ET.Element, colours: Mapping[str, str]) -> None:
    declarations = []
    for declaration in element.get("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name and name != "font-family":
            declarations.append(f"{name}:{colours.get(value, value)}")
    if declarations:
        element.set("style", ";".join(declarations))
    else:
        element.attrib.pop("style", None)
