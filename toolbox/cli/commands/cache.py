"""``toolbox cache``: results shared by all runs, and how to delete them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolbox.cli import options
from toolbox.cli.command import Call, command

if TYPE_CHECKING:
    from toolbox.cache.folder import Entry

app = typer.Typer(help="Show or clear the cache of shared results.", invoke_without_command=True)


@app.callback()
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Show what the cache holds, how large it is, and when each entry was last used.

    Decoded pictures, the activations of frozen networks, and the audit's descriptions of pictures are shared by all
    workspaces. TOOLBOX_CACHE_DIR names the folder; training.cache_gb limits it: the oldest entries are deleted first.
    """
    if context.invoked_subcommand is not None:
        return
    from toolbox.cache.folder import cache_folder, list_entries
    from toolbox.cli.terminal import Terminal
    from toolbox.cli.views.cache import cache_table

    terminal, cached = Terminal(as_json, quiet), list_entries()
    terminal.show(*cache_table(cache_folder(), cached))
    terminal.emit(_document(cached))


@command(app, options.DRY_RUN)
def clear(
    call: Call,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only entries not used for this many days.")
    ] = 0,
) -> None:
    """Delete cached results; they are computed again when needed."""
    import time

    from toolbox.api.errors import EnvironmentFailure
    from toolbox.cache import folder
    from toolbox.cli.views.tables import gigabytes

    entries = [entry for entry in folder.list_entries() if time.time() - entry.used >= older_than * folder.DAY]
    total = sum(entry.bytes for entry in entries)
    freed, left = (total, []) if call.dry_run else folder.delete_entries(entries)
    call.terminal.show(f"{'Would free' if call.dry_run else 'Freed'} {gigabytes(freed)} in {folder.cache_folder()}")
    call.terminal.emit({**_document(entries), "freed": 0 if call.dry_run else freed})
    if left:
        raise EnvironmentFailure(f"{left[0]} can't be deleted", "Is it in use, or does it belong to another user?")


def _document(cached: Sequence[Entry]) -> dict[str, Any]:
    from toolbox.cache.folder import cache_folder

    entries = [
        {"path": str(entry.path), "kind": entry.kind, "about": dict(entry.about), "bytes": entry.bytes}
        for entry in cached
    ]
    return {"path": str(cache_folder()), "bytes": sum(entry.bytes for entry in cached), "entries": entries}
