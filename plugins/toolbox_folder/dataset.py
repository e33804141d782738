"""Class folders of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from toolbox.data.images import SUFFIXES
from toolbox.errors import UsageError
from toolbox.plugin.protocols import Dataset, Sample

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class FolderDataset(Dataset):
    """Images in one folder a class, with or without train/val/test folders above them.

    The subfolders are splits only if every one of them is called train/training, val/valid/validation or
    test/testing (any case) and holds class folders; otherwise each is a class. Class folders are searched
    to any depth. Hidden files and files that are no images by their ending are passed over; links that lead
    out of the folder are not followed. The layout is that of torchvision's ImageFolder and of Keras's
    image_dataset_from_directory.
    """

    def __init__(self, *, path: Annotated[Path, Field(description="the folder that holds the class folders")]) -> None:
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}", "Check --data, or 'data' in toolbox.toml.")
        self.root: Path = path.resolve()

    def samples(self) -> Iterator[Sample]:
        """Every image file, by split, class and path, in the order of their names.

        Raises
        ------
        UsageError: no class folders, no images, or a folder that can't be read.
        """
        found = False
        for split, folder in self._split_folders():
            for class_folder in subfolders(folder):
                for path in self._files(class_folder):
                    found = True
                    name = path.relative_to(self.root).as_posix()
                    yield Sample(id=name, path=name, label=class_folder.name, split=split)
        if not found:
            raise UsageError(
                f"{self.root} holds no class folders with images",
                "Put the images of each class into a folder of its own.",
            )

    def _split_folders(self) -> list[tuple[str, Path]]:
        folders = subfolders(self.root)
        names = [SPLIT_NAMES.get(folder.name.lower(), "") for folder in folders]
        if not folders or not all(names) or not all(subfolders(folder) for folder in folders):
            return [("", self.root)]
        if len(set(names)) < len(names):
            twice = ", ".join(folder.name for folder in folders)
            raise UsageError(f"{self.root} has two folders for one split ({twice})", "Merge or rename them.")
        return list(zip(names, folders, strict=True))

    def _files(self, folder: Path) -> Iterator[Path]:
        for current, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(current) / name
                if not name.startswith(".") and path.suffix.lower() in SUFFIXES and self._inside(path):
                    yield path

    def _inside(self, path: Path) -> bool:
        if not path.is_symlink():
            return True
        try:
            return path.resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False


def subfolders(folder: Path) -> list[Path]:
    """The folders in ``folder`` that are not hidden, by name.

    Raises
    ------
    UsageError: it can't be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"can't read the folder {folder}: {error.strerror}") from error
