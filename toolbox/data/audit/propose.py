"""Proposes pairs of pictures that may be the same, from their descriptions alone: all pairs, block by block.

A pair's likeness is the mean of the cosine of the two thumbnails and the agreement of their signs (1 − 2 × Hamming
distance / bits), the larger of whole and trimmed, mirrored or not. With a description's even and odd horizontal
frequencies apart, both cost one product each: e + o as they are, e − o mirrored, so the larger is e + |o|.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import threadpoolctl

from toolbox.api.progress import Reporter, tracked
from toolbox.api.threads import map_in_threads
from toolbox.data.audit.describe import SIDE, Floats, odd

LIKELY = 0.55
"""Likeness from which a pair is proposed. Of 4,105 variants of photos and slices two were less like their source."""

PER_IMAGE = 16
"""Pairs that one picture may propose, best first."""

IN_ALL = 400_000
"""Pairs that are registered at most: a quarter of an hour on two cores."""

BLOCK = 1024
_BITS_TO, _DETAIL_TO = 9.0, 11.0  # frequencies that take part: finer ones hold little but noise in their signs


@dataclass(frozen=True)
class Proposals:
    """``pairs``: int64 ``[M, 2]`` (smaller index first), most alike first; ``likeness``: float32 ``[M]``.

    ``left_out``: how many pairs as likely as these were not proposed because there were too many of them.
    """

    pairs: npt.NDArray[np.int64]
    likeness: Floats
    left_out: int


@dataclass
class _Best:
    """The best partners of every picture so far; ``least`` is what a new one must be worth to be among them."""

    count: int
    keep: int
    least: Floats = field(init=False)
    edges: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]] = field(default_factory=list)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.least = np.full(self.count, LIKELY, np.float32)

    def add(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], likeness: Floats) -> None:
        self.edges += [(first, second, likeness), (second, first, likeness)]
        self.waiting += 2 * len(first)
        if self.waiting > 1_000_000 + 2 * self.keep * self.count:
            self.prune()

    def prune(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
        """Forget all but the best of each picture, ties to the smaller index."""
        if not self.edges:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        node, other, likeness = (np.concatenate(column) for column in zip(*self.edges, strict=True))
        order = np.lexsort((other, -likeness, node))
        node, other, likeness = node[order], other[order], likeness[order]
        begins = np.searchsorted(node, np.arange(self.count))
        rank = np.arange(len(node)) - begins[node]
        full = node[rank == self.keep - 1]
        self.least[full] = likeness[rank == self.keep - 1]
        within = rank < self.keep
        self.edges = [(node[within], other[within], likeness[within])]
        self.waiting = 0
        return self.edges[0]


def propose(
    descriptions: npt.NDArray[np.float16], reporter: Reporter, *, per_image: int = PER_IMAGE, in_all: int = IN_ALL
) -> Proposals:
    """The pairs worth registering among ``descriptions``, float16 ``[N, 2, 256]``.

    Memory beyond the descriptions is bounded by the block and ``N × per_image``.
    """
    count = len(descriptions)
    halves = _halves(descriptions)
    best, likely = _Best(count, per_image), 0
    starts = range(0, count, BLOCK)
    blocks = [(row, column) for row in starts for column in starts if column >= row]
    look = functools.partial(_look, halves, best)
    # Blocks are worked on side by side; a BLAS with threads of its own would only be in their way.
    with threadpoolctl.threadpool_limits(1, "blas"):
        for block_pairs in tracked(
            map_in_threads(look, blocks), reporter, "comparing descriptions", len(blocks), "blocks"
        ):
            first, second, likeness, number = block_pairs
            likely += number
            best.add(first, second, likeness)
    node, other, likeness = best.prune()
    pairs = np.stack([np.minimum(node, other), np.maximum(node, other)], axis=1)
    pairs, places = np.unique(pairs, axis=0, return_index=True)
    likeness = likeness[places]
    order = np.argsort(-likeness, kind="stable")[:in_all]
    return Proposals(pairs[order], likeness[order], likely - len(order))


def _halves(descriptions: npt.NDArray[np.float16]) -> list[tuple[Floats, Floats]]:
    """For whole and trimmed: vectors of even and of odd frequencies whose products are the likeness."""
    radius = np.hypot(*np.mgrid[0:SIDE, 0:SIDE]).ravel()
    detail, bits = (radius > 0) & (radius <= _DETAIL_TO), (radius > 0) & (radius <= _BITS_TO)
    halves = []
    for part in range(descriptions.shape[1]):
        values = descriptions[:, part].astype(np.float32) / np.float32(np.sqrt(2))
        signs = np.sign(values) / np.float32(np.sqrt(2 * bits.sum()))
        even, uneven = (
            np.ascontiguousarray(np.concatenate([values[:, detail & which], signs[:, bits & which]], axis=1))
            for which in (~odd(), odd())
        )
        halves.append((even, uneven))
    return halves


def _look(
    halves: list[tuple[Floats, Floats]], best: _Best, block: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, int]:
    """The pairs of one block that may be among the best of either picture, and how many were likely at all."""
    row, column = block
    likeness = _likeness(halves, row, column)
    if row == column:
        likeness[np.tril_indices(len(likeness))] = -1
    candidates = likeness >= LIKELY
    number = int(np.count_nonzero(candidates))
    rows, columns = (best.least[start : start + BLOCK] for start in block)
    if number > 4 * best.keep * BLOCK:  # a crowd: what is not among a picture's best here is not among its best
        rows, columns = np.maximum(rows, _nth(likeness, best.keep)), np.maximum(columns, _nth(likeness.T, best.keep))
    if max(rows.max(), columns.max()) > LIKELY:
        candidates = likeness >= rows[:, None]
        candidates |= likeness >= columns[None, :]
    some = np.flatnonzero(candidates.any(axis=1))
    first, second = np.nonzero(candidates[some])
    first = some[first]
    return first + row, second + column, likeness[first, second], number


def _likeness(halves: list[tuple[Floats, Floats]], row: int, column: int) -> Floats:
    highest: Floats | None = None
    for even, uneven in halves:
        these = uneven[row : row + BLOCK] @ uneven[column : column + BLOCK].T
        np.abs(these, out=these)
        these += even[row : row + BLOCK] @ even[column : column + BLOCK].T
        highest = these if highest is None else np.maximum(highest, these, out=highest)
    assert highest is not None
    return highest


def _nth(likeness: Floats, keep: int) -> Floats:
    """Each row's ``keep``-th largest value."""
    if likeness.shape[1] <= keep:
        return np.full(likeness.shape[0], -1, np.float32)
    nth: Floats = np.partition(likeness, -keep, axis=1)[:, -keep]
    return nth
