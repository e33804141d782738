"""What a component's factory returns, by kind. Plugins subclass these; the core relies on nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from toolbox.api.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

Scalar = bool | int | float | str
Params = dict[str, Scalar]
"""What one copy was made with: plain JSON scalars, so that a lineage line is enough to make it again."""


# --------------------------------------------------------------------------------------------------- dataset


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


# ------------------------------------------------------------------------------------------------- augmenter


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an augmenter may know of a source when it draws: ``height`` and ``width`` in pixels, ``channels``."""

    height: int
    width: int
    channels: int


Border = Literal["reflect", "replicate", "constant"]
"""What lies outside a picture: its mirror image about the pixels' edge, its outermost pixels, or black."""

Interpolation = Literal["bilinear", "bicubic", "nearest"]
"""Between pixels: a linear mixture of the four around, a cubic one of the sixteen around, or the nearest one."""


@dataclass(frozen=True, slots=True)
class Affine:
    """A copy that is its source moved and sampled once, and nothing else.

    ``matrix`` holds (a, b, c, d, e, f): a point (x, y) of the source goes to (a x + b y + c, d x + e y + f) of the
    copy. Source and copy are both squares whose centre is 0 and whose sides run from -1/2 to 1/2, x to the right and
    y downwards: the resize is no part of it, and it holds for any number of pixels.
    """

    matrix: tuple[float, float, float, float, float, float]
    border: Border = "reflect"
    interpolation: Interpolation = "bilinear"


class Augmenter(ABC):
    """Draws parameters, then applies them. The division makes lineage, replay and batching possible."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """Parameters for one copy: JSON scalars that depend on ``rng`` and ``info`` alone.

        ``rng`` is counter-based and keyed by (seed, the source's pixel hash, copy number). Fields (of noise, of
        displacement) are drawn as a seed for ``apply``, never as a field.
        """

    @abstractmethod
    def apply(self, images: npt.NDArray[np.uint8], params: Sequence[Params], size: int) -> npt.NDArray[np.uint8]:
        """Copies of ``images`` by ``params``, one each.

        ``images``: uint8 ``[N, H, W, C]`` in 0..255 with C of 1 or 3, as the sources are; ``params``: N dicts
        of :meth:`draw`. Returns uint8 ``[N, size, size, C]``. A copy depends on its own image and params alone,
        not on its batch. The aspect ratio is not kept: the whole source is mapped onto the square.
        """

    @abstractmethod
    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """:meth:`apply` for a uint8 tensor ``[N, C, H, W]`` on any device; the result stays on that device.

        Agrees with :meth:`apply` within ``tolerance`` grey levels, a pixel's mean absolute difference.
        """

    def affine(self, params: Params) -> Affine | None:
        """The copy by ``params`` as one affine map, where it is nothing else; ``None`` (the default) where it is more.

        Must agree with :meth:`apply`, within ``tolerance``. Copies that are affine maps are written as JPEG a third
        faster: the toolbox samples the planes that JPEG holds (brightness, and colours at half the resolution), so
        that nothing is converted for each copy.
        """
        return None

    tolerance: ClassVar[float] = 1.0
    """Grey levels (of 255) by which :meth:`apply` and :meth:`apply_tensor` may differ on average."""

    neutral: ClassVar[Mapping[str, Any]] = {}
    """Parameters of the factory with which every copy is its source, resized (``{"rotation": 0}``); empty where no
    parameters are that. The conformance kit holds an augmenter to it."""


class MixingAugmenter(ABC):
    """Mixes the images of a batch, and their targets with them; only while training (``--train-on online``).

    A component of the kind augmenter, as :class:`Augmenter` is, but there are no copies to keep: what an image
    becomes depends on its neighbours.
    """

    @abstractmethod
    def draw_batch(self, rng: np.random.Generator, count: int, info: ImageInfo) -> Params:
        """Parameters for a batch of ``count`` images: JSON scalars that depend on the arguments alone.

        ``rng`` is counter-based and keyed by (seed, epoch, number of the batch).
        """

    @abstractmethod
    def mix(self, images: torch.Tensor, targets: torch.Tensor, params: Params) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch, mixed by ``params``, on the device of ``images``.

        ``images``: float ``[N, C, H, W]``, normalised or not; ``targets``: float ``[N, K]``, rows sum to 1 (one-hot
        as a rule). Returns both, of the same shapes and types; rows of the targets sum to 1 still.
        """


# ----------------------------------------------------------------------------------------------------- model


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is to be built for.

    ``size`` is the side of the square input in pixels. ``head``: ``"linear"`` (pooled features, one linear
    layer; for a model whose head is its own design, that head) or ``"flatten-N"`` (flatten, dense N with ReLU,
    dense: ``flatten-4096`` is study B's). ``pretrained``: the factory's own weights are wanted.
    """

    classes: int
    channels: int
    size: int
    head: str = "linear"
    pretrained: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """Trunk, last block and head as disjoint sets of parameter names that together cover the module.

    ``blocks`` may divide trunk and last block further: in order from the input, the last one being ``last``. With
    them the last N blocks can be unfrozen, and learning rates can fall from block to block.
    """

    trunk: frozenset[str]
    last: frozenset[str]
    head: frozenset[str]
    blocks: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stages:
    """The forward pass in three steps: ``head(last(trunk(x)))`` equals ``module(x)``, to the bit.

    ``trunk`` takes normalised float ``[N, C, size, size]``; ``head`` returns logits ``[N, classes]``. What lies
    between may have any shape with N first. ``head`` holds only the head's parameters, so that pooling, which
    has none, belongs to ``last`` and features can be kept pooled.
    """

    trunk: Callable[[torch.Tensor], torch.Tensor]
    last: Callable[[torch.Tensor], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A module with what training must know of it.

    ``mean`` and ``std``: the normalisation of input in [0, 1], one value a channel. ``weights``: where they
    came from (``"random"``, or name and origin). ``stages`` may be ``None``: then nothing of the forward pass
    is computed once and kept.
    """

    module: torch.nn.Module
    parts: Parts
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str = "random"
    stages: Stages | None = None


class Model(ABC):
    """An architecture, ready to be built."""

    size: int = 224
    """Side of the square input in pixels where neither user nor dataset says."""

    channels: int = 3
    """Channels that it takes by default; sources are converted."""

    weights_name: str = ""
    """The file of its pretrained weights, and where it comes from, for people; empty where it has none."""

    @abstractmethod
    def build(self, request: ModelRequest) -> BuiltModel:
        """The module on the CPU, float32, in training mode. Draws initial weights from torch's global generator.

        Raises
        ------
        toolbox.api.errors.WeightsUnavailable: pretrained weights are wanted and can't be had here.
        toolbox.api.errors.UsageError: the request makes no sense for this architecture.
        """


# ------------------------------------------------------------------------------------------------- evaluator


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
    ``reporter`` is who is told of progress.
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


# --------------------------------------------------------------------------------------------------- tracker


class Tracker(ABC):
    """Is told of one run as it happens, and writes that elsewhere; see :mod:`toolbox.training.trackers`.

    Whatever it raises is told once, the training goes on, and the tracker is told no more.
    """

    @abstractmethod
    def started(self, folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
        """A training begins, or goes on.

        ``folder``: the run's; ``record``: its ``run.json`` so far; ``history``: the epochs behind it (lines of
        ``metrics.jsonl``), none unless it goes on.
        """

    @abstractmethod
    def epoch(self, line: Mapping[str, Any]) -> None:
        """An epoch is done; ``line`` as in ``metrics.jsonl``. Its stages count their epochs from 1 each."""

    @abstractmethod
    def ended(self, record: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> None:
        """It is over: ``record["status"]`` is finished, interrupted or failed.

        ``evaluation``: ``evaluation.json`` of a finished run.
        """


# ------------------------------------------------------------------------------------------ components of components


class Components(ABC):
    """Makes components from specs, for a component that is made of others.

    A factory with a parameter annotated as ``Components`` gets one that knows all that is installed. Such a parameter
    is no option: it can't be given in a spec, and ``toolbox show`` does not list it. Use it in the factory and do not
    keep it, since components travel between processes.
    """

    @abstractmethod
    def dataset(self, spec: str | Mapping[str, Any]) -> Dataset:
        """The dataset that ``spec`` describes (``"folder:path=here"``, ``{"name": "folder", "path": "here"}``).

        Raises
        ------
        toolbox.api.errors.UsageError: unknown name or parameter, or a bad value.
        toolbox.api.errors.PluginError: its plugin breaks its contract.
        """

    @abstractmethod
    def augmenter(self, spec: str | Mapping[str, Any]) -> Augmenter:
        """:meth:`dataset` for an augmenter. One that mixes batches is a ``UsageError``."""

    @abstractmethod
    def model(self, spec: str | Mapping[str, Any]) -> Model:
        """:meth:`dataset` for a model."""

    @abstractmethod
    def evaluator(self, spec: str | Mapping[str, Any]) -> Evaluator:
        """:meth:`dataset` for an evaluator."""
