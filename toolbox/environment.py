"""What is installed here, without importing it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from toolbox import __version__

PACKAGES = ("torch", "timm", "kornia", "torchmetrics", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Versions of what decides a result: Python, this toolbox, and the libraries that compute."""
    first = {"python": platform.python_version(), "vision-toolbox": __version__, "platform": platform.platform()}
    return {**first, **versions_of(PACKAGES)}


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """The installed versions of ``packages``."""
    from importlib import metadata

    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def process() -> tuple[int, int]:
    """This process's rank and how many there are, as torchrun says; (0, 1) without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def hardware() -> dict[str, str]:
    """Which devices torch sees, how many threads it uses, and how much memory there is on the GPU. Imports torch."""
    import torch

    found = {"cpus": str(os.cpu_count()), "threads": str(torch.get_num_threads())}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["device"] = f"cuda: {properties.name}, {properties.total_memory / 1e9:.1f} GB"
    elif torch.backends.mps.is_available():
        found["device"] = "mps (Apple)"
    else:
        found["device"] = "cpu"
    return found
