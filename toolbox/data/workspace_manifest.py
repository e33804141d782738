"""From ``--data`` and ``[split]`` to the workspace's manifest, reused while it still says the same."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

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


def keep(prepared: Prepared, workspace: Path, reporter: Reporter) -> None:
    """Write the workspace's ``manifest.csv`` and ``quarantine.csv`` unless they already say the same.

    A manifest that the user gave as ``--data`` is left alone.

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
                f"{path} was not written by the toolbox, or was edited since, and is not what --data names",
                f"Use it with --data {path}, or move it away.",
            )
        if manifest.read_sidecar(path).get("fingerprint") == prepared.manifest.fingerprint:
            return
        reporter.info(f"{path.name} does not match --data and [split] any more: made anew")
    manifest.write(prepared.manifest, path)
