"""From ``--data`` and ``[split]`` to the workspace's manifest, reused while it still says the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toolbox.data import index, manifest, split
from toolbox.data.index import Index, Quarantined
from toolbox.data.manifest import Manifest, Row
from toolbox.data.source import Source
from toolbox.errors import UsageError
from toolbox.progress import Reporter
from toolbox.settings.schema import SplitSettings


@dataclass(frozen=True)
class Prepared:
    """The samples that an experiment works on, split, and what had to be left out."""

    source: Source
    manifest: Manifest
    index: Index

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """What is not used, and why."""
        return self.index.quarantined

    @cached_property
    def shared_pixels(self) -> tuple[tuple[str, ...], ...]:
        """Groups of samples with identical pixels that lie in more than one split: each is a leak."""
        same: dict[str, list[Row]] = defaultdict(list)
        for row in self.manifest.rows:
            same[row.pixels].append(row)
        return tuple(tuple(row.id for row in rows) for rows in same.values() if len({row.split for row in rows}) > 1)


def prepare(source: Source, settings: SplitSettings, reporter: Reporter) -> Prepared:
    """Read ``source`` and split it; writes nothing. Raises what :func:`index.build` and :func:`split.assign` do."""
    found = index.build(source, reporter)
    return Prepared(source, split.assign(found.manifest, settings), found)


def asked_for(workspace: Path, source: Source) -> dict[str, Any]:
    """The ``split.…`` settings that the workspace's manifest was dealt by, if it is of the same dataset."""
    sidecar = manifest.read_sidecar(workspace / manifest.FILE_NAME)
    asked = sidecar.get("asked")
    return dict(asked) if isinstance(asked, dict) and sidecar.get("data") == source.spec else {}


def keep(prepared: Prepared, workspace: Path, asked: Mapping[str, Any], reporter: Reporter) -> None:
    """Write the workspace's ``manifest.csv`` and ``quarantine.csv`` unless they already say the same.

    ``asked`` holds the ``split.…`` settings given by hand, kept beside it for later commands. A manifest that the
    user gave as ``--data`` is left alone.

    Raises
    ------
    UsageError: the workspace's manifest was edited by hand, so that writing would lose the user's work.
    """
    path = workspace / manifest.FILE_NAME
    index.write_quarantine(prepared.quarantined, workspace / "quarantine.csv")
    if prepared.source.spec == str(path.resolve()):
        return
    if path.exists():
        if manifest.edited_by_hand(path):
            raise UsageError(
                f"{path} was edited by hand, and --data names something else",
                f"To use it, give --data {path} to every command or set data in toolbox.toml; else move it away.",
            )
        sidecar = manifest.read_sidecar(path)
        if sidecar.get("fingerprint") == prepared.manifest.fingerprint and sidecar.get("asked") == dict(asked):
            return
        if sidecar.get("fingerprint") != prepared.manifest.fingerprint:
            reporter.info(f"{path.name} does not match --data and [split] any more: made anew")
    manifest.write(prepared.manifest, path, asked)
