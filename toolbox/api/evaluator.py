"""What the factory of an evaluator returns, the evidence it gets, and the results it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from toolbox.api.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

    from toolbox.api.model import BuiltModel


class TrainedModel(ABC):
    """A run's model on its device, in evaluation mode, with the preprocessing that belongs to it."""

    built: BuiltModel
    """Module, parts and normalisation. Gradients can be computed through it."""

    size: int
    """Side of the square input in pixels."""

    channels: int
    """1 or 3."""

    @abstractmethod
    def prepared(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """``image`` as the model sees it before normalisation: the whole picture, uint8 ``[size, size, channels]``."""

    @abstractmethod
    def inputs(self, images: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Prepared pictures, uint8 ``[B, size, size, channels]``, as the module takes them.

        Normalised float32 ``[B, channels, size, size]`` on the module's device.
        """

    @abstractmethod
    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """What the model says of prepared pictures, uint8 ``[B, size, size, channels]``: float64 ``[B, K]``.

        Any B: they go through the module in batches that suit its memory.
        """


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an evaluator gets: predictions on one split.

    ``targets``: int64 ``[N]``, indices into ``classes``; ``probabilities``: float64 ``[N, K]``, rows sum to 1;
    ``groups``: N strings, empty where a sample stands alone; ``columns``: further manifest columns, N strings
    each; ``seed``: for resampling. ``validation``: the same of the validation split, where there is one and this is
    not it: a threshold is chosen there, never on the test split.

    ``images`` and ``model`` are there only for an evaluator that asks for them, and nothing is read or loaded before
    they are called. ``images(i)`` is the picture of sample ``i``, mode ``L`` or ``RGB``; ``None`` where it is gone, or
    no longer the one that the run saw: leave the sample out, the toolbox tells how many there were.
    ``reporter`` shows progress.
    """

    ids: Sequence[str]
    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    classes: Sequence[str]
    split: str = "test"
    groups: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int = 0
    images: Callable[[int], Image.Image | None] | None = None
    model: Callable[[], TrainedModel] | None = None
    validation: Evidence | None = None
    reporter: Reporter = field(default_factory=SilentReporter)


@dataclass(frozen=True, slots=True)
class Metric:
    """A scalar with its 95 % interval. ``low`` and ``high`` are ``None`` where there is no sound interval;

    ``value`` is ``None`` where it is not defined (precision of a class that was never predicted).
    ``method`` names how the interval was made. ``share`` is true for what people read in per cent.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    label: str = ""
    share: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of strings and numbers under column names. ``brief`` ones are shown in the terminal, too."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One line or group of bars. For bars, ``x`` holds the categories."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as data; the report draws it. ``alt`` says in words what it shows.

    ``matrix`` figures hold ``values`` with one row for each of ``rows`` and one column for each of ``columns``.
    """

    name: str
    title: str
    kind: Literal["lines", "bars", "matrix"]
    alt: str
    x_label: str = ""
    y_label: str = ""
    series: Sequence[Series] = ()
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    values: Sequence[Sequence[float]] = ()
    square: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a gallery. ``alt`` says in words what it shows, ``caption`` stands beneath it.

    ``image``: mode ``L`` or ``RGB``, of any size; it is kept as a PNG file of at most 512 pixels a side.
    """

    image: Image.Image
    alt: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures under one title, in their order. ``note`` says what they are and how they were chosen.

    ``shows_data`` is false only where nothing of the user's images can be seen: a report that leaves the house without
    pictures leaves out all others.
    """

    name: str
    title: str
    pictures: Sequence[Picture]
    note: str = ""
    shows_data: bool = True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluator says.

    ``notes``: sentences that a reader of the figures must not miss. ``extra`` is kept in ``evaluation.json`` as it is
    (JSON).
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    galleries: Sequence[Gallery] = ()
    notes: Sequence[str] = ()


class Evaluator(ABC):
    """Turns predictions into figures."""

    needs_images: bool = False
    """Whether :attr:`Evidence.images` is wanted."""

    needs_model: bool = False
    """Whether :attr:`Evidence.model` is wanted."""

    perfect: ClassVar[Mapping[str, float]] = {}
    """What metrics are, by name, where every prediction is right and certain (``{"accuracy": 1.0}``). The conformance
    kit holds an evaluator to it, and random predictions must be further from it."""

    @abstractmethod
    def evaluate(self, evidence: Evidence) -> Evaluation:
        """Metrics, tables, figures and galleries of ``evidence``; independent of the order of its samples.

        Raises
        ------
        toolbox.api.errors.UsageError: the evidence can't be evaluated (empty, say).
        """
