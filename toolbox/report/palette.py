"""Colours by role, for light and dark, shared by the page and its figures.

The series colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart under every common
colour-vision deficiency, darkened on light paper until each reaches a contrast of 3 to 1. Text reaches 4.5 to 1
(WCAG 2.2, AA). No two roles of the light scheme share a colour, and none is plain black, which SVG writers leave
out as the default: figures are drawn in it, and each colour is then replaced by its role's CSS variable.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "paper": "#fdfcf9",
    "panel": "#f5f3ed",
    "hairline": "#dcd8ce",
    "grid": "#e7e4dc",
    "ink": "#1d1f21",
    "muted": "#5c6068",
    "link": "#0b5cad",
    "warn": "#8a3d00",
    "warn-panel": "#fdf1e3",
    "warn-line": "#d98324",
    "accent": "#0b4a82",
    "on-weak": "#000001",
    "on-strong": "#ffffff",
    "series-1": "#0072b2",
    "series-2": "#c65500",
    "series-3": "#00865f",
    "series-4": "#a94a82",
    "series-5": "#9c6800",
    "series-6": "#2e8fc7",
}

DARK: Mapping[str, str] = {
    "paper": "#16181b",
    "panel": "#1e2125",
    "hairline": "#363b41",
    "grid": "#2b2f34",
    "ink": "#e8e6e1",
    "muted": "#a3a7ae",
    "link": "#7cb7f5",
    "warn": "#f3bd8f",
    "warn-panel": "#2c2219",
    "warn-line": "#c97a26",
    "accent": "#5c9fd6",
    "on-weak": "#ffffff",
    "on-strong": "#000000",
    "series-1": "#56b4e9",
    "series-2": "#e69f00",
    "series-3": "#2bbf94",
    "series-4": "#de8fbf",
    "series-5": "#f0e442",
    "series-6": "#f0763a",
}

SERIES = tuple(role for role in LIGHT if role.startswith("series-"))

ACCENT_STRONG = 0.73
"""Opacity of ``accent`` on ``paper`` from which ``on-strong`` is the legible text colour, else ``on-weak``.

In both schemes at once: the two accents were chosen for it, so that one drawing serves light and dark.
"""
