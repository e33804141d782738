"""From ``--data`` and ``[split]`` to the workspace's manifest, reused while it still says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolbox.api.errors import UsageError
from toolbox.api.progress import Reporter
from toolbox.data import index, manifest, split
from toolbox.data.audit import findings
from toolbox.data.index import Index, QuarantinedSample
from toolbox.data.manifest import Manifest
from toolbox.data.source import Source
from toolbox.settings.schema import SplitSettings


@dataclass(frozen=True)
class SplitDataset:
    """The samples that an experiment works on, split, and what had to be left out.

    ``dropped`` names the samples that :func:`split_dataset` took out because of a leak, each with the one that stays.
    """

    source: Source
    manifest: Manifest
    index: Index
    settings: SplitSettings
    dropped: Mapping[str, str]

    @property
    def quarantined(self) -> tuple[QuarantinedSample, ...]:
        """What is not used, and why."""
        return self.index.quarantined


def load_split(source: Source, settings: SplitSettings, workspace: Path, reporter: Reporter) -> SplitDataset:
    """Read ``source`` and split it, or take the split that the workspace's manifest holds; writes nothing.

    Raises what :func:`index.build_index` and :func:`split_dataset` do.
    """
    dataset_index = index.build_index(source, reporter)
    return _reused(source, settings, workspace, dataset_index) or split_dataset(
        source, settings, dataset_index, reporter
    )


def split_dataset(source: Source, settings: SplitSettings, dataset_index: Index, reporter: Reporter) -> SplitDataset:
    """Split what ``found`` holds, near-duplicates treated as ``settings.duplicates`` says.

    Raises
    ------
    UsageError: see :func:`split.assign`; ``settings.extend`` is no manifest.
    """
    old = manifest.read(Path(settings.extend).expanduser()) if settings.extend else None
    if old is not None:
        known, count = split.count_known(old, dataset_index.manifest.rows), len(dataset_index.manifest.rows)
        tell = reporter.info if known else reporter.warn
        tell(f"{settings.extend}: {known:,} of {count:,} images keep the place that it gives them")
    if settings.duplicates == "keep":
        return SplitDataset(source, split.assign(dataset_index.manifest, settings, old), dataset_index, settings, {})
    from toolbox.data.audit.near import compare_images

    comparison = compare_images(dataset_index.manifest.rows, source, reporter)
    links = findings.link_duplicates(dataset_index.manifest, comparison)
    assigned = split.assign(dataset_index.manifest, settings, old, links)
    dropped = findings.find_training_leaks(assigned, comparison) if settings.duplicates == "drop" else {}
    rows = tuple(row for row in assigned.rows if row.id not in dropped)
    return SplitDataset(source, replace(assigned, rows=rows), dataset_index, settings, dropped)


def check_place(workspace: Path, source: Source) -> None:
    """Refuse to write to a dataset's own folder.

    Raises
    ------
    UsageError: the workspace lies in it.
    """
    if source.holds(workspace):
        raise UsageError(
            f"the workspace {workspace.resolve()} lies in the dataset's folder, which is never written to",
            "Work elsewhere: --workspace DIR, or run this in another folder.",
        )


def saved_split_settings(workspace: Path, source: Source) -> dict[str, Any]:
    """The ``split.…`` settings that the workspace's manifest was dealt by, if it is of the same dataset."""
    sidecar = manifest.read_sidecar(workspace / manifest.FILE_NAME)
    asked = sidecar.get("asked")
    return dict(asked) if isinstance(asked, dict) and sidecar.get("data") == source.spec else {}


def save(prepared: SplitDataset, workspace: Path, asked: Mapping[str, Any], reporter: Reporter) -> None:
    """Write the workspace's ``manifest.csv`` and ``quarantine.csv`` unless they already say the same.

    ``asked`` holds the ``split.…`` settings given by hand, kept beside it for later commands. A manifest that the
    user gave as ``--data`` is left alone.

    Raises
    ------
    UsageError: the workspace's manifest was edited by hand, or is itself the data and would have to change, so
        that writing would lose the user's work.
    """
    path = workspace / manifest.FILE_NAME
    index.write_quarantine(prepared.quarantined, workspace / "quarantine.csv")
    if prepared.source.spec == str(path.resolve()):
        if prepared.dropped or prepared.settings.duplicates == "group":
            raise UsageError(
                f"{path} is the data itself, and would have to be changed",
                "Give it another name (mine.csv, say), and that name as --data.",
            )
        return
    sidecar = manifest.read_sidecar(path) if path.exists() and manifest.is_current(path) else {}
    if path.exists() and manifest.edited_by_hand(path):
        raise UsageError(
            f"{path} was edited by hand, and --data names something else",
            f"To use it, give --data {path} to every command or set data in toolbox.toml; else move it away.",
        )
    if asked.get("split.extend"):
        # From here on the old assignments stand in the workspace's own manifest.
        asked = {**asked, "split.extend": str(path)}
        prepared = replace(prepared, settings=prepared.settings.model_copy(update={"extend": str(path)}))
    known = _known(prepared)
    if sidecar.get("fingerprint") == prepared.manifest.fingerprint and sidecar.get("asked") == dict(asked):
        if all(sidecar.get(name) == value for name, value in known.items()) and "replaces" not in sidecar:
            return
    elif sidecar and sidecar.get("fingerprint") != prepared.manifest.fingerprint:
        reporter.info(f"{path.name} no longer matches --data and [split]; it is rewritten")
    manifest.write(prepared.manifest, path, asked, known)


def _known(prepared: SplitDataset) -> dict[str, Any]:
    """What the split was made from and by: while both are the same, the manifest is taken as it is."""
    return {
        "samples_fingerprint": prepared.index.manifest.fingerprint,
        "split": prepared.settings.model_dump(mode="json"),
        "dropped": dict(prepared.dropped),
    }


def _reused(source: Source, settings: SplitSettings, workspace: Path, dataset_index: Index) -> SplitDataset | None:
    """The workspace's manifest, if it was dealt from the same samples by the same settings and not edited since."""
    path = workspace / manifest.FILE_NAME
    if not path.is_file() or source.spec == str(path.resolve()):
        return None
    sidecar = manifest.read_sidecar(path)
    same = (
        sidecar.get("data") == source.spec
        and sidecar.get("samples_fingerprint") == dataset_index.manifest.fingerprint
        and sidecar.get("split") == settings.model_dump(mode="json")
    )
    dropped = sidecar.get("dropped")
    if not same or not isinstance(dropped, dict) or not manifest.is_current(path):
        return None
    saved = {row.id: row for row in manifest.read(path).rows}
    rows = tuple(
        replace(row, group=saved[row.id].group, split=saved[row.id].split, fold=saved[row.id].fold)
        for row in dataset_index.manifest.rows
        if row.id in saved
    )
    if len(rows) != len(saved) or len(rows) + len(dropped) != len(dataset_index.manifest.rows):
        return None
    return SplitDataset(source, replace(dataset_index.manifest, rows=rows), dataset_index, settings, dropped)
