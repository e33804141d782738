"""What ``toolbox export`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from toolbox.cli.views.tables import gigabytes

if TYPE_CHECKING:
    from toolbox.models.export import Exported


def export_lines(exported: Exported) -> list[RenderableType]:
    """The file, how it was checked, and what input the model takes."""
    verdict = (
        "every tensor reads back unchanged"
        if exported.bound == 0
        else f"logits differ from the module's by at most {exported.difference:.1e} (allowed: {exported.bound:.1e})"
    )
    return [
        Text(f"{exported.path} ({gigabytes(exported.bytes)}): {verdict}"),
        Text(f"Input: {exported.description['input']}"),
    ]
