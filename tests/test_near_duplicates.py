"""Near-duplicates: what is found among real images, and the laws that finding them obeys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.benchmarks import near_duplicates as benchmark
from tests.near_truth import REPORTED, Doubled, measure, originals, variant
from toolbox.api.dataset import Sample, VirtualDataset
from toolbox.api.progress import SilentReporter
from toolbox.data import index
from toolbox.data.audit import describe, near, propose, register, store
from toolbox.data.manifest import Row
from toolbox.data.source import Source, open_source
from toolbox.plugin.registry import Registry


class Held(VirtualDataset):
    """Pictures held in memory; ``loaded`` counts how often one was asked for."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self.pictures, self.loaded = pictures, 0

    def samples(self) -> Iterator[Sample]:
        return (Sample(str(number), str(number), "any") for number in range(len(self.pictures)))

    def load(self, sample: Sample) -> Image.Image:
        self.loaded += 1
        return self.pictures[int(sample.path)]


def compared(pictures: Sequence[Image.Image], order: Callable[[list[Row]], list[Row]] = list) -> near.ImageComparison:
    source = Source(Held(pictures), "held")
    rows = index.build_index(source, SilentReporter()).manifest.rows
    return near.compare_images(order(list(rows)), source, SilentReporter())


def drawn(seed: int, size: int = 96) -> Image.Image:
    """A picture of its own for every seed: blots of all sizes."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(size=(n, n)), (size, size), interpolation=cv2.INTER_CUBIC) for n in (3, 6, 12, 24)]
    grey = sum(layers[1:], layers[0])
    return Image.fromarray(np.clip(128 + 40 * grey, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def family() -> list[Image.Image]:
    """Six pictures; 6 to 8 are variants of 0 to 2."""
    pictures = [drawn(seed) for seed in range(6)]
    return pictures + [variant(pictures[number], np.random.default_rng(number)) for number in range(3)]


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"near-duplicates-{describe.VERSION}.sqlite"


# ------------------------------------------------------------------------------------------------ real images


def test_recall_and_precision_on_some(real_data: Path) -> None:
    measured = measure(originals(real_data / "brain_tumour", REPORTED, step=5), seed=5)
    print(measured)
    assert measured.recall >= 0.98 and measured.precision >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cats_dogs", "brain_tumour"])
def test_recall_and_precision_on_all(name: str, real_data: Path) -> None:
    for half in (REPORTED, None):
        measured = measure(originals(real_data / name, half), seed=5)
        print(f"{name}: {measured}")
        assert measured.recall >= 0.98 and measured.precision >= 0.99


@pytest.mark.slow
def test_no_two_of_802_photos_are_the_same(real_data: Path, registry: Registry) -> None:
    source = open_source(str(real_data / "cats_dogs"), registry)
    rows = index.build_index(source, SilentReporter()).manifest.rows
    found = near.compare_images(rows, source, SilentReporter())
    assert (found.pairs, found.described, found.left_out) == ((), 802, 0)


@pytest.mark.slow
def test_what_is_found_among_slices_is_the_same_slice(real_data: Path) -> None:
    source = Source(Doubled(originals(real_data / "brain_tumour"), seed=0), "slices")
    rows = [row for row in index.build_index(source, SilentReporter()).manifest.rows if row.label == "original"]
    found = near.compare_images(rows, source, SilentReporter())
    lines = Path(__file__).with_name("near_truth_brain_tumour.txt").read_text("utf-8").splitlines()
    same = {name: line for line in lines for name in line.split()}
    duplicates = [pair for pair in found.pairs if pair.kind == "near-duplicate"]
    assert len(duplicates) > 50
    for pair in duplicates:
        assert same[Path(pair.first).name] == same[Path(pair.second).name]


def test_no_two_subjects_of_phantom_are_the_same(registry: Registry) -> None:
    source = open_source("phantom:subjects=12", registry)
    rows = index.build_index(source, SilentReporter()).manifest.rows
    group = {row.id: row.group for row in rows}
    found = near.compare_images(rows, source, SilentReporter()).pairs
    assert found
    assert not [p for p in found if p.kind == "near-duplicate" and group[p.first] != group[p.second]]


# ------------------------------------------------------------------------------------------------- describing


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), margin=st.integers(0, 30))
def test_the_mirrored_description_is_that_of_the_mirrored_picture(seed: int, margin: int) -> None:
    grey = describe.working(ImageOps.expand(drawn(seed), (margin, 0, margin // 2, 3), fill=0))
    expected = describe.describe(np.ascontiguousarray(grey[:, ::-1]))
    np.testing.assert_allclose(describe.mirrored(describe.describe(grey)), expected, atol=2e-3)
    assert register.GreyImage.of(grey).mirrored().box == describe.foreground(grey[:, ::-1])


def test_a_description_has_length_one_and_ignores_brightness_and_margin() -> None:
    grey = describe.working(drawn(1))
    plain = describe.describe(grey).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(describe.describe((grey * 0.5 + 20).astype(np.uint8)), plain, atol=0.02)
    framed = describe.working(ImageOps.expand(drawn(1), 20, fill=0))
    _, trimmed = describe.describe(framed).astype(np.float32)
    assert trimmed @ plain[1] > 0.97


# ------------------------------------------------------------------------------------------------- proposing


@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_proposals_are_those_of_cosine_and_hamming_distance(alike: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propose, "BLOCK", 64)
    made = benchmark.descriptions(300, 40, alike)
    proposals = propose.propose(made, SilentReporter(), per_image=300)
    radius = np.hypot(*np.mgrid[0:16, 0:16]).ravel()
    coarse, bits = (radius > 0) & (radius <= 11), (radius > 0) & (radius <= 9)
    likeness = np.full((300, 300), -1.0)
    for part in (0, 1):
        values = made[:, part].astype(np.float64)
        for other in (values, values * np.where(describe.odd(), -1, 1)):
            cosine = (values * coarse) @ (other * coarse).T
            differing = ((values[:, None, bits] > 0) != (other[None, :, bits] > 0)).sum(axis=2)
            likeness = np.maximum(likeness, (cosine + 1 - 2 * differing / bits.sum()) / 2)
    expected = {(i, j) for i, j in zip(*np.nonzero(likeness > propose.LIKELY), strict=True) if i < j}
    border = {(i, j) for i, j in zip(*np.nonzero(abs(likeness - propose.LIKELY) < 1e-4), strict=True)}
    assert {tuple(pair) for pair in proposals.pairs.tolist()} ^ expected <= border
    assert proposals.left_out == 0 and len(expected) >= 40
    assert (np.diff(proposals.likeness) <= 0).all()


def test_bounds_keep_the_best_and_say_what_they_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propose, "BLOCK", 64)
    made = benchmark.descriptions(300, 40, 0.6)
    every = propose.propose(made, SilentReporter(), per_image=300)
    few = propose.propose(made, SilentReporter(), per_image=3)
    assert benchmark.found(few, 300, 40) == 40
    assert len(few.pairs) <= 900 and few.left_out == len(every.pairs) - len(few.pairs) > 0
    ten = propose.propose(made, SilentReporter(), per_image=3, in_all=10)
    assert (ten.pairs == few.pairs[:10]).all() and ten.left_out == len(every.pairs) - 10


# ------------------------------------------------------------------------------------------------ registering


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.92, 1.08), degrees=st.floats(-5, 5), flip=st.booleans(), seed=st.integers(0, 1000))
def test_scale_rotation_and_mirroring_are_recovered(scale: float, degrees: float, flip: bool, seed: int) -> None:
    grey = cv2.GaussianBlur(describe.working(drawn(seed)), (0, 0), 2)
    matrix = cv2.getRotationMatrix2D((63.5, 63.5), -degrees, scale)  # OpenCV's angles turn the other way
    moved = cv2.warpAffine(grey, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT)
    moved = np.ascontiguousarray(moved[:, ::-1]) if flip else moved
    found = register.register(register.GreyImage.of(grey), register.GreyImage.of(moved))
    assert found.mirrored == flip and found.score > 0.98
    assert found.scale == pytest.approx(scale, abs=0.02) and found.rotation == pytest.approx(degrees, abs=0.7)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["constant", "faint", "noise"]), st.integers(0, 1000))
def test_pictures_without_structure_are_nobodys_duplicates(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    deviation = {"constant": 0, "faint": 1, "noise": 60}[kind]
    first, second = (
        np.clip(rng.integers(0, 256) + rng.normal(0, deviation, (128, 128)), 0, 255).astype(np.uint8) for _ in range(2)
    )
    found = register.register(register.GreyImage.of(first), register.GreyImage.of(second))
    assert found.score < near.SIMILAR
    if kind != "noise":
        described = np.stack([describe.describe(first), describe.describe(second)])
        assert len(propose.propose(described, SilentReporter()).pairs) == 0


# -------------------------------------------------------------------------------------------------- comparing


def unordered(found: near.ImageComparison) -> set[tuple[frozenset[str], str, float, bool]]:
    return {(frozenset((p.first, p.second)), p.kind, p.score, p.mirrored) for p in found.pairs}


def test_variants_are_found_and_nothing_else(family: list[Image.Image]) -> None:
    found = compared(family)
    assert [(p.first, p.second) for p in sorted(found.pairs, key=lambda p: p.first)] == [
        ("0", "6"),
        ("1", "7"),
        ("2", "8"),
    ]
    assert {pair.kind for pair in found.pairs} == {"near-duplicate"}


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(9)))
def test_the_order_of_the_rows_changes_nothing(family: list[Image.Image], order: list[int]) -> None:
    plain = compared(family)
    found = compared(family, lambda rows: [rows[number] for number in order])
    assert unordered(found) == unordered(plain)
    place = {str(number): position for position, number in enumerate(order)}
    for pair in found.pairs:
        assert place[pair.first] < place[pair.second]
        twin = next(other for other in plain.pairs if {other.first, other.second} == {pair.first, pair.second})
        turned = twin.first != pair.first
        assert pair.scale == pytest.approx(1 / twin.scale if turned else twin.scale)
        assert pair.rotation == pytest.approx(twin.rotation * (-1 if turned and not twin.mirrored else 1))


def test_threads_change_nothing(family: list[Image.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = []
    for threads in (1, 7):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        monkeypatch.setenv("TOOLBOX_CACHE_DIR", str(tmp_path / str(threads)))
        found.append(compared(family))
    assert found[0] == found[1]


def test_grey_and_colour_are_one_and_identical_pixels_are_compared_once() -> None:
    grey = drawn(3)
    found = compared([grey, grey.convert("RGB"), grey.copy(), drawn(4)])
    assert found.described == 3  # the copy has the first one's pixels
    assert [(p.first, p.second, p.kind) for p in found.pairs] == [("0", "1", "near-duplicate")]


def test_a_mirrored_copy_is_found_and_told() -> None:
    (pair,) = compared([drawn(5), ImageOps.mirror(drawn(5)), drawn(6)]).pairs
    assert pair.mirrored and pair.kind == "near-duplicate" and pair.score > 0.999


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (register.Registration(0.99), "near-duplicate"),
        (register.Registration(0.99, 0.9, 1.11), "near-duplicate"),
        (register.Registration(0.99, 0.8, 1.0), "similar"),
        (register.Registration(0.99, 1.0, 1.2), "similar"),
        (register.Registration(0.99, rotation=-7.0), "similar"),
        (register.Registration(0.97), "similar"),
        (register.Registration(0.84), ""),
    ],
)
def test_kinds(found: register.Registration, kind: str) -> None:
    assert near.kind_of(found) == kind


# ------------------------------------------------------------------------------------------------ remembering


def test_a_second_time_nothing_is_read_or_registered(family: list[Image.Image]) -> None:
    source = Source(Held(family), "held")
    rows = index.build_index(source, SilentReporter()).manifest.rows
    first = near.compare_images(rows, source, SilentReporter())
    source.dataset.loaded = 0  # type: ignore[attr-defined]
    assert near.compare_images(rows, source, SilentReporter()) == first
    assert source.dataset.loaded == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["cut", "garbage", "inside", "empty", "folder", "no-folder"])
def test_a_damaged_cache_is_survived(family: list[Image.Image], cache_of_its_own: Path, damage: str) -> None:
    plain = compared(family)
    path = cache_of_its_own
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif damage == "inside":
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("a file where the folder should be")
    assert compared(family) == plain
    assert compared(family) == plain


@pytest.mark.parametrize("data, score", [("x'00'", "'high'"), ("'text'", "NULL"), (f"x'{'ff' * 1024}'", "7.5")])
def test_wrong_entries_are_not_believed(
    family: list[Image.Image], cache_of_its_own: Path, data: str, score: str
) -> None:
    plain = compared(family)
    with sqlite3.connect(cache_of_its_own) as connection:
        connection.execute(f"UPDATE description SET data = {data}")
        connection.execute(f"UPDATE registration SET score = {score}")
    connection.close()
    assert compared(family) == plain


def test_a_locked_cache_is_survived(
    family: list[Image.Image], cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = compared(family)
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    holder = sqlite3.connect(cache_of_its_own)
    holder.execute("BEGIN EXCLUSIVE")
    assert compared(family) == plain
    holder.close()


def test_two_at_once_share_one_cache(family: list[Image.Image], cache_of_its_own: Path) -> None:
    one, two = store.Store(cache_of_its_own), store.Store(cache_of_its_own)
    made = {str(number): describe.describe(describe.working(image)) for number, image in enumerate(family)}
    for number, item in enumerate(made.items()):
        (one, two)[number % 2].keep_descriptions([item])
    for which in (one, two):
        known = which.descriptions(list(made))
        assert all((known[key] == value).all() for key, value in made.items())
        which.close()
