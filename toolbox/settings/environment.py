"""What a result depends on beside the settings: installed versions, hardware, and how many processes train."""

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

    installed = {}
    for name in packages:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "missing"
    return installed


def rank() -> int:
    """This process's number among those that torchrun started, from 0. Only the first one writes and prints."""
    return int(os.environ.get("RANK", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def world_size() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def describe_hardware() -> dict[str, str]:
    """Describe which devices torch sees, how many threads it uses, and the GPU's memory. Imports torch."""
    import torch

    hardware = {"cpus": str(os.cpu_count()), "threads": str(torch.get_num_threads())}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        hardware["device"] = f"cuda: {properties.name}, {properties.total_memory / 1e9:.1f} GB"
    elif torch.backends.mps.is_available():
        hardware["device"] = "mps (Apple)"
    else:
        hardware["device"] = "cpu"
    return hardware
