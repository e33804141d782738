"""Class folders of image files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from toolbox.api.dataset import Dataset, Sample
from toolbox.api.errors import UsageError
from toolbox_folder.walk import Entry, Walk, subfolders

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
    to any depth. Hidden files and files that are no images by their ending are passed over. Quarantined, each
    with its reason, are: links that lead out of the folder, since what lies elsewhere may change or be no part of
    the dataset; links in a circle; class folders without images, since a class should not vanish unseen. The
    layout is that of torchvision's ImageFolder and of Keras's image_dataset_from_directory.
    """

    def __init__(
        self,
        *,
        path: Annotated[Path, Field(description="the folder that holds the class folders")],
        follow_links: Annotated[bool, Field(description="read what links lead to outside the folder, too")] = False,
    ) -> None:
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}", "Check --data, or 'data' in toolbox.toml.")
        self.root: Path = path.resolve()
        self._walk = Walk(self.root, follow_links)

    def samples(self) -> Iterator[Sample]:
        """Every image file, by split, class and path, in the order of their names; with those that can't be used.

        Raises
        ------
        UsageError: no class folders, no images, or a folder that can't be read.
        """
        entry = False
        for split, folder in self._split_folders():
            for class_folder in subfolders(folder):
                for item in self._of_class(class_folder):
                    entry = entry or item.path != class_folder
                    name = readable(item.path.relative_to(self.root).as_posix())
                    label = readable(class_folder.name)
                    yield Sample(id=name, path=name, label=label, split=split, problem=item.problem)
        if not entry:
            raise UsageError(
                f"{self.root} holds no class folders with images",
                "Put the images of each class into a folder of its own.",
            )

    def _of_class(self, folder: Path) -> Iterator[Entry]:
        if problem := self._walk.problem(folder, through_links=True):
            yield Entry(folder, problem)
            return
        empty = True
        for item in self._walk.files(folder):
            empty = False
            yield item
        if empty:
            yield Entry(folder, "a class folder without images")

    def _split_folders(self) -> list[tuple[str, Path]]:
        folders = subfolders(self.root)
        names = [SPLIT_NAMES.get(folder.name.lower(), "") for folder in folders]
        if not folders or not all(names) or not all(subfolders(folder) for folder in folders):
            return [("", self.root)]
        if len(set(names)) < len(names):
            twice = ", ".join(folder.name for folder in folders)
            raise UsageError(f"{self.root} has two folders for one split ({twice})", "Merge or rename them.")
        return list(zip(names, folders, strict=True))


def readable(name: str) -> str:
    """``name`` as text that can be written; bytes that are no UTF-8 become backslash escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
