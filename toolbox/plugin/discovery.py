"""Which plugins are installed, read from the distributions' metadata alone: nothing of a plugin is imported."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

GROUP = "toolbox"
"""The group of entry points that holds plugins."""

OWN = "vision-toolbox"
"""The toolbox's own distribution, which brings the first-party plugins."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry point of the group ``toolbox``, and the distribution that brings it (empty where none is known)."""

    name: str
    value: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint

    @property
    def shipped(self) -> bool:
        """Whether it comes with the toolbox itself."""
        return normalised(self.distribution) == OWN

    def matches(self, name: str) -> bool:
        """Whether ``name`` is this plugin's own name or its distribution's."""
        return name == self.name or (bool(self.distribution) and normalised(name) == normalised(self.distribution))


def installed() -> list[Installed]:
    """Every plugin that is installed: those of the toolbox first, then by name."""
    return in_order(metadata_of(point) for point in _entry_points())


def in_order(plugins: Iterable[Installed]) -> list[Installed]:
    """``plugins`` in the order in which they load: those of the toolbox first, so that they keep their names."""
    return sorted(plugins, key=lambda plugin: (not plugin.shipped, plugin.name, plugin.distribution, plugin.value))


def metadata_of(entry_point: metadata.EntryPoint) -> Installed:
    """``entry_point`` with its distribution's name and version, as far as the metadata tell them."""
    distribution, version = "", ""
    if entry_point.dist is not None:
        # A half-removed distribution has no valid METADATA.
        with contextlib.suppress(Exception):
            distribution, version = entry_point.dist.name or "", entry_point.dist.version or ""
    return Installed(entry_point.name, entry_point.value, distribution, version, entry_point)


def normalised(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _entry_points() -> list[metadata.EntryPoint]:
    try:
        return list(metadata.entry_points(group=GROUP))
    except Exception:
        # One unreadable distribution fails the whole call: read them one by one.
        return [point for distribution in metadata.distributions() for point in _points_of(distribution)]


def _points_of(distribution: metadata.Distribution) -> list[metadata.EntryPoint]:
    try:
        return [point for point in distribution.entry_points if point.group == GROUP]
    except Exception:
        return []
