"""What the core relies on in a dataset: samples that are the same every time, and pictures that can be read."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from toolbox.api.dataset import MANIFEST_COLUMNS, Dataset, Sample, VirtualDataset
from toolbox.api.errors import UsageError
from toolbox.api.threads import map_in_threads
from toolbox.data import manifest
from toolbox.data.index import check_samples
from toolbox.data.source import Source
from toolbox.files import fingerprint
from toolbox.settings import layers
from toolbox.testing import elsewhere
from toolbox.testing.finding import Checks, Problems
from toolbox.testing.subject import Subject

READ = 24
"""Pictures that are read, from all over the dataset."""

check = Checks(Dataset)


@check
def gives_samples(subject: Subject) -> Problems:
    """``samples()`` is an iterator of :class:`Sample`, whose fields are texts; there is one sample at least.

    They go into the manifest, a CSV file, as they are.
    """
    if not isinstance(subject.dataset.samples(), Iterator):
        yield "samples() gives no iterator: a dataset need not hold all its samples at once; use yield"
    found = _samples(subject)
    if not found:
        yield "it has no samples"
    for sample in found:
        if not isinstance(sample, Sample):
            yield f"samples() gives a {type(sample).__name__}, which is no Sample"
            return
        fields = {name: getattr(sample, name) for name in ("id", "path", "label", "group", "split", "problem")}
        for name, value in [*fields.items(), *sample.columns.items()]:
            if not isinstance(value, str):
                yield f"sample {sample.id!r}: {name} is a {type(value).__name__}, not a text"


@check
def ids_are_unique(subject: Subject) -> Problems:
    """Each sample has an id, and no two have the same: splits, predictions and lineage name samples by it."""
    seen: set[str] = set()
    for sample in _samples(subject):
        if not sample.id:
            yield f"the sample with the path {sample.path!r} has no id"
        elif sample.id in seen:
            yield f"two samples have the id {sample.id!r}"
        seen.add(sample.id)


@check
def labels_are_known(subject: Subject) -> Problems:
    """Each sample has a label, without blanks around it, and no two labels differ in case or Unicode form alone.

    A label is the name of a class, of a column of the predictions, and of a folder of copies.
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
def splits_are_known(subject: Subject) -> Problems:
    """``split`` is train, val, test or empty, and no group lies in two of them.

    What a dataset brings is kept as it is, so that a group that it divides is a leak which no later step mends.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in _samples(subject):
        if sample.split and sample.split not in manifest.SPLITS:
            yield f"sample {sample.id!r}: the split is {sample.split!r}, none of {', '.join(manifest.SPLITS)}"
        if sample.group and sample.split:
            splits[sample.group].add(sample.split)
    for group, found in splits.items():
        if len(found) > 1:
            yield f"the group {group!r} lies in {' and '.join(sorted(found))}"


@check
def columns_are_its_own(subject: Subject) -> Problems:
    """No column of the dataset's has a name that the manifest has already."""
    names = {name for sample in _samples(subject) for name in sample.columns}
    for name in sorted(names & {*MANIFEST_COLUMNS, "source"}):
        yield f"the column {name!r} is the manifest's own"


@check
def same_order_every_time(subject: Subject) -> Problems:
    """Samples come in the same order again: from the same dataset, from another one, and in another process.

    Splits, batches and fingerprints follow from the order. Folders must be sorted, and sets have no order: theirs
    changes from process to process.
    """
    first = [_identity(sample) for sample in _samples(subject)]
    made_anew: Dataset = subject.again()
    for what, dataset in (("when asked again", subject.dataset), ("of a dataset made anew", made_anew)):
        again = [_identity(sample) for sample in dataset.samples()]
        if sorted(again) != sorted(first):
            yield f"the samples {what} are others ({len(first)} and {len(again)})"
        elif again != first:
            place = next(i for i, pair in enumerate(zip(first, again, strict=True)) if pair[0] != pair[1])
            yield f"the samples {what} come in another order, from number {place + 1} on"
    here = hashlib.sha256(json.dumps(first[: elsewhere.SAMPLES]).encode()).hexdigest()
    if subject.elsewhere("answer")["answer"] != here:
        yield "another process gets other samples, or in another order; does it go over a set?"


@check
def groups_are_stable(subject: Subject) -> Problems:
    """A sample's group and label hang on the sample alone: they are the same when a dataset is made anew.

    A split keeps groups whole by their names; names that are dealt anew (a counter, say) divide patients when a
    dataset grows.
    """
    first = {sample.id: sample for sample in _samples(subject)}
    for sample in subject.again().samples():
        known = first.get(sample.id)
        if known is not None and (known.group, known.label) != (sample.group, sample.label):
            yield (
                f"sample {sample.id!r} is of group {known.group!r} and label {known.label!r} at first,"
                f" then of {sample.group!r} and {sample.label!r}"
            )


@check
def paths_lead_to_files(subject: Subject) -> Problems:
    """Paths are POSIX style and relative to ``root``, within it; or the dataset is a :class:`VirtualDataset`.

    A manifest is to be read on another machine, and a link that leads elsewhere is no part of the dataset.
    """
    dataset = subject.dataset
    if isinstance(dataset, VirtualDataset):
        for sample in _few(subject):
            file = dataset.file(sample)
            if file is not None and not file.is_file():
                yield f"sample {sample.id!r}: file() names {file}, which is no file"
        return
    if dataset.root is None:
        yield "it has no root to which paths are relative; a dataset without files is a VirtualDataset"
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
    """Pictures (some, from all over) can be read; one that the dataset loads itself has mode ``L`` or ``RGB``.

    A single file that is broken is quarantined; here, all are expected to be whole.
    """
    dataset = subject.dataset
    source = Source(dataset, str(subject.spec))
    for sample in _few(subject):
        if isinstance(dataset, VirtualDataset):
            mode = dataset.load(sample).mode
            if mode not in ("L", "RGB"):
                yield f"sample {sample.id!r}: load() gives a picture of mode {mode}, neither L nor RGB"
        try:
            source.read(sample)
        except (OSError, ValueError) as error:
            yield f"sample {sample.id!r} ({sample.path}) can't be read: {error}"


@check
def reading_changes_nothing(subject: Subject) -> Problems:
    """A picture is the same when it is read again, in another order, and in threads; and no file is changed.

    Pictures are decoded by several threads, and their hash is the key of all that is drawn for them: a dataset with
    a random step, or with one open file for all threads, can't be used. What the user gave is never changed.
    """
    source, samples = Source(subject.dataset, str(subject.spec)), _few(subject)
    files = {file: fingerprint.of_file(file) for file in _files(subject) if file.is_file()}

    def pixels(sample: Sample) -> str:
        try:
            return fingerprint.of_pixels(source.read(sample)[0].image)
        except (OSError, ValueError):
            return ""

    first = [pixels(sample) for sample in samples]
    backwards = [pixels(sample) for sample in reversed(samples)][::-1]
    together = list(map_in_threads(pixels, samples * 2))[: len(samples)]
    for what, again in (("in another order", backwards), ("in threads", together)):
        for sample, one, other in zip(samples, first, again, strict=True):
            if one != other:
                yield f"sample {sample.id!r} has other pixels when read again {what}"
    for file, digest in files.items():
        if not file.is_file() or fingerprint.of_file(file) != digest:
            yield f"reading changes the file {file}"


@check
def suggestions_are_settings(subject: Subject) -> Problems:
    """``suggestions`` are settings by their dotted names, with values that they can have."""
    try:
        layers.resolve([layers.from_names(str(subject), subject.dataset.suggestions)])
    except UsageError as error:
        yield " ".join(str(error).split())


@check
def travels(subject: Subject) -> Problems:
    """It can be pickled, so that several processes can work on it; one that can't is worked on by one alone."""
    try:
        pickle.loads(pickle.dumps(subject.dataset))
    except Exception as error:
        yield f"it can't be pickled: {error}"


def _samples(subject: Subject) -> list[Sample]:
    found: list[Sample] = subject.keep("samples", lambda: list(subject.dataset.samples()))
    return found


def _few(subject: Subject) -> list[Sample]:
    """Some samples from all over, without those that the dataset itself won't have read."""
    whole = [sample for sample in _samples(subject) if not sample.problem]
    return list(islice(whole, 0, None, max(1, -(-len(whole) // READ))))


def _files(subject: Subject) -> set[Path]:
    dataset = subject.dataset
    if isinstance(dataset, VirtualDataset):
        return {file for sample in _few(subject) if (file := dataset.file(sample)) is not None}
    return {(dataset.root or Path()) / sample.path for sample in _few(subject)}


def _identity(sample: Sample) -> list[str]:
    return [sample.id, sample.path, sample.label, sample.group, sample.split]
