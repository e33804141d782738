"""The palette: contrast, and colours told apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from toolbox.report.palette import ACCENT_STRONG, DARK, LIGHT


def luminance(colour: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(code: str) -> list[float]:
    return [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """As WCAG 2.2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_have_enough_contrast(scheme: dict[str, str]) -> None:
    text = [
        ("ink", "paper"),
        ("muted", "paper"),
        ("link", "paper"),
        ("ink", "panel"),
        ("muted", "panel"),
        ("warn", "warn-panel"),
    ]
    for front, back in text:
        assert contrast(rgb(scheme[front]), rgb(scheme[back])) >= 4.5, (front, back)
    for role in scheme:
        if role.startswith("series-"):
            assert contrast(rgb(scheme[role]), rgb(scheme["paper"])) >= 3, role
    for step in range(101):
        shade = step / 100
        cell = [p * (1 - shade) + a * shade for p, a in zip(rgb(scheme["paper"]), rgb(scheme["accent"]), strict=True)]
        ink = scheme["on-strong" if shade >= ACCENT_STRONG else "on-weak"]
        assert contrast(rgb(ink), cell) >= 4.5, shade


def test_each_role_has_a_colour_of_its_own() -> None:
    assert len(set(LIGHT.values())) == len(LIGHT) and set(LIGHT) == set(DARK) and "#000000" not in LIGHT.values()
