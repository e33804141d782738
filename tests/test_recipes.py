"""Recipes that change values: colour, mri, randaugment, trivialaugment. Arrays, tensors, Pillow and laws."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia import enhance
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage, stats

from tests.augmenter_arrays import Images, as_array, as_tensor, draws, generator, off
from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.errors import UsageError
from toolbox.plugin.registry import Registry
from toolbox_kornia.heavy import values
from toolbox_kornia.heavy.auto import OPERATIONS, Automatic, RandAugment, TrivialAugment
from toolbox_kornia.heavy.colour import Colour, hue_turn
from toolbox_kornia.heavy.mri import Mri

RECIPES: list[Augmenter] = [
    Colour(),
    Colour(brightness=1, contrast=1, saturation=1, hue=180, blur=4, noise=0.5),
    Mri(),
    Mri(rotation=20, gamma=1, bias=1, ghosting=1, noise=0.2, border="replicate", interpolation="bicubic"),
    RandAugment(),
    RandAugment(ops=5, magnitude=30),
    TrivialAugment(),
]
IDS = ["colour", "colour full", "mri", "mri full", "randaugment", "randaugment full", "trivialaugment"]
each_recipe = pytest.mark.parametrize("augmenter", RECIPES, ids=IDS)


def scenes(*shape: int) -> Images:
    """Pictures with soft shapes and a little grain, of all levels, as photos have."""
    noise = generator(0).normal(size=shape)
    soft = ndimage.gaussian_filter(noise, (0, 3, 3, 0))
    levels = 128 + soft / soft.std() * 60 + noise * 4
    return np.clip(levels, 0, 255).astype(np.uint8)


def head(side: int = 96) -> Images:
    """A bright ellipse with structure on black: uint8 ``[1, side, side, 1]``."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    inside = (x / 0.6) ** 2 + (y / 0.75) ** 2 < 1
    picture = inside * (140 + 40 * np.cos(9 * x) * np.cos(7 * y))
    return picture.astype(np.uint8)[None, :, :, None]


# ------------------------------------------------------------------------------------------ laws of all of them


@each_recipe
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_and_tensors_agree(augmenter: Augmenter, channels: int) -> None:
    images, params = scenes(40, 70, 90, channels), draws(augmenter, 40, channels)
    arrays = augmenter.apply(images, params, 64)
    tensors = as_array(augmenter.apply_tensor(as_tensor(images), params, 64))
    assert arrays.shape == tensors.shape == (40, 64, 64, channels)
    assert arrays.dtype == tensors.dtype == np.uint8
    worst = max(off(a, b) for a, b in zip(arrays, tensors, strict=True))
    assert worst <= augmenter.tolerance


@each_recipe
@pytest.mark.parametrize("channels", [1, 3])
def test_a_copy_does_not_depend_on_its_batch(augmenter: Augmenter, channels: int) -> None:
    images, params = scenes(12, 40, 50, channels), draws(augmenter, 12, channels)
    together = augmenter.apply(images, params, 32)
    alone = [augmenter.apply(images[i : i + 1], params[i : i + 1], 32)[0] for i in range(12)]
    assert np.array_equal(together, np.stack(alone))
    tensors = as_tensor(images)
    all_tensors = augmenter.apply_tensor(tensors, params, 32)
    for i in range(12):
        assert torch.equal(augmenter.apply_tensor(tensors[i : i + 1], params[i : i + 1], 32)[0], all_tensors[i])


@each_recipe
def test_grey_stays_grey(augmenter: Augmenter) -> None:
    """In one channel or three; but noise that is the sensor's own differs between channels."""
    grey = scenes(20, 40, 50, 1)
    params = [{**p, "noise": 0.0} if isinstance(augmenter, Colour) else p for p in draws(augmenter, 20)]
    three = np.repeat(grey, 3, axis=3)
    copies = augmenter.apply(three, params, 32)
    assert np.abs(copies.astype(int) - copies[..., :1]).max() <= 1
    single = augmenter.apply(grey, params, 32)
    assert max(off(a, b) for a, b in zip(copies[..., :1], single, strict=True)) < 1


@each_recipe
@pytest.mark.parametrize("channels", [1, 3])
def test_no_parameters_and_small_pictures(augmenter: Augmenter, channels: int) -> None:
    images = scenes(3, 40, 40, channels)
    for copies in (
        augmenter.apply(images, [{}] * 3, 40),
        as_array(augmenter.apply_tensor(as_tensor(images), [{}] * 3, 40)),
    ):
        assert np.array_equal(copies, images)
    assert augmenter.apply(images[:0], [], 8).shape == (0, 8, 8, channels)
    params = draws(augmenter, 3, channels)
    for size in (1, 2, 7):
        assert augmenter.apply(images, params, size).shape == (3, size, size, channels)
        assert augmenter.apply_tensor(as_tensor(images), params, size).shape == (3, channels, size, size)


ZERO: list[Augmenter] = [
    Colour(brightness=0, contrast=0, saturation=0, hue=0, blur=0, noise=0),
    Mri(rotation=0, shift=0, zoom=0, gamma=0, bias=0, ghosting=0, noise=0),
    RandAugment(ops=0),
]


@pytest.mark.parametrize("augmenter", ZERO, ids=["colour", "mri", "randaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_zero_strengths_change_nothing(augmenter: Augmenter, channels: int) -> None:
    images, params = scenes(5, 48, 48, channels), draws(augmenter, 5, channels)
    assert np.array_equal(augmenter.apply(images, params, 48), images)
    assert np.array_equal(as_array(augmenter.apply_tensor(as_tensor(images), params, 48)), images)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"auto_contrast", "equalize"}))
def test_operations_of_no_strength_change_nothing(name: str) -> None:
    images = scenes(1, 48, 48, 3)
    params: list[Params] = [{"op_1": name, "value_1": OPERATIONS[name].none}]
    assert np.array_equal(RandAugment().apply(images, params, 48), images)
    assert np.array_equal(as_array(RandAugment().apply_tensor(as_tensor(images), params, 48)), images)


def test_copies_are_made_without_torch() -> None:
    """A long import less for offline augmentation, which needs none of it."""
    script = """
import sys, numpy as np
from toolbox.api.augmenter import ImageInfo
from toolbox_kornia.heavy import auto, colour, mri, studies
rng = np.random.Generator(np.random.Philox(0))
recipes = (colour.Colour(), mri.Mri(), auto.RandAugment(ops=9), auto.TrivialAugment(), studies.Alzheimer())
for recipe in recipes:
    recipe.apply(np.ones((1, 9, 9, 3), np.uint8), [recipe.draw(rng, ImageInfo(9, 9, 3))], 8)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# ---------------------------------------------------------------------------------------------------- colour


def one(image: Images, **params: float) -> Images:
    copy: Images = Colour(blur=4).apply(image[None], [params], len(image))[0]
    return copy


def test_colour_does_what_its_words_say() -> None:
    image = scenes(1, 64, 64, 3)[0] // 2 + 60  # nothing is cut off at black or white
    grey = image @ values.LUMA
    assert off(one(image, brightness=1.2), image * 1.2) < 0.3
    assert off(one(image, contrast=0.7), grey.mean() + 0.7 * (image - grey.mean())) < 0.3
    assert off(one(image, saturation=0), np.repeat(grey[:, :, None], 3, axis=2)) < 0.5
    assert off(one(image, hue=25) @ values.LUMA, grey) < 0.5
    blurred = ndimage.gaussian_filter(image.astype(float), (2, 2, 0), mode="reflect")
    assert off(one(image, blur=2), blurred) < 0.5
    assert off(one(np.full_like(image, 77), blur=3), np.full_like(image, 77)) == 0


@given(degrees=st.floats(-180, 180), level=st.integers(0, 255))
def test_a_turn_of_hue_leaves_greys_and_can_be_undone(degrees: float, level: int) -> None:
    turn = hue_turn(degrees)
    assert turn @ np.full(3, level) == pytest.approx([level] * 3)
    assert np.allclose(hue_turn(-degrees) @ turn, np.eye(3))
    assert np.allclose(values.LUMA @ turn, values.LUMA)


def test_noise_is_gaussian_of_its_strength_and_differs_by_seed() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    noisy = one(flat, noise=0.05, seed=7)
    field = noisy.astype(float) - 128
    assert field.mean() == pytest.approx(0, abs=0.15)
    assert field.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert stats.kstest(field.ravel()[::10] / field.std(), "norm").statistic < 0.04  # levels are whole numbers
    channels = np.corrcoef(field.reshape(-1, 3), rowvar=False)[np.triu_indices(3, 1)]
    assert np.abs(channels).max() < 0.02
    assert np.array_equal(noisy, one(flat, noise=0.05, seed=7))
    assert not np.array_equal(noisy, one(flat, noise=0.05, seed=8))


def uniform(found: list[Any], low: float, high: float) -> bool:
    return bool(stats.kstest(found, stats.uniform(low, high - low).cdf).pvalue > 0.01)


def independent(params: list[Params], names: set[str]) -> bool:
    table = np.array([[float(each[name]) for name in sorted(names)] for each in params])
    correlations = np.corrcoef(table, rowvar=False)[np.triu_indices(len(names), 1)]
    return bool(np.abs(correlations).max() < 4.5 / math.sqrt(len(params)))


def test_colour_draws_evenly_and_independently() -> None:
    params = draws(Colour(), 3000)
    for name in ("brightness", "contrast", "saturation"):
        assert uniform([p[name] for p in params], 0.8, 1.2), name
    for name, low, high in (("hue", -10, 10), ("blur", 0, 1), ("noise", 0, 0.02), ("seed", 0, 2**32)):
        assert uniform([p[name] for p in params], low, high), name
    assert independent(params, set(params[0]))


@given(seed=st.integers(0, 2**63), channels=st.sampled_from([1, 3]))
@settings(max_examples=20)
def test_changing_one_range_leaves_the_other_draws_alone(seed: int, channels: int) -> None:
    info = ImageInfo(9, 9, channels)
    for wide, narrow, name in ((Colour(hue=90), Colour(hue=0), "hue"), (Mri(gamma=1), Mri(gamma=0), "gamma")):
        a, b = wide.draw(generator(seed), info), narrow.draw(generator(seed), info)
        assert {**a, name: 0} == {**b, name: 0}


# ------------------------------------------------------------------------------------------------------- mri


def scan(**params: float) -> npt.NDArray[np.float64]:
    return Mri().apply(head(), [params], 96)[0, :, :, 0].astype(float)


def test_gamma_and_bias_leave_black_black_and_do_what_they_say() -> None:
    original = head()[0, :, :, 0]
    background = original == 0
    gamma = scan(gamma=1.5)
    assert off(gamma, 255 * (original / 255) ** 1.5) < 0.3
    biased = scan(bias_x=0.4, bias_yy=-0.2)
    assert (gamma[background] == 0).all()
    assert (biased[background] == 0).all()
    # An exponential of x and of y squared: its logarithm is that polynomial, up to a constant.
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    inside = original > 100
    ratio = np.log(biased[inside] / original[inside]) - (0.4 * x - 0.2 * y**2)[inside]
    assert ratio.std() < 0.01
    assert biased.mean() == pytest.approx(original.mean(), rel=0.1)


def test_noise_is_rician() -> None:
    """On black the magnitude of two Gaussians is Rayleigh, on bright it is nearly Gaussian."""
    black = Mri().apply(np.zeros((1, 200, 200, 1), np.uint8), [{"noise": 0.1, "seed": 3}], 200)[0].astype(float)
    assert black.mean() == pytest.approx(25.5 * math.sqrt(math.pi / 2), rel=0.02)
    assert black.std() == pytest.approx(25.5 * math.sqrt(2 - math.pi / 2), rel=0.03)
    bright = Mri().apply(np.full((1, 200, 200, 1), 150, np.uint8), [{"noise": 0.1, "seed": 3}], 200)[0].astype(float)
    assert bright.std() == pytest.approx(25.5, rel=0.02)


@pytest.mark.parametrize("vertical", [False, True])
def test_ghosts_stand_where_the_lines_say(vertical: bool) -> None:
    """Weakening every 4th line leaves the picture and takes a fainter copy away every quarter of the side."""
    image = np.zeros((1, 96, 96, 1), np.uint8)
    image[:, 40:50, 40:50] = 200
    copy = Mri().apply(image, [{"ghosting": 0.8, "ghosts": 4, "ghosts_vertical": vertical}], 96)[0, :, :, 0]
    profile = copy[:, 45] if vertical else copy[45]
    across = copy[45] if vertical else copy[:, 45]
    quarters = [int(profile[(45 + 24 * shift) % 96]) for shift in range(4)]
    assert quarters[0] > 140
    assert all(20 < ghost < 60 for ghost in quarters[1:])
    assert across[:38].max() <= 1  # and none the other way


def test_the_background_stays_dark() -> None:
    """With every default range, 200 draws: a few grey levels, on average and in the worst copy."""
    recipe = Mri()
    source = head()
    copies = recipe.apply(np.repeat(source, 200, axis=0), draws(recipe, 200, 1), 96)[..., 0].astype(float)
    corners = np.concatenate([copies[:, :8, :8], copies[:, -8:, -8:]], axis=1).mean(axis=(1, 2))
    assert corners.mean() < 6
    assert corners.max() < 16
    assert copies[:, 40:56, 40:56].mean() > 90


def test_mri_draws_as_documented() -> None:
    params = draws(Mri(), 3000)
    ranges = {"rotation": 5, "shift_x": 0.03, "shift_y": 0.03}
    ranges |= dict.fromkeys(("bias_x", "bias_y", "bias_xx", "bias_xy", "bias_yy"), 0.25)
    for name, largest in ranges.items():
        assert uniform([p[name] for p in params], -largest, largest), name
    assert uniform([p["zoom"] for p in params], 0.95, 1.05)
    assert uniform([math.log(p["gamma"]) for p in params], -0.25, 0.25)
    assert uniform([p["ghosting"] for p in params], 0, 0.3)
    assert uniform([p["noise"] for p in params], 0, 0.02)
    counts = Counter(p["ghosts"] for p in params)
    assert set(counts) == {2, 3, 4, 5, 6}
    assert stats.chisquare(list(counts.values())).pvalue > 0.01
    assert stats.binomtest(sum(bool(p["ghosts_vertical"]) for p in params), 3000, 0.5).pvalue > 0.01
    assert independent(params, set(params[0]))


# -------------------------------------------------------------------------------- randaugment, trivialaugment

PILLOW: dict[str, tuple[list[float], Any]] = {
    "auto_contrast": ([0], lambda image, _: ImageOps.autocontrast(image)),
    "equalize": ([0], lambda image, _: ImageOps.equalize(image)),
    "solarize": ([0, 77, 256], lambda image, value: ImageOps.solarize(image, int(value))),
    "posterize": ([2, 5, 8], lambda image, value: ImageOps.posterize(image, int(value))),
    "brightness": ([0.01, 0.6, 1.7], lambda image, value: ImageEnhance.Brightness(image).enhance(value)),
    "contrast": ([0.01, 0.6, 1.7], lambda image, value: ImageEnhance.Contrast(image).enhance(value)),
    "color": ([0.01, 0.6, 1.7], lambda image, value: ImageEnhance.Color(image).enhance(value)),
    "sharpness": ([0.01, 0.6, 1.9], lambda image, value: ImageEnhance.Sharpness(image).enhance(value)),
}


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("channels", [1, 3])
def test_operations_are_pillows(name: str, channels: int) -> None:
    """Pillow cuts fractions off where these round: half a level on average, one at most, and one in its mean grey."""
    image = scenes(1, 64, 64, channels)[0] // 2 + 40
    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    for value in PILLOW[name][0]:
        expected = np.asarray(PILLOW[name][1](picture, value)).reshape(image.shape)
        params: list[Params] = [{"op_1": name, "value_1": value}]
        for copy in (
            RandAugment().apply(image[None], params, 64)[0],
            as_array(RandAugment().apply_tensor(as_tensor(image[None]), params, 64))[0],
        ):
            difference = np.abs(copy.astype(int) - expected)
            assert difference.max() <= (0 if name in ("equalize", "solarize", "posterize", "auto_contrast") else 2)
            assert difference.mean() <= 1


def test_operations_are_kornias() -> None:
    """Where kornia means the same: its posterize, solarize, saturation with mean, brightness as a factor."""
    images = scenes(1, 64, 64, 3) // 2 + 40
    floats = as_tensor(images).float() / 255
    for name, value, expected in (
        ("posterize", 3, enhance.posterize(floats, 3)),
        ("brightness", 1.3, enhance.adjust_brightness_accumulative(floats, 1.3)),
        ("contrast", 0.6, enhance.adjust_contrast_with_mean_subtraction(floats, 0.6)),
        ("color", 0.6, enhance.adjust_saturation_with_gray_subtraction(floats, 0.6)),
        ("sharpness", 1.6, enhance.sharpness(floats, 1.6)),
    ):
        copy = RandAugment().apply_tensor(as_tensor(images), [{"op_1": name, "value_1": value}], 64)
        assert off(copy.numpy(), expected.numpy() * 255) < 1, name


def test_moving_operations_move_the_way_their_signs_say() -> None:
    image = np.zeros((1, 61, 61, 1), np.uint8)
    image[:, 28:33, 43:48] = 255  # at (15, 0) from the centre

    def dot(name: str, value: float) -> Any:
        copy = TrivialAugment(border="constant").apply(image, [{"op_1": name, "value_1": value}], 61)
        y, x = ndimage.center_of_mass(copy[0, :, :, 0])
        return pytest.approx((x - 30, y - 30), abs=0.1)

    assert dot("rotate", 90) == (0, -15)
    assert dot("translate_x", 0.1) == (21.1, 0)
    assert dot("translate_y", -0.1) == (15, -6.1)
    assert dot("shear_y", 0.5) == (15, 7.5)
    assert dot("shear_x", 0.5) == (15, 0)


def test_what_moves_is_one_resampling() -> None:
    """A turn and its opposite are nothing, exactly: they were one matrix before anything was sampled."""
    images = scenes(1, 64, 64, 3)
    params: Params = {"op_1": "rotate", "value_1": 30.0, "op_2": "rotate", "value_2": -30.0}
    assert np.array_equal(RandAugment().apply(images, [params], 64), images)


def operations(params: list[Params]) -> list[tuple[str, Any]]:
    return [
        (str(p[f"op_{place}"]), p.get(f"value_{place}")) for p in params for place in range(1, 20) if f"op_{place}" in p
    ]


@pytest.mark.parametrize(("recipe", "each"), [(RandAugment(ops=3), 3), (TrivialAugment(), 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_comes_as_often(recipe: Automatic, each: int, channels: int) -> None:
    params = draws(recipe, 4000, channels)
    found = operations(params)
    assert len(found) == 4000 * each
    counts = Counter(name for name, _ in found)
    assert set(counts) == set(OPERATIONS) - ({"color"} if channels == 1 else set())
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_randaugment_has_one_magnitude_and_either_sign() -> None:
    found = operations(draws(RandAugment(magnitude=15), 4000))
    signed = {"rotate": (15, 0), "shear_x": (0.15, 0), "translate_y": (0.05, 0), "contrast": (0.45, 1)}
    for name, (distance, middle) in signed.items():
        values_of = [value - middle for other, value in found if other == name]
        assert np.abs(values_of) == pytest.approx(distance)
        assert stats.binomtest(sum(value > 0 for value in values_of), len(values_of), 0.5).pvalue > 0.01
    assert {value for name, value in found if name == "posterize"} == {6}
    assert {value for name, value in found if name == "solarize"} == {128}


def test_trivialaugment_has_every_magnitude() -> None:
    found = operations(draws(TrivialAugment(), 30_000))
    angles = Counter(round(abs(value) / 4.5, 6) for name, value in found if name == "rotate")
    assert set(angles) == set(range(31))
    assert stats.chisquare(list(angles.values())).pvalue > 0.01
    assert max(abs(value) for name, value in found if name == "shear_x") == pytest.approx(0.99)
    assert {value for name, value in found if name == "posterize"} == {2, 3, 4, 5, 6, 7, 8}


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("recipe", "params", "message"),
    [
        (Colour(), {"brightnes": 1.0}, "Did you mean 'brightness'"),
        (Colour(), {"blur": "much"}, "can't be 'much'"),
        (Mri(), {"gamma": math.inf}, "can't be inf"),
        (Mri(), {"flip": True}, "no parameter is called 'flip'"),
        (RandAugment(), {"op_1": "rotat", "value_1": 1.0}, "Did you mean 'rotate'"),
        (RandAugment(), {"op_1": "rotate", "value_1": math.nan}, "can't be nan"),
        (RandAugment(), {"op_2": "rotate"}, "op_1"),
    ],
)
def test_params_of_another_recipe_are_refused(recipe: Augmenter, params: Params, message: str) -> None:
    images = scenes(1, 8, 8, 3)
    with pytest.raises(UsageError, match=message):
        recipe.apply(images, [params], 8)
    with pytest.raises(UsageError, match=message):
        recipe.apply_tensor(as_tensor(images), [params], 8)


@pytest.mark.parametrize(
    "spec", ["colour:hue=181", "colour:noise=-1", "mri:gamma=3", "mri:border=wrap", "randaugment:magnitude=31"]
)
def test_values_out_of_range_are_refused(registry: Registry, spec: str) -> None:
    with pytest.raises(UsageError):
        registry.augmenter(spec)


@pytest.mark.slow
@each_recipe
@pytest.mark.parametrize("kind", ["cats_dogs", "brain_tumour"])
def test_real_pictures_survive(augmenter: Augmenter, kind: str, real_data: Path) -> None:
    """Arrays and tensors agree on them too."""
    paths = sorted((real_data / kind).rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // 8)][:8]
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB").resize((160, 160)))[None]
        params = draws(augmenter, 4)
        copies = augmenter.apply(np.repeat(image, 4, axis=0), params, 128)
        tensors = as_array(augmenter.apply_tensor(as_tensor(np.repeat(image, 4, axis=0)), params, 128))
        assert max(off(a, b) for a, b in zip(copies, tensors, strict=True)) <= augmenter.tolerance
