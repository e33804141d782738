"""toolbox: image-classification experiments as composed commands, with the evidence kept.

Importing this package is cheap: what is heavy is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Study": "toolbox.study.study",
    "Workspace": "toolbox.workspace",
    "hookimpl": "toolbox.api.hooks",
    "DatasetComponent": "toolbox.api.components",
    "AugmenterComponent": "toolbox.api.components",
    "ModelComponent": "toolbox.api.components",
    "EvaluatorComponent": "toolbox.api.components",
    "TrackerComponent": "toolbox.api.components",
    "EngineComponent": "toolbox.api.components",
}

if TYPE_CHECKING:
    from toolbox.api.components import (
        AugmenterComponent,
        DatasetComponent,
        EngineComponent,
        EvaluatorComponent,
        ModelComponent,
        TrackerComponent,
    )
    from toolbox.api.hooks import hookimpl
    from toolbox.study.study import Study
    from toolbox.workspace import Workspace

__all__ = [
    "AugmenterComponent",
    "DatasetComponent",
    "EngineComponent",
    "EvaluatorComponent",
    "ModelComponent",
    "Study",
    "TrackerComponent",
    "Workspace",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its room on first use (PEP 562)."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'toolbox' has no attribute {name!r}")
