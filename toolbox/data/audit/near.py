"""Finds near-duplicates: the same picture re-encoded, resized, slightly cropped, brightened or mirrored.

Three steps: every picture is described once (:mod:`describe`), descriptions propose pairs (:mod:`propose`), and what
decides is how well the registered pixels of a pair agree (:mod:`register`). Descriptions alone would not do: in scans
of one organ they call different patients the same.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock

import numpy as np
import numpy.typing as npt

from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.data.audit import describe, propose, store
from toolbox.data.audit.register import GreyImage, Registration, register
from toolbox.data.manifest import Row
from toolbox.data.source import Source
from toolbox.files import fingerprint

DUPLICATE = 0.98
"""Correlation of registered, band-passed pixels from which two pictures are one; neighbouring slices stay below."""

SIMILAR = 0.85
"""From here on a pair is worth a look: neighbouring slices of one patient, strongly processed copies."""

SCALES = (0.88, 1.14)
"""How much a duplicate may be scaled along either axis: both sides of a squashed picture, cropped by up to 5 %."""

ROTATION = 6.0
"""Degrees that a duplicate may be turned by."""

_REMEMBERED = 8192  # pictures held for registration: 16 KB each
_TOGETHER = 1000  # results that are put into the cache at once: what was done survives an interruption


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples (ids, in the order of their rows) that show the same, or nearly.

    ``kind``: ``"near-duplicate"`` or ``"similar"``. ``score``: correlation of the registered band-passed pixels.
    ``scale`` and ``rotation`` (degrees) take the first, squashed to a square, to the second.
    """

    first: str
    second: str
    kind: str
    score: float
    scale: float
    rotation: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """What comparing all pictures gave.

    ``described``: pictures, identical ones counted once; ``registered``: pairs whose pixels were compared;
    ``left_out``: pairs about as likely that were not, because there were too many (0 where no bound bit).
    """

    pairs: tuple[Pair, ...]
    described: int
    registered: int
    left_out: int


def compare_images(rows: Sequence[Row], source: Source, reporter: Reporter) -> ImageComparison:
    """Compare the pictures of all ``rows`` with each other; of those with one pixel hash only the first.

    Raises
    ------
    toolbox.data.source.ImageChanged: an image is gone or no longer what it was.
    """
    # In the order of their hashes, so that nothing depends on the order of the rows.
    first_of = {_key(row): row for row in reversed(rows)}
    keys = sorted(first_of)
    pictures = _Pictures([first_of[key] for key in keys], source)
    with store.opened() as known, _one_cv2_thread():
        descriptions = _described(keys, pictures, known, reporter)
        proposals = propose.propose(descriptions, reporter)
        links = sorted((int(first), int(second)) for first, second in proposals.pairs)
        registrations = _registered(links, keys, pictures, known, reporter)
    place = {row.id: number for number, row in enumerate(rows)}
    pairs = [
        _pair(first_of[keys[first]], first_of[keys[second]], registration, place)
        for (first, second), registration in zip(links, registrations, strict=True)
        if registration.score >= SIMILAR
    ]
    pairs.sort(key=lambda pair: (pair.kind, -pair.score, place[pair.first], place[pair.second]))
    return ImageComparison(tuple(pairs), len(keys), len(links), proposals.left_out)


def kind_of(registration: Registration) -> str:
    """What a pair registered like that is: ``"near-duplicate"``, ``"similar"``, or ``""`` for neither."""
    low, high = SCALES
    close = low <= registration.smallest and registration.largest <= high and abs(registration.rotation) < ROTATION
    if registration.score >= DUPLICATE and close:
        return "near-duplicate"
    return "similar" if registration.score >= SIMILAR else ""


class _Pictures:
    """The pictures of ``rows``, read when asked for; the last ones asked for are remembered. For many threads."""

    def __init__(self, rows: Sequence[Row], source: Source) -> None:
        self._rows, self._source = rows, source
        self._lock, self._remembered = Lock(), OrderedDict[int, tuple[GreyImage, str]]()

    def get(self, number: int) -> tuple[GreyImage, str]:
        """The picture in grey and the hash of its pixels as they are now (a file may have changed)."""
        with self._lock:
            if number in self._remembered:
                self._remembered.move_to_end(number)
                return self._remembered[number]
        image = self._source.image(self._rows[number])
        read = GreyImage.of(describe.working(image)), fingerprint.of_pixels(image)
        with self._lock:
            self._remembered[number] = read
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return read


def _described(
    keys: Sequence[str], pictures: _Pictures, known: store.Store, reporter: Reporter
) -> npt.NDArray[np.float16]:
    descriptions = np.zeros((len(keys), 2, describe.SIDE**2), np.float16)
    remembered = known.descriptions(keys)
    for number, key in enumerate(keys):
        if key in remembered:
            descriptions[number] = remembered[key]
    missing = [number for number, key in enumerate(keys) if key not in remembered]

    def work(number: int) -> tuple[int, str, npt.NDArray[np.float16]]:
        picture, pixels = pictures.get(number)
        return number, pixels, describe.describe(picture.grey)

    if not missing:
        return descriptions
    done = tracked(map_in_threads(work, missing), reporter, "describing images", len(missing), "images")
    while some := list(islice(done, _TOGETHER)):
        for number, _, description in some:
            descriptions[number] = description
        known.keep_descriptions((pixels, description) for _, pixels, description in some)
    return descriptions


def _registered(
    links: Sequence[tuple[int, int]], keys: Sequence[str], pictures: _Pictures, known: store.Store, reporter: Reporter
) -> list[Registration]:
    by_keys = known.registrations([(keys[first], keys[second]) for first, second in links])
    missing = [link for link in links if (keys[link[0]], keys[link[1]]) not in by_keys]

    def work(link: tuple[int, int]) -> tuple[tuple[int, int], tuple[str, str], Registration]:
        (first, first_pixels), (second, second_pixels) = pictures.get(link[0]), pictures.get(link[1])
        return link, (first_pixels, second_pixels), register(first, second)

    done = tracked(map_in_threads(work, missing), reporter, "comparing pixels", len(missing), "pairs")
    while some := list(islice(done, _TOGETHER)):
        by_keys.update({(keys[link[0]], keys[link[1]]): registration for link, _, registration in some})
        known.keep_registrations((pixels, registration) for _, pixels, registration in some)
    return [by_keys[keys[first], keys[second]] for first, second in links]


def _pair(first: Row, second: Row, registration: Registration, place: dict[str, int]) -> Pair:
    scale, rotation = registration.scale, registration.rotation
    if place[first.id] > place[second.id]:
        first, second, scale = second, first, 1 / scale
        rotation = (
            rotation if registration.mirrored else -rotation
        )  # a mirrored map turns the same way from either side
    return Pair(first.id, second.id, kind_of(registration), registration.score, scale, rotation, registration.mirrored)


def _key(row: Row) -> str:
    return row.pixels or f"unknown {row.id}"


@contextlib.contextmanager
def _one_cv2_thread() -> Iterator[None]:
    """OpenCV without threads of its own: pictures are worked on side by side already."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
