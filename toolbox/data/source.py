"""Opens what ``--data`` names: a folder, a manifest file, or a dataset component spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from toolbox.api.dataset import Dataset, Sample, VirtualDataset
from toolbox.api.errors import ToolboxError, UsageError, closest
from toolbox.api.images import DecodedImage, UnreadableImage, decode, read_file, to_grey_or_rgb
from toolbox.data import manifest as manifests
from toolbox.data.manifest import Manifest, Row
from toolbox.files import fingerprint
from toolbox.plugin import guard
from toolbox.plugin.registry import Registry
from toolbox.plugin.spec import Spec, looks_like_path, parse


class ImageChanged(ToolboxError):
    """An image can't be read any more, or is not the one that the manifest describes."""


@dataclass(frozen=True)
class Source:
    """An opened dataset and the spec that opens it again."""

    dataset: Dataset
    spec: str

    def samples(self) -> Iterator[Sample]:
        """The dataset's samples, checked.

        Raises
        ------
        ComponentError: the dataset fails, or yields something else.
        """
        with guard.guard(self.dataset):
            for sample in self.dataset.samples():
                if not isinstance(sample, Sample):
                    guard.refuse(self.dataset, guard.a_type(sample), "a Sample")
                yield sample

    def read(self, sample: Sample | Row) -> tuple[DecodedImage, str]:
        """The sample's picture, and the SHA-256 of its file (empty where there is no file).

        Raises
        ------
        toolbox.api.images.UnreadableImage: the file is no whole image.
        OSError, ValueError: the dataset's own loader failed.
        """
        if isinstance(sample, Sample) and sample.problem:
            raise UnreadableImage(sample.problem)
        if isinstance(self.dataset, VirtualDataset):
            known = sample if isinstance(sample, Sample) else _as_sample(sample)
            with guard.guard(self.dataset, OSError, ValueError):
                loaded = self.dataset.load(known)
            if not isinstance(loaded, Image.Image):
                guard.refuse(self.dataset, guard.a_type(loaded), "an image")
            image, note = to_grey_or_rgb(loaded)
            description = "; ".join(filter(None, [str(loaded.info.get("note", "")), note]))
            return DecodedImage(image, loaded.mode, description), _digest_of(self.dataset.file(known))
        data = read_file((self.dataset.root or Path()) / sample.path)
        return decode(data), fingerprint.of_bytes(data)

    def holds(self, path: Path) -> bool:
        """Whether ``path`` lies in a folder of the dataset's, where nothing may be written."""
        dataset, place = self.dataset, path.resolve()
        if isinstance(dataset, VirtualDataset):
            return dataset.home is not None and place.is_relative_to(dataset.home.resolve())
        root = (dataset.root or Path()).resolve()
        if dataset.table is not None and dataset.table.parent.resolve() == root:
            return any(place.is_relative_to(folder) for folder in _image_folders(dataset, root))
        return place.is_relative_to(root)

    def image(self, row: Row) -> Image.Image:
        """The image of a sample, checked against the manifest's hash of it.

        Raises
        ------
        ImageChanged: it can't be read any more, or is another one now.
        """
        try:
            decoded, digest = self.read(row)
        except (OSError, ValueError) as error:
            raise ImageChanged(
                f"{self.spec}: {row.path} can't be read any more: {error}", "Was it moved, changed or deleted?"
            ) from error
        # The same file has the same pixels, and is hashed in a tenth of the time. Of copies only the file's hash is
        # known.
        unchanged = bool(digest) and digest == row.sha256
        if not unchanged and (fingerprint.of_pixels(decoded.image) != row.pixels if row.pixels else row.sha256):
            again = "run the same command again" if row.pixels else "delete the set and run 'toolbox augment' again"
            raise ImageChanged(
                f"{self.spec}: {row.path} has changed since it was read", f"Put the file back, or {again}."
            )
        return decoded.image


def _image_folders(dataset: Dataset, root: Path) -> set[Path]:
    """What holds the images of a table in ``root``: folders, or single files where the folder is an ancestor of the
    table's. The table may lie in the workspace, where new files are no samples."""
    folders = set()
    for sample in dataset.samples():
        file = Path(os.path.normpath(root / sample.path))
        if file.is_relative_to(root):
            folders.add(root / file.relative_to(root).parts[0])
        else:
            folders.add(file if root.is_relative_to(file.parent) else file.parent)
    return {folder.resolve() for folder in folders}


class ManifestDataset(Dataset):
    """The samples of a manifest file, whose pictures are files."""

    def __init__(self, manifest: Manifest, table: Path | None = None, note: str = "") -> None:
        self.manifest = manifest
        self.root = manifest.root
        self.table = table
        self.note = note

    def samples(self) -> Iterator[Sample]:
        """The rows in their order."""
        return (_as_sample(row) for row in self.manifest.rows)


class VirtualManifestDataset(VirtualDataset):
    """The samples of a manifest file, whose pictures another dataset loads."""

    def __init__(self, manifest: Manifest, inner: VirtualDataset) -> None:
        self.manifest = manifest
        self.inner = inner
        self.home = inner.home
        self.suggestions = inner.suggestions
        self.note = inner.note
        self.embedded = inner.embedded

    def samples(self) -> Iterator[Sample]:
        """The rows in their order."""
        return (_as_sample(row) for row in self.manifest.rows)

    def load(self, sample: Sample) -> Image.Image:
        """The inner dataset's picture."""
        return self.inner.load(sample)

    def file(self, sample: Sample) -> Path | None:
        """The inner dataset's file."""
        return self.inner.file(sample)


def open_source(data: str | Mapping[str, Any], registry: Registry) -> Source:
    """The dataset that ``data`` names.

    Raises
    ------
    UsageError: no such folder or file, or an unknown component.
    """
    if not isinstance(data, str):
        return _component(parse(data), registry)
    if looks_like_path(data):
        return _path(Path(data).expanduser(), registry)
    spec = parse(data)
    if spec.name not in registry.names("dataset") and not spec.parameters:
        raise UsageError(
            f"{data!r} is neither a folder, nor a manifest file, nor a dataset",
            closest(data, registry.names("dataset")),
        )
    return _component(spec, registry)


def _component(spec: Spec, registry: Registry) -> Source:
    return Source(registry.dataset(spec), str(spec))


def _path(path: Path, registry: Registry) -> Source:
    if path.is_dir():
        spec = Spec("folder", {"path": str(path.resolve())})
        return Source(registry.dataset(spec), str(path.resolve()))
    if not path.exists():
        raise UsageError(f"there is no folder or file {path}", "Check --data, or 'data' in toolbox.toml.")
    if path.suffix.lower() != ".csv":
        raise UsageError(f"{path} is neither a folder nor a manifest (.csv)")
    manifest = manifests.read(path)
    spec_text = str(path.resolve())
    if manifest.root is None:
        if not manifest.data:
            raise UsageError(f"{path} has neither a root nor a dataset to load its samples", "Delete its .json file.")
        inner = open_source(manifest.data, registry).dataset
        if isinstance(inner, VirtualDataset):
            return Source(VirtualManifestDataset(manifest, inner), spec_text)
    return Source(ManifestDataset(manifest, path, str(manifests.read_sidecar(path).get("note", ""))), spec_text)


def _digest_of(file: Path | None) -> str:
    """The SHA-256 of a file that several samples share, read once while it does not change."""
    if file is None:
        return ""
    info = file.stat()
    return _digest(file, info.st_mtime_ns, info.st_size)


@lru_cache(maxsize=4096)
def _digest(file: Path, changed: int, size: int) -> str:
    return fingerprint.of_file(file)


def _as_sample(row: Row) -> Sample:
    return Sample(row.id, row.path, row.label, row.group, row.split, row.columns)
