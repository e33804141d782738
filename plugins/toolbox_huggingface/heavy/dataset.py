"""Image datasets of the Hugging Face datasets library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import datasets
from PIL import Image
from pydantic import Field

from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.errors import EnvironmentFailure, ToolboxError, UsageError, closest
from toolbox.api.images import decode, read_file

SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val", "test": "test"}


class HuggingFaceDataset(VirtualDataset):
    """An image dataset by its name on the Hugging Face hub, or a folder that the datasets library saved.

    A folder is one written by ``save_to_disk``, or of image files in the library's own ``imagefolder`` layout. The
    splits that it brings (train, validation, test) are kept; its ClassLabel names are the classes. Pictures are
    decoded by the toolbox's own reader, so that a damaged one is quarantined. No code of a dataset is ever run.
    """

    def __init__(
        self,
        *,
        repo: Annotated[str, Field(description="name on the hub (owner/name), or a folder")],
        config: Annotated[str, Field(description="configuration of the dataset, where it has several")] = "",
        revision: Annotated[str, Field(description="revision on the hub, for figures that can be repeated")] = "",
        image: Annotated[str, Field(description="column with the picture")] = "image",
        label: Annotated[str, Field(description="column with the class")] = "label",
        group: Annotated[str, Field(description="column with what a split must not divide")] = "",
    ) -> None:
        self._image, self._label, self._group = image, label, group
        folder = Path(repo).expanduser()
        self.home = folder.resolve() if folder.is_dir() else None
        self.parts = _load(repo, config, revision)
        for split, part in self.parts.items():
            for column in filter(None, (image, label, group)):
                if column not in part.column_names:
                    known = ", ".join(part.column_names)
                    raise UsageError(
                        f"{repo} has no column {column!r} in {split} (its columns: {known})",
                        closest(column, part.column_names),
                    )
        self.parts = {
            split: part.cast_column(image, datasets.Image(decode=False)) for split, part in self.parts.items()
        }

    def samples(self) -> Iterator[Sample]:
        """Every row of every split, in their order.

        Raises
        ------
        UsageError: a row without a class.
        """
        several = len(self.parts) > 1
        for split, part in sorted(self.parts.items()):
            feature = part.features[self._label]
            labels = part[self._label]
            groups = part[self._group] if self._group else None
            for number, value in enumerate(labels):
                if value is None or (isinstance(feature, datasets.ClassLabel) and int(value) < 0):
                    raise UsageError(f"row {number} of {split} has no {self._label}")
                label = feature.int2str(int(value)) if isinstance(feature, datasets.ClassLabel) else str(value)
                where = f"{split}#{number}"
                group = str(groups[number]) if groups is not None else ""
                yield Sample(where, where, label, group, SPLITS.get(split.lower(), "") if several else "")

    def load(self, sample: Sample) -> Image.Image:
        """The picture of a row, through the toolbox's own reader.

        Raises
        ------
        OSError, ValueError: there is no such row, or it holds no whole picture.
        """
        split, _, number = sample.path.rpartition("#")
        if split not in self.parts or not number.isdecimal() or int(number) >= len(self.parts[split]):
            raise ValueError(f"the dataset has no row {sample.path!r}")
        cell: Any = self.parts[split][int(number)][self._image]
        data = cell.get("bytes") if isinstance(cell, dict) else None
        if data is None and isinstance(cell, dict) and cell.get("path"):
            data = read_file(Path(cell["path"]))
        if data is None:
            raise ValueError("the row holds no picture")
        decoded = decode(data)
        decoded.image.info["note"] = decoded.note
        return decoded.image


def _load(name: str, config: str, revision: str) -> dict[str, datasets.Dataset]:
    datasets.disable_progress_bars()
    folder = Path(name).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            datasets_ = datasets.load_from_disk(str(folder))
        elif folder.is_dir():
            datasets_ = datasets.load_dataset("imagefolder", data_dir=str(folder))
        else:
            datasets_ = datasets.load_dataset(name, config or None, revision=revision or None)
    except ToolboxError:
        raise
    except (ConnectionError, TimeoutError) as error:
        raise _unreachable(name) from error
    except Exception as error:
        if _is_network(error):
            raise _unreachable(name) from error
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"the dataset {name!r} can't be loaded: {type(error).__name__}: {reason}") from error
    return dict(datasets_) if isinstance(datasets_, datasets.DatasetDict) else {"train": datasets_}


def _unreachable(name: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"the dataset {name!r} is not on this machine and the Hugging Face hub can't be reached",
        "Save it where there is network (datasets.load_dataset(…).save_to_disk('FOLDER')) and give"
        " huggingface:repo=FOLDER.",
    )


def _is_network(error: BaseException | None) -> bool:
    """Whether ``error`` came from a failed connection, however deep; the library wraps it in several ways."""
    while error is not None:
        name = type(error).__name__
        if name in ("OfflineModeIsEnabled", "LocalEntryNotFoundError") or "Connect" in name or "Timeout" in name:
            return True
        error = error.__cause__ or error.__context__
    return False
