"""A workspace: the folder that a user works in."""

from toolbox.workspace.facade import REPORT, Workspace

__all__ = ["REPORT", "Workspace"]
