"""The one resampling, and copies made from JPEG's planes: against independent implementations, and each other."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from toolbox.api.augmenter import Affine, Border
from toolbox.api.images import as_array
from toolbox.api.warp import Images, Rows, back_to_pixels, halved, inverse, prefilter, warp
from toolbox.augment import encode
from toolbox.augment.planes import Planes
from toolbox.augment.recipe import Recipe
from toolbox.plugin.registry import Registry

SCIPY_MODES: dict[Border, str] = {"reflect": "reflect", "replicate": "nearest", "constant": "grid-constant"}
NUMPY_MODES = {"reflect": "symmetric", "replicate": "edge", "constant": "constant"}

turns = st.floats(-180, 180)
zooms = st.floats(0.3, 3)
shifts = st.floats(-0.4, 0.4)


def rows(turn: float, zoom: float, x: float, y: float, flip: bool = False) -> Rows:
    """Turned by so many degrees, zoomed, shifted, then mirrored."""
    cos, sin = zoom * math.cos(math.radians(turn)), zoom * math.sin(math.radians(turn))
    side = -1.0 if flip else 1.0
    return side * cos, side * sin, side * x, -sin, cos, y


def recipe(size: int, quality: int = 75, kind: str = "jpeg") -> Recipe:
    return Recipe("flip-rotate-zoom", {}, 4, False, size, kind, quality, 0, "", "")


def noise(*shape: int) -> Images:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def points(affine: Affine, height: int, width: int, size: int) -> list[npt.NDArray[np.float64]]:
    """Rows and columns of the source that a copy's pixels come from, by solving for them one by one."""
    a, b, c, d, e, f = affine.matrix
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    u, v = np.linalg.solve([[a, b], [d, e]], np.stack([x.ravel() - c, y.ravel() - f])).reshape(2, size, size)
    return [(v + 0.5) * height - 0.5, (u + 0.5) * width - 0.5]


def keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The kernel of cubic convolution (Keys 1981) with a = -0.75."""
    x, a = np.abs(x), -0.75
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def sampled(image: Images, affine: Affine, size: int) -> npt.NDArray[np.float64]:
    """A copy by scipy, or for bicubic by the sum over all sixteen neighbours, in double precision, not rounded."""
    at = points(affine, *image.shape[:2], size)
    if affine.interpolation != "bicubic":
        order, mode = {"nearest": 0, "bilinear": 1}[affine.interpolation], SCIPY_MODES[affine.border]
        channels = np.moveaxis(image.astype(float), 2, 0)
        return np.stack([ndimage.map_coordinates(c, at, order=order, mode=mode) for c in channels], axis=2)
    more = 6 * max(image.shape)
    around = np.pad(image.astype(float), ((more, more), (more, more), (0, 0)), mode=NUMPY_MODES[affine.border])
    corner = [np.floor(each).astype(int) for each in at]
    total = np.zeros((size, size, image.shape[2]))
    for down in range(-1, 3):
        for across in range(-1, 3):
            weight = keys(at[0] - corner[0] - down) * keys(at[1] - corner[1] - across)
            total += weight[:, :, None] * around[corner[0] + down + more, corner[1] + across + more]
    return total.clip(0, 255)


# ------------------------------------------------------------------------------------------------------ the warp


@given(turns, zooms, shifts, shifts, st.booleans(), st.sampled_from([(20, 33), (75, 100), (1, 40), (48, 48)]))
@example(30, 1, 0, 0, False, (75, 100))
@example(0, 0.3, 0.4, -0.4, False, (20, 33))
@settings(max_examples=40, deadline=None)
def test_every_border_and_interpolation_agrees_with_an_independent_one(
    turn: float, zoom: float, x: float, y: float, flip: bool, shape: tuple[int, int]
) -> None:
    image = noise(*shape, 3)
    for border in get_args(Border):
        for interpolation in ("bilinear", "bicubic"):
            affine = Affine(rows(turn, zoom, x, y, flip), border, interpolation)
            difference = np.abs(warp(image[None], [affine], 32)[0] - sampled(image, affine, 32))
            # Half a level is the rounding; single precision adds where a hard edge is magnified.
            assert difference.mean() < 0.3 and difference.max() < 0.75


@given(turns, zooms, shifts, shifts)
@settings(max_examples=30, deadline=None)
def test_nearest_takes_a_pixel_that_is_nearest(turn: float, zoom: float, x: float, y: float) -> None:
    image = noise(40, 50, 3)
    affine = Affine(rows(turn, zoom, x, y), "reflect", "nearest")
    wrong = (warp(image[None], [affine], 32)[0] != sampled(image, affine, 32)).any(axis=2)
    at = points(affine, 40, 50, 32)
    halfway = np.min([np.abs(each - np.floor(each) - 0.5) for each in at], axis=0) < 0.01
    assert not (wrong & ~halfway).any()


@given(turns, zooms, shifts, shifts, st.booleans())
def test_what_leads_back_leads_back(turn: float, zoom: float, x: float, y: float, flip: bool) -> None:
    there = rows(turn, zoom, x, y, flip)
    for given_back, expected in zip(inverse(inverse(there)), there, strict=True):
        assert given_back == pytest.approx(expected, abs=1e-9)
    back = back_to_pixels(Affine(there), 41, 60, 24)
    a, b, c, d, e, f = halved(back)
    # The middle of the copy's first two by two pixels, and of the source's.
    wide = [back[0] * 0.5 + back[1] * 0.5 + back[2], back[3] * 0.5 + back[4] * 0.5 + back[5]]
    assert [2 * c + 0.5, 2 * f + 0.5] == pytest.approx(wide)
    assert (a, b, d, e) == (back[0], back[1], back[3], back[4])


def test_a_map_onto_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be inverted"):
        inverse((1, 2, 0, 2, 4, 0))


# --------------------------------------------------------------------------------------------------- the filter


@pytest.mark.parametrize("side", [224, 300, 500, 900, 1000, 2000, 4000])
def test_the_filter_smooths_by_as_much_however_it_is_done(side: int) -> None:
    """A white line gets as wide as by antialiased bilinear resizing, less the resampling's part: the second moment."""
    reduction, block, width = side / 224, max(1, side // 448), max(1, side // 224)
    variances = []
    for first in range(side // 2, side // 2 + block):  # wherever it lies in the pixels that are averaged
        line = np.zeros((16, side, 1), np.uint8)
        line[:, first : first + width] = 255
        profile = prefilter(line, 224)[8 if side < 896 else 0, :, 0].astype(float)
        place = (np.arange(len(profile)) + 0.5) * side / len(profile)
        middle = (place * profile).sum() / profile.sum()
        variances.append(((place - middle) ** 2 * profile).sum() / profile.sum())
        assert middle == pytest.approx(first + width / 2, abs=side / 224 / 2)
    expected = (reduction**2 - block**2) / 5.5 + (width**2 - 1) / 12
    assert np.mean(variances) == pytest.approx(expected, rel=0.1, abs=0.3)


# --------------------------------------------------------------------------------------------------- the planes

MOVES = {
    "nothing": Affine((1, 0, 0, 0, 1, 0)),
    "flip": Affine((-1, 0, 0, 0, 1, 0)),
    "rotation": Affine(rows(25, 1, 0, 0)),
    "zoom": Affine(rows(0, 1.25, 0, 0)),
    "shrink, black border": Affine(rows(10, 0.75, 0.05, 0), "constant"),
    "all, bicubic": Affine(rows(-15, 0.9, 0.1, -0.1, True), "replicate", "bicubic"),
}
TOLERANCE = {224: 1.5, 75: 2.2}
"""Grey levels between a copy's planes, decoded, and the same copy's RGB, encoded and decoded, on average, by
the copy's size: in photos, and the more the smaller they are, since more of a small picture is edges of colour."""


def decoded(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data)), dtype=float)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("size", TOLERANCE)
def test_copies_from_planes_are_those_of_rgb_within_the_tolerance(real_data: Path, move: Affine, size: int) -> None:
    paths = sorted((real_data / "cats_dogs" / "train" / "Cats").glob("*.jpg"))[::60]
    for path in paths:
        array = prefilter(as_array(Image.open(path).convert("RGB")), size)
        (from_planes,) = Planes(array, size).moved([move], 90)
        from_rgb = encode.encode(warp(array[None], [move], size)[0], recipe(size, quality=90))
        difference = decoded(from_planes) - decoded(from_rgb)
        assert np.abs(difference).mean() < TOLERANCE[size], path
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5, "no colour is shifted"
        # Both are as close to the copy itself: what is lost is JPEG's, not the planes'.
        truth = warp(array[None], [move], size)[0].astype(float)
        lost, lost_from_rgb = (np.abs(decoded(data) - truth).mean() for data in (from_planes, from_rgb))
        assert lost < lost_from_rgb + 0.2


@given(st.sampled_from([15, 16, 31, 32]), st.sampled_from([(20, 33), (17, 16), (64, 64)]), st.sampled_from(list(MOVES)))
@settings(max_examples=30, deadline=None)
def test_even_and_odd_sides_keep_colours_in_their_places(size: int, shape: tuple[int, int], name: str) -> None:
    """A red square on grey: its red part's centre is where it is in the copy made of RGB."""
    image = np.zeros((*shape, 3), np.uint8)
    image[:, :] = (60, 60, 60)
    image[shape[0] // 4 : shape[0] // 4 * 3, shape[1] // 4 : shape[1] // 4 * 3] = (220, 40, 40)
    array = prefilter(image, size)
    move = Affine(MOVES[name].matrix, "replicate", MOVES[name].interpolation)
    (from_planes,) = Planes(array, size).moved([move], 95)
    from_rgb = encode.encode(warp(array[None], [move], size)[0], recipe(size, quality=95))
    both = (decoded(from_planes), decoded(from_rgb))
    weights = [(values[:, :, 0] - values[:, :, 2] - 20).clip(0) for values in both]
    centres = [ndimage.center_of_mass(weight) for weight in weights]
    assert np.abs(np.subtract(*centres)).max() < 0.3


def test_a_black_border_is_black_and_has_no_colour() -> None:
    image = np.full((40, 40, 3), (200, 120, 60), np.uint8)
    (data,) = Planes(image, 40).moved([Affine(rows(0, 0.5, 0, 0), "constant")], 95)
    assert decoded(data)[:6, :6].max() < 6 and decoded(data)[18:22, 18:22].mean() == pytest.approx(126.7, abs=3)


def test_grey_is_one_plane_and_the_same_as_grey_encoded() -> None:
    image = prefilter(noise(50, 60, 1), 24)
    (data,) = Planes(image, 24).moved([MOVES["rotation"]], 80)
    assert Image.open(io.BytesIO(data)).mode == "L"
    assert data == encode.encode(warp(image[None], [MOVES["rotation"]], 24)[0], recipe(24, 80))


def test_the_door_is_open_to_all_and_agrees_with_apply(registry: Registry) -> None:
    """Every installed augmenter that says a copy is an affine map makes the same copy by itself."""
    doors = 0
    image = prefilter(np.asarray(Image.fromarray(noise(12, 16, 3)).resize((96, 80), Image.Resampling.BICUBIC)), 64)
    for name in registry.names("augmenter"):
        try:
            augmenter = registry.augmenter(name)
        except Exception:  # it mixes batches, or needs parameters
            continue
        for number in range(12):
            params = augmenter.draw(encode.generator(0, name, number), encode.ImageInfo(80, 96, 3))
            affine = augmenter.affine(params)
            if affine is not None:
                doors += 1
                by_itself = augmenter.apply(image[None], [params], 64).astype(float)
                assert np.abs(by_itself - warp(image[None], [affine], 64)).mean() <= augmenter.tolerance, name
    assert doors >= 24
