"""What the factory of a dataset returns, and the samples that it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

MANIFEST_COLUMNS = ("id", "path", "label", "group", "split", "fold", "sha256", "pixels", "width", "height")
"""The columns of every manifest, in order; a sample's own ``columns`` need other names."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image.

    ``id`` is unique within the dataset and stable. ``path`` is POSIX style and relative to the dataset's
    ``root``, or virtual (``scan.nii.gz#z=42``) where the dataset loads its samples itself. ``group`` is what a
    split must never divide (a patient); empty means that the sample stands alone. ``split`` is ``train``,
    ``val``, ``test`` or empty where the dataset doesn't say. ``columns`` holds anything else worth keeping.
    ``problem`` is the reason why the dataset itself won't have this one read (a link that leads elsewhere): it is
    quarantined with that reason.
    """

    id: str
    path: str
    label: str
    group: str = ""
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class Dataset(ABC):
    """A source of samples whose paths are image files below ``root``."""

    root: Path | None = None
    """What the samples' paths are relative to; ``None`` where every path is virtual."""

    table: Path | None = None
    """The file that lists the samples, where one does: then no folder is searched for them."""

    suggestions: Mapping[str, Any] = {}
    """Settings that suit this dataset, by dotted name (``{"training.size": 64}``); every user setting wins."""

    note: str = ""
    """What a reader of figures made with this dataset must know (``"synthetic"``); shown wherever they are."""

    embedded: bool = False
    """True only for a dataset that the toolbox brings itself; unobtainable weights may then become random."""

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Every sample, in a stable order, without holding them all.

        Raises
        ------
        toolbox.api.errors.UsageError: the dataset has not the shape that it should have.
        """


class VirtualDataset(Dataset):
    """A dataset whose samples are not image files one by one and which therefore loads them itself."""

    home: Path | None = None
    """The folder that its files lie in, if it has one: nothing is ever written there."""

    @abstractmethod
    def load(self, sample: Sample) -> Image.Image:
        """The sample's picture, fully decoded: mode ``L`` or ``RGB``.

        Raises
        ------
        OSError, ValueError: it can't be read; the sample is then quarantined with the error's text.

        What was special about it (a window, say) may stand in the image's ``info["note"]``.
        """

    def file(self, sample: Sample) -> Path | None:
        """The file that holds the sample, if there is one; its SHA-256 then stands in the manifest."""
        return None
