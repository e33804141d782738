"""Datasets: samples that are the same every time, and images that can be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from toolbox.api.dataset import MANIFEST_COLUMNS, Dataset, Sample, VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.threads import map_in_threads
from toolbox.data import manifest
from toolbox.data.index import check_samples
from toolbox.data.source import Source
from toolbox.files import fingerprint
from toolbox.settings import layers
from toolbox.testing import second_process
from toolbox.testing.check import Checks, Problems
from toolbox.testing.kinds.common import can_be_pickled
from toolbox.testing.subject import Subject

MAX_IMAGES = 24
"""Images that are read, from all over the dataset."""

CHECKS = check = Checks(Dataset)


@check
def gives_samples(subject: Subject) -> Problems:
    """``samples()`` is an iterator of :class:`Sample` objects whose fields are strings, and yields at least one.

    They are written to the manifest, a CSV file.
    """
    if not isinstance(subject.component.samples(), Iterator):
        yield "samples() returns no iterator: a dataset need not hold all its samples at once; use yield"
    samples = _samples(subject)
    if not samples:
        yield "it has no samples"
    for sample in samples:
        if not isinstance(sample, Sample):
            yield f"samples() yields a {type(sample).__name__}, not a Sample"
            return
        fields = {name: getattr(sample, name) for name in ("id", "path", "label", "group", "split", "problem")}
        for name, value in [*fields.items(), *sample.columns.items()]:
            if not isinstance(value, str):
                yield f"sample {sample.id!r}: {name} is a {type(value).__name__}, not a string"


@check
def ids_are_unique(subject: Subject) -> Problems:
    """Each sample has an id of its own: splits, predictions and lineage refer to samples by id."""
    ids: set[str] = set()
    for sample in _samples(subject):
        if not sample.id:
            yield f"the sample with the path {sample.path!r} has no id"
        elif sample.id in ids:
            yield f"two samples have the id {sample.id!r}"
        ids.add(sample.id)


@check
def labels_are_valid(subject: Subject) -> Problems:
    """Each sample has a label without surrounding blanks; no two labels differ only in case or Unicode form.

    A label becomes the name of a class, of a column of the predictions, and of a folder of copies.
    """
    samples = _samples(subject)
    for sample in samples:
        if not sample.label.strip():
            yield f"sample {sample.id!r} has no label"
        elif sample.label != sample.label.strip():
            yield f"sample {sample.id!r}: the label {sample.label!r} has blanks around it"
    try:
        check_samples(list({sample.label: sample for sample in samples}.values()), "it")
    except UsageError as error:
        yield error.message


@check
def splits_are_valid(subject: Subject) -> Problems:
    """``split`` is train, val, test or empty, and no group lies in two of them.

    A dataset's own split is kept as it is: a group that it divides is a leak that no later step repairs.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in _samples(subject):
        if sample.split and sample.split not in manifest.SPLITS:
            yield f"sample {sample.id!r}: the split {sample.split!r} is none of {', '.join(manifest.SPLITS)}"
        if sample.group and sample.split:
            splits[sample.group].add(sample.split)
    for group, names in splits.items():
        if len(names) > 1:
            yield f"the group {group!r} lies in {' and '.join(sorted(names))}"


@check
def columns_do_not_clash(subject: Subject) -> Problems:
    """No column of the dataset has a name that the manifest uses itself."""
    names = {name for sample in _samples(subject) for name in sample.columns}
    for name in sorted(names & {*MANIFEST_COLUMNS, "source"}):
        yield f"the column {name!r} is the manifest's own"


@check
def order_is_stable(subject: Subject) -> Problems:
    """Samples come in the same order again: from the same dataset, from a second one, and in another process.

    Splits, batches and fingerprints follow from the order. Sort folders; the order of a set differs between processes.
    """
    first = [_identity(sample) for sample in _samples(subject)]
    for what, dataset in (("asked twice", subject.component), ("built twice", subject.rebuild())):
        second = [_identity(sample) for sample in dataset.samples()]
        if sorted(second) != sorted(first):
            yield f"{what}, the dataset has other samples ({len(first)} and {len(second)})"
        elif second != first:
            number = next(number for number, pair in enumerate(zip(first, second, strict=True), 1) if len({*pair}) > 1)
            yield f"{what}, the dataset has another order, from sample {number} on"
    if second_process.fingerprint_elsewhere(subject) != second_process.fingerprint(subject.component):
        yield "another process gets other samples, or another order; is there a loop over a set?"


@check
def groups_are_stable(subject: Subject) -> Problems:
    """A sample's group and label depend on the sample alone: they are the same when the dataset is built again.

    A split keeps groups whole by name. Names that come from a counter, say, divide patients when a dataset grows.
    """
    first = {sample.id: (sample.group, sample.label) for sample in _samples(subject)}
    for sample in subject.rebuild().samples():
        second = (sample.group, sample.label)
        if first.get(sample.id, second) != second:
            yield f"sample {sample.id!r} has group and label {first[sample.id]} at first, then {second}"


@check
def paths_lead_to_files(subject: Subject) -> Problems:
    """Paths are POSIX style, relative to ``root`` and within it; or the dataset is a :class:`VirtualDataset`.

    A manifest must be readable on another machine, and a link that leads elsewhere is no part of the dataset.
    """
    dataset = subject.component
    if isinstance(dataset, VirtualDataset):
        for sample in _some(subject):
            file = dataset.file(sample)
            if file is not None and not file.is_file():
                yield f"sample {sample.id!r}: file() names {file}, which is no file"
        return
    if dataset.root is None:
        yield "it has no root for its paths; a dataset without files is a VirtualDataset"
        return
    root = dataset.root.resolve()
    for sample in _samples(subject):
        path = PurePosixPath(sample.path)
        if "\\" in sample.path or path.is_absolute() or Path(sample.path).is_absolute():
            yield f"sample {sample.id!r}: the path {sample.path!r} is not relative, with / between folders"
        elif not sample.problem and not (root / path).resolve().is_relative_to(root):
            yield f"sample {sample.id!r}: the path {sample.path!r} leads out of {root}"


@check
def images_are_readable(subject: Subject) -> Problems:
    """Images (a sample of them) can be read; one that the dataset loads itself has mode ``L`` or ``RGB``.

    A single broken file is quarantined; in a test, all are expected to be whole.
    """
    dataset = subject.component
    source = Source(dataset, str(subject.spec))
    for sample in _some(subject):
        if isinstance(dataset, VirtualDataset):
            mode = dataset.load(sample).mode
            if mode not in ("L", "RGB"):
                yield f"sample {sample.id!r}: load() returns an image of mode {mode}, neither L nor RGB"
        try:
            source.read(sample)
        except (OSError, ValueError) as error:
            yield f"sample {sample.id!r} ({sample.path}) can't be read: {error}"


@check
def reading_changes_nothing(subject: Subject) -> Problems:
    """An image is the same when read again, in another order, and in threads; no file is changed.

    Several threads decode images, and what is drawn for an image is keyed by its pixels: no random step, and no open
    file that threads share. The user's own files are never changed.
    """
    source, samples = Source(subject.component, str(subject.spec)), _some(subject)
    files = {file: fingerprint.of_file(file) for file in _files(subject) if file.is_file()}

    def pixels(sample: Sample) -> str:
        try:
            return fingerprint.of_pixels(source.read(sample)[0].image)
        except (OSError, ValueError):
            return ""

    first = [pixels(sample) for sample in samples]
    backwards = [pixels(sample) for sample in reversed(samples)][::-1]
    in_threads = list(map_in_threads(pixels, samples * 2))[: len(samples)]
    for what, second in (("in another order", backwards), ("in threads", in_threads)):
        for sample, one, other in zip(samples, first, second, strict=True):
            if one != other:
                yield f"sample {sample.id!r} has other pixels when read again {what}"
    for file, digest in files.items():
        if not file.is_file() or fingerprint.of_file(file) != digest:
            yield f"reading changes the file {file}"


@check
def suggestions_are_settings(subject: Subject) -> Problems:
    """``suggestions`` are settings by their dotted names, with valid values."""
    try:
        layers.resolve([layers.from_names(str(subject), subject.component.suggestions)])
    except UsageError as error:
        yield " ".join(str(error).split())


check(can_be_pickled)


def _samples(subject: Subject) -> list[Sample]:
    samples: list[Sample] = subject.cached("samples", lambda: list(subject.component.samples()))
    return samples


def _some(subject: Subject) -> list[Sample]:
    """Samples from all over the dataset, without those that it does not want read itself."""
    samples = [sample for sample in _samples(subject) if not sample.problem]
    return samples[:: max(1, -(-len(samples) // MAX_IMAGES))]


def _files(subject: Subject) -> set[Path]:
    dataset = subject.component
    if isinstance(dataset, VirtualDataset):
        return {file for sample in _some(subject) if (file := dataset.file(sample)) is not None}
    return {(dataset.root or Path()) / sample.path for sample in _some(subject)}


def _identity(sample: Sample) -> tuple[str, ...]:
    return (sample.id, sample.path, sample.label, sample.group, sample.split)
