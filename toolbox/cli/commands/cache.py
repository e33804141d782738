"""``toolbox cache``: what is kept so that it is computed only once, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import options

if TYPE_CHECKING:
    from toolbox.cache.folder import Entry

cache = typer.Typer(help="What is kept so that it is computed only once.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(cache, name="cache", rich_help_panel="Look around")


@cache.callback()
def show(context: typer.Context, as_json: options.AsJson = False, quiet: options.Quiet = False) -> None:
    """Show what the cache holds, how large it is, and when it was last used.

    Decoded pictures, what frozen networks make of them, and the audit's descriptions of pictures are shared by all
    workspaces. TOOLBOX_CACHE_DIR names the folder; training.cache_gb bounds it: what was used longest ago goes first.
    """
    if context.invoked_subcommand is not None:
        return
    from toolbox.cache.folder import cache_folder, list_entries
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.cache import cache_table

    terminal, found = Terminal(as_json, quiet), list_entries()
    terminal.show(*cache_table(cache_folder(), found))
    terminal.emit(_document(found))


@cache.command()
def clear(
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, metavar="DAYS", help="Only what was not used for so many days.")
    ] = 0,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Delete what the cache holds; it is computed again when it is needed."""
    import time

    from toolbox.api.errors import EnvironmentFailure
    from toolbox.cache import folder
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.render import gigabytes

    terminal = Terminal(as_json, quiet)
    chosen = [entry for entry in folder.list_entries() if time.time() - entry.used >= older_than * folder.DAY]
    total = sum(entry.bytes for entry in chosen)
    freed, left = (total, []) if dry_run else folder.delete_entries(chosen)
    terminal.show(f"{'Would free' if dry_run else 'Freed'} {gigabytes(freed)} in {folder.cache_folder()}")
    terminal.emit({**_document(chosen), "freed": 0 if dry_run else freed})
    if left:
        raise EnvironmentFailure(f"{left[0]} can't be deleted", "Is it in use, or somebody else's?")


def _document(found: Sequence[Entry]) -> dict[str, Any]:
    from toolbox.cache.folder import cache_folder

    entries = [
        {"path": str(entry.path), "kind": entry.kind, "about": dict(entry.about), "bytes": entry.bytes}
        for entry in found
    ]
    return {"path": str(cache_folder()), "bytes": sum(entry.bytes for entry in found), "entries": entries}
