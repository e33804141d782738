"""What is installed here, without importing it."""

from __future__ import annotations

import platform
from importlib import metadata

from toolbox import __version__

PACKAGES = ("torch", "timm", "kornia", "torchmetrics", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Versions of what decides a result: Python, this toolbox, and the libraries that compute."""
    found = {"python": platform.python_version(), "vision-toolbox": __version__, "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
