"""The recipes of the studies: what they draw, and that arrays, tensors and an independent sampling agree."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from tests.augmenter_arrays import Images, as_array, as_tensor, draws, generator, noise, off
from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.errors import UsageError
from toolbox.plugin.registry import Registry
from toolbox_kornia.heavy.geometry import Steps, pixel_matrix
from toolbox_kornia.heavy.studies import Alzheimer, FlipRotateZoom
from toolbox_kornia.heavy.warp import Border, Interpolation

RECIPES: list[Augmenter] = [FlipRotateZoom(), Alzheimer(), Alzheimer(shear=11.3, border="reflect")]
INFO = ImageInfo(height=375, width=500, channels=3)
SCIPY_MODES: dict[Border, str] = {"reflect": "reflect", "replicate": "nearest", "constant": "grid-constant"}


def oracle(image: Images, params: Params, size: int, border: Border, order: int = 1) -> npt.NDArray[np.float64]:
    """One copy by scipy in double precision, not rounded: each output pixel is led back, a step at a time.

    The steps back are those of Keras's affine transformation (which is written from output to input), in the
    frame whose centre is 0 and whose sides are 1 long.
    """
    step = dict.fromkeys(("rotation", "shift_x", "shift_y", "shear"), 0.0)
    step |= {"zoom": 1.0, "zoom_x": 1.0, "zoom_y": 1.0, "flip": 0.0} | {k: float(v) for k, v in params.items()}
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    x = -x if step["flip"] else x
    x, y = x / (step["zoom"] * step["zoom_x"]), y / (step["zoom"] * step["zoom_y"])
    slant = math.radians(step["shear"])
    x, y = math.cos(slant) * x, y - math.sin(slant) * x
    x, y = x - step["shift_x"], y - step["shift_y"]
    # Counter-clockwise with y upwards, so back is clockwise.
    turn = -math.radians(step["rotation"])
    x, up = math.cos(turn) * x - math.sin(turn) * -y, math.sin(turn) * x + math.cos(turn) * -y
    height, width, _ = image.shape
    at = [(-up + 0.5) * height - 0.5, (x + 0.5) * width - 0.5]
    channels = np.moveaxis(image.astype(float), 2, 0)
    sampled = [ndimage.map_coordinates(c, at, order=order, mode=SCIPY_MODES[border]) for c in channels]
    return np.stack(sampled, axis=2)


# ------------------------------------------------------------------------------------------------- resampling

STEPS: dict[str, Params] = {
    "rotation": {"rotation": 30.0},
    "zoom in": {"zoom": 1.25},
    "zoom out": {"zoom": 0.75},
    "shift": {"shift_x": 0.1, "shift_y": -0.07},
    "shear": {"shear": 11.3},
    "all": {
        "rotation": -15.0,
        "shift_x": -0.1,
        "shift_y": 0.1,
        "shear": -9.0,
        "zoom_x": 0.8,
        "zoom_y": 1.2,
        "flip": True,
    },
    "far outside": {"rotation": 45.0, "zoom": 0.25, "shift_x": 0.5},
}
SHAPES = {"downscale": (75, 100), "upscale": (20, 33), "same size": (48, 48), "one row": (1, 90)}


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("params", STEPS.values(), ids=STEPS.keys())
def test_arrays_and_tensors_agree_with_scipy(
    params: Params, shape: tuple[int, int], channels: int, border: Border
) -> None:
    augmenter = Alzheimer(border=border)
    images = noise(1, *shape, channels)
    expected = oracle(images[0], params, 48, border)
    array = augmenter.apply(images, [params], 48)
    tensor = as_array(augmenter.apply_tensor(as_tensor(images), [params], 48))
    assert array.shape == tensor.shape == (1, 48, 48, channels)
    assert array.dtype == tensor.dtype == np.uint8
    # Rounding alone is off by a quarter of a level on average, and by half a level at most.
    assert off(array[0], expected) < 0.35
    assert np.abs(array[0] - expected).max() < 2
    assert off(tensor[0], expected) < 0.3
    assert np.abs(tensor[0] - expected).max() < 0.6
    assert off(array, tensor) <= augmenter.tolerance


@pytest.mark.parametrize("border", get_args(Border))
def test_nearest_takes_pixels_as_they_are(border: Border) -> None:
    augmenter = Alzheimer(border=border, interpolation="nearest")
    images = noise(2, 31, 50, 3)
    params = [STEPS["all"], STEPS["rotation"]]
    copies = augmenter.apply(images, params, 48)
    tensors = as_array(augmenter.apply_tensor(as_tensor(images), params, 48))
    assert off(copies, tensors) <= augmenter.tolerance
    for copy, image, each in zip(copies, images, params, strict=True):
        wrong = (copy != oracle(image, each, 48, border, order=0)).any(axis=2)
        assert wrong.mean() < 0.01  # where a point lies half-way between two pixels, either may be taken


def keys_cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The cubic kernel of Keys (1981) with a = -0.75."""
    d, a = np.abs(distance), -0.75
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@pytest.mark.parametrize("border", get_args(Border))
@pytest.mark.parametrize("params", [STEPS["all"], STEPS["rotation"], STEPS["zoom out"]])
@pytest.mark.parametrize("channels", [1, 3])
def test_bicubic_is_keys_cubic(border: Border, params: Params, channels: int) -> None:
    """Against 16 neighbours weighted one by one, in double precision; scipy makes the border."""
    augmenter = Alzheimer(border=border, interpolation="bicubic")
    images = noise(1, 31, 50, channels)
    height, width = images.shape[1:3]
    far = 60  # pixels of border that the copies stay within
    y, x = np.mgrid[-far : height + far, -far : width + far].astype(float)
    squashed = pixel_matrix(Steps.of(params).matrix(), height, width, 48)
    out = np.stack([*np.mgrid[:48, :48][::-1], np.ones((48, 48))]).reshape(3, -1)
    back = np.linalg.inv(squashed) @ out
    at_x, at_y = back[0].reshape(48, 48), back[1].reshape(48, 48)
    padded = np.stack(
        [ndimage.map_coordinates(c, [y, x], order=0, mode=SCIPY_MODES[border]) for c in np.moveaxis(images[0], 2, 0)], 2
    ).astype(float)
    expected = np.zeros((48, 48, channels))
    for down, right in product(range(-1, 3), repeat=2):
        row, column = np.floor(at_y).astype(int) + down, np.floor(at_x).astype(int) + right
        weight = keys_cubic(at_y - row) * keys_cubic(at_x - column)
        expected += weight[:, :, None] * padded[row + far, column + far]
    expected = np.clip(expected, 0, 255)
    array = augmenter.apply(images, [params], 48)[0]
    tensor = as_array(augmenter.apply_tensor(as_tensor(images), [params], 48))[0]
    for copy in (array, tensor):
        assert off(copy, expected) < 0.3
        assert np.abs(copy - expected).max() < 0.6


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_scipys_affine_transform_agrees_on_a_photo_like_picture(interpolation: Interpolation) -> None:
    """One call of ``scipy.ndimage.affine_transform`` with the inverse matrix; its cubic is a spline, hence looser."""
    smooth = ndimage.gaussian_filter(noise(120, 160, 1).astype(float), (3, 3, 0)) * 4 - 380
    image = np.clip(smooth, 0, 255).astype(np.uint8)
    params = STEPS["all"]
    copy = Alzheimer(border="reflect", interpolation=interpolation).apply(image[None], [params], 96)[0, :, :, 0]
    back = np.linalg.inv(pixel_matrix(Steps.of(params).matrix(), 120, 160, 96))
    swap = [1, 0]  # scipy counts rows first
    order = {"nearest": 0, "bilinear": 1, "bicubic": 3}[interpolation]
    expected = ndimage.affine_transform(
        image[:, :, 0].astype(float),
        back[:2, :2][swap][:, swap],
        back[:2, 2][swap],
        (96, 96),
        order=order,
        mode="reflect",
    )
    assert off(copy, expected) < {"nearest": 0.3, "bilinear": 0.35, "bicubic": 0.6}[interpolation]


@pytest.mark.parametrize("shape", [(1500, 2000), (8, 40_000)])
def test_large_sources_are_sampled_in_the_right_place(shape: tuple[int, int]) -> None:
    images = noise(1, *shape, 1)
    params: Params = {"rotation": 20.0}
    copies = FlipRotateZoom().apply(images, [params], 64)
    assert off(copies[0], oracle(images[0], params, 64, "reflect")) < 0.5


@given(side=st.integers(1, 80), channels=st.sampled_from([1, 3]), border=st.sampled_from(get_args(Border)))
@example(side=224, channels=3, border="reflect")
@example(side=299, channels=1, border="constant")
@settings(max_examples=25, deadline=None)
def test_doing_nothing_and_flipping_are_exact(side: int, channels: int, border: Border) -> None:
    images = noise(1, side, side, channels)
    for interpolation in get_args(Interpolation):
        augmenter = FlipRotateZoom(border=border, interpolation=interpolation)
        for params, expected in (({}, images), ({"flip": True}, images[:, :, ::-1])):
            assert np.array_equal(augmenter.apply(images, [params], side), expected)
            assert np.array_equal(as_array(augmenter.apply_tensor(as_tensor(images), [params], side)), expected)


def test_zero_strengths_change_nothing() -> None:
    augmenter = Alzheimer(rotation=0, width_shift=0, height_shift=0, shear=0, zoom=0, flip=0)
    images = noise(5, 64, 64, 1)
    assert np.array_equal(augmenter.apply(images, draws(augmenter, 5), 64), images)


def test_steps_go_the_way_their_signs_say() -> None:
    """A white dot right of the centre; where its centre of mass goes."""
    image = np.zeros((1, 61, 61, 1), np.uint8)
    image[:, 28:33, 43:48] = 255  # at (15, 0) from the centre, x to the right and y downwards
    augmenter = FlipRotateZoom(border="constant")

    def dot(**params: float) -> tuple[float, float]:
        y, x = ndimage.center_of_mass(augmenter.apply(image, [params], 61)[0, :, :, 0])
        return pytest.approx((x - 30, y - 30), abs=0.1)

    assert dot(rotation=90) == (0, -15)  # counter-clockwise: up
    assert dot(zoom=1.5) == (22.5, 0)  # above 1 magnifies
    assert dot(zoom_x=0.5) == (7.5, 0)
    assert dot(shift_x=0.1, shift_y=0.2) == (15 + 6.1, 12.2)
    assert dot(shear=math.degrees(math.atan(0.2))) == (15 * math.hypot(1, 0.2), 3)
    assert dot(flip=True) == (-15, 0)
    # Rotated before it is zoomed along one axis.
    assert dot(rotation=90, zoom_y=1.5) == (0, -22.5)


def test_a_wide_source_is_squashed_before_it_is_turned() -> None:
    """A quarter turn exchanges width and height of the square, not of the source."""
    images = np.zeros((1, 20, 80, 1), np.uint8)
    images[:, :, 40:] = 255
    turned = FlipRotateZoom().apply(images, [{"rotation": 90.0}], 40)[0, :, :, 0]
    assert (turned[:19] == 255).all()
    assert (turned[21:] == 0).all()


# --------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("augmenter", RECIPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_copy_does_not_depend_on_its_batch(augmenter: Augmenter, channels: int) -> None:
    images, params = noise(12, 30, 41, channels), draws(augmenter, 12)
    together = augmenter.apply(images, params, 32)
    alone = [augmenter.apply(images[i : i + 1], params[i : i + 1], 32)[0] for i in range(12)]
    assert np.array_equal(together, np.stack(alone))
    reversed_batch = augmenter.apply(images[::-1], params[::-1], 32)
    assert np.array_equal(reversed_batch[::-1], together)


@pytest.mark.parametrize("augmenter", RECIPES)
def test_one_source_broadcast_to_many_is_as_many_sources(augmenter: Augmenter) -> None:
    image, params = noise(30, 41, 3), draws(augmenter, 12)
    shared = augmenter.apply(np.broadcast_to(image, (12, *image.shape)), params, 32)
    assert np.array_equal(shared, augmenter.apply(np.stack([image] * 12), params, 32))


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_memory_layout_does_not_matter(interpolation: Interpolation) -> None:
    augmenter = Alzheimer(interpolation=interpolation)
    images, params = noise(3, 30, 41, 3), draws(augmenter, 3)
    expected = augmenter.apply(images, params, 32)
    backwards = images[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    read_only = images.copy()
    read_only.setflags(write=False)
    for view in (backwards, np.asfortranarray(images), read_only):
        assert np.array_equal(augmenter.apply(view, params, 32), expected)


def test_no_images_give_no_copies() -> None:
    augmenter = FlipRotateZoom()
    assert augmenter.apply(noise(0, 9, 9, 3), [], 16).shape == (0, 16, 16, 3)
    assert augmenter.apply_tensor(as_tensor(noise(0, 9, 9, 3)), [], 16).shape == (0, 3, 16, 16)


# ----------------------------------------------------------------------------------------------------- draws


@given(
    seed=st.integers(0, 2**64 - 1),
    rotation=st.floats(0, 180),
    zooms=st.tuples(st.floats(0.25, 4), st.floats(0.25, 4)).map(sorted),
)
def test_flip_rotate_zoom_draws_one_step_within_its_range(seed: int, rotation: float, zooms: list[float]) -> None:
    augmenter = FlipRotateZoom(rotation=rotation, zoom_min=zooms[0], zoom_max=zooms[1])
    params = augmenter.draw(generator(seed), INFO)
    ((step, value),) = params.items()
    if step == "flip":
        assert value is True
    elif step == "rotation":
        assert abs(value) <= rotation
    else:
        assert step == "zoom"
        assert zooms[0] <= value <= zooms[1]


@given(
    seed=st.integers(0, 2**64 - 1),
    rotation=st.floats(0, 180),
    width_shift=st.floats(0, 1),
    height_shift=st.floats(0, 1),
    shear=st.floats(0, 60),
    zoom=st.floats(0, 0.75),
)
def test_alzheimer_draws_every_step_within_its_range(seed: int, **ranges: float) -> None:
    params = Alzheimer(**ranges).draw(generator(seed), INFO)
    assert abs(params["rotation"]) <= ranges["rotation"]
    assert abs(params["shift_x"]) <= ranges["width_shift"]
    assert abs(params["shift_y"]) <= ranges["height_shift"]
    assert abs(params["shear"]) <= ranges["shear"]
    for axis in ("zoom_x", "zoom_y"):
        assert 1 - ranges["zoom"] <= params[axis] <= 1 + ranges["zoom"]
    assert isinstance(params["flip"], bool)


def test_changing_one_range_leaves_the_other_draws_alone() -> None:
    wide, narrow = draws(Alzheimer(rotation=90), 20), draws(Alzheimer(rotation=0), 20)
    for a, b in zip(wide, narrow, strict=True):
        assert a["rotation"] != b["rotation"] == 0
        assert {**a, "rotation": 0} == {**b, "rotation": 0}


def test_flip_rotate_zoom_chooses_each_step_in_a_third_of_the_copies_and_evenly() -> None:
    params = draws(FlipRotateZoom(), 6000)
    by_step = {step: [p[step] for p in params if step in p] for step in ("flip", "rotation", "zoom")}
    assert stats.chisquare([len(values) for values in by_step.values()]).pvalue > 0.01
    assert stats.kstest(by_step["rotation"], stats.uniform(-30, 60).cdf).pvalue > 0.01
    assert stats.kstest(by_step["zoom"], stats.uniform(0.75, 0.5).cdf).pvalue > 0.01


def test_alzheimer_draws_evenly_and_independently() -> None:
    params = draws(Alzheimer(), 3000)
    ranges = {"rotation": 15, "shift_x": 0.1, "shift_y": 0.1, "shear": 0.2}
    for step, largest in ranges.items():
        assert stats.kstest([p[step] for p in params], stats.uniform(-largest, 2 * largest).cdf).pvalue > 0.01, step
    for step in ("zoom_x", "zoom_y"):
        assert stats.kstest([p[step] for p in params], stats.uniform(0.8, 0.4).cdf).pvalue > 0.01, step
    assert stats.binomtest(sum(bool(p["flip"]) for p in params), len(params), 0.5).pvalue > 0.01
    table = np.array([list(p.values()) for p in params], dtype=float)
    correlations = np.corrcoef(table, rowvar=False)[np.triu_indices(7, 1)]
    assert np.abs(correlations).max() < 0.07  # four standard errors


@pytest.mark.parametrize(("probability", "expected"), [(0.0, {False}), (1.0, {True})])
def test_the_probability_of_a_flip_is_kept_at_its_ends(probability: float, expected: set[bool]) -> None:
    assert {params["flip"] for params in draws(Alzheimer(flip=probability), 200)} == expected


# ------------------------------------------------------------------------------------------------- bad input

GOOD = noise(2, 8, 8, 3)
BAD: dict[str, tuple[Any, int, int, str]] = {
    "float": (GOOD.astype(np.float32), 2, 8, "uint8"),
    "16 bits": (GOOD.astype(np.uint16), 2, 8, "uint8"),
    "a single image": (GOOD[0], 2, 8, r"\[N, H, W, C\], not uint8 \[8, 8, 3\]"),
    "a list": (GOOD.tolist(), 2, 8, "not list"),
    "a tensor": (torch.from_numpy(GOOD), 2, 8, "array"),
    "channels first": (GOOD.transpose(0, 3, 1, 2), 2, 8, "1 or 3 channels, not 8"),
    "transparency": (noise(2, 8, 8, 4), 2, 8, "1 or 3 channels, not 4"),
    "no pixels": (noise(2, 0, 8, 3), 2, 8, "0 pixels"),
    "too few params": (GOOD, 1, 8, "2 images need as many params, not 1"),
    "no size": (GOOD, 2, 0, "at least 1 pixel"),
}


@pytest.mark.parametrize(("images", "count", "size", "message"), BAD.values(), ids=BAD.keys())
def test_bad_arrays_are_refused(images: Any, count: int, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlipRotateZoom().apply(images, [{}] * count, size)


def test_bad_tensors_are_refused() -> None:
    augmenter, good = FlipRotateZoom(), as_tensor(GOOD)
    for images, count, message in (
        (good.float(), 2, "uint8 tensor"),
        (good[0], 2, "uint8 tensor"),
        (GOOD, 2, "uint8 tensor"),
        (good.permute(0, 2, 3, 1), 2, "channels"),
        (good, 3, "params"),
    ):
        with pytest.raises(ValueError, match=message):
            augmenter.apply_tensor(images, [{}] * count, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rotate": 3.0}, "Did you mean 'rotation'"),
        ({"rotation": "left"}, "can't be 'left'"),
        ({"rotation": math.nan}, "can't be nan"),
        ({"zoom": 0.0}, "positive"),
    ],
)
def test_params_of_another_recipe_are_refused(params: Params, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FlipRotateZoom().apply(GOOD[:1], [params], 8)


# ------------------------------------------------------------------------------------------------ components


def test_recipes_are_on_offer_with_their_ranges(registry: Registry) -> None:
    assert {"flip-rotate-zoom", "alzheimer"} <= set(registry.names("augmenter"))
    made = registry.augmenter("alzheimer:rotation=10,border=constant")
    assert isinstance(made, Alzheimer)
    assert (made.rotation, made.border) == (10, "constant")
    assert isinstance(registry.augmenter("flip-rotate-zoom"), FlipRotateZoom)


@pytest.mark.parametrize(
    "spec",
    [
        "flip-rotate-zoom:rotation=181",
        "flip-rotate-zoom:zoom_min=1.5",
        "flip-rotate-zoom:border=wrap",
        "alzheimer:zoom=1",
        "alzheimer:flip=2",
        "alzheimer:shear=90",
        "alzheimer:interpolation=lanczos",
    ],
)
def test_values_out_of_range_are_refused(registry: Registry, spec: str) -> None:
    with pytest.raises(UsageError):
        registry.augmenter(spec)


@pytest.mark.parametrize(("border", "interpolation"), list(product(get_args(Border), get_args(Interpolation))))
@pytest.mark.skipif(not torch.cuda.is_available() and not torch.backends.mps.is_available(), reason="no other device")
def test_devices_agree(border: Border, interpolation: Interpolation) -> None:
    device = "cuda" if torch.cuda.is_available() else "mps"
    augmenter = Alzheimer(border=border, interpolation=interpolation)
    images, params = noise(8, 40, 50, 3), draws(augmenter, 8)
    there = augmenter.apply_tensor(as_tensor(images).to(device), params, 32)
    assert there.device.type == device
    assert off(as_array(there.cpu()), augmenter.apply(images, params, 32)) <= augmenter.tolerance
