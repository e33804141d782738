"""What the files of a prepared folder are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from toolbox.api.dataset import VirtualDataset
from toolbox.data.manifest import SPLITS, Row
from toolbox.data.source import Source
from toolbox.files import fingerprint
from toolbox.files.names import filesystem_key, safe_name

_LONGEST_FOLDER = 120


def name_files(rows: Sequence[Row], source: Source, suffix: str) -> dict[str, str]:
    """For each sample's id its file below the new folder: split (where all have one), class, what lay below, name.

    Names are safe on every system and differ by more than case: what would fall together gets a piece of its
    id's hash.
    """
    with_splits = all(row.split in SPLITS for row in rows)
    virtual = isinstance(source.dataset, VirtualDataset)
    names: dict[str, tuple[PurePosixPath, str]] = {}
    for row in rows:
        parts = PurePosixPath(row.id if virtual else row.path).parts
        # Folders below the class (a patient's, say) stay, so that a --group-by on the path still finds them.
        below = parts[parts.index(row.label) + 1 : -1] if row.label in parts[:-1] else ()
        folder = PurePosixPath(*([row.split] if with_splits else []), safe_name(row.label))
        deep = folder.joinpath(*map(safe_name, below))
        folder = deep if len(str(deep).encode()) <= _LONGEST_FOLDER else folder
        stem = parts[-1] if virtual else PurePosixPath(row.path).stem
        names[row.id] = (folder, safe_name(stem))
    taken = Counter(filesystem_key(str(folder / f"{stem}{suffix}")) for folder, stem in names.values())
    taken.update({filesystem_key(str(above)) for folder, _ in names.values() for above in (folder, *folder.parents)})
    files = {}
    for key, (folder, stem) in names.items():
        alone = taken[filesystem_key(str(folder / f"{stem}{suffix}"))] == 1
        files[key] = str(folder / f"{stem}{'' if alone else '-' + fingerprint.of_bytes(key.encode())[:12]}{suffix}")
    return files
