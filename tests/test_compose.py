"""Recipes in a chain: streams of their own, one resampling where that can be, and replay."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.errors import UsageError
from toolbox.plugin.registry import Registry
from toolbox_kornia.heavy.compose import Compose, ForeignStep, MergedRecipes, merge_recipes
from toolbox_kornia.heavy.studies import Alzheimer, FlipRotateZoom

Images = npt.NDArray[np.uint8]
INFO = ImageInfo(60, 80, 3)
CHAIN = 'compose:steps=["colour:blur=0","alzheimer:rotation=10,border=reflect","flip-rotate-zoom"]'


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def pictures(count: int, channels: int = 3) -> Images:
    soft = ndimage.gaussian_filter(generator(0).normal(size=(count, 60, 80, channels)), (0, 3, 3, 0))
    return np.clip(128 + soft / soft.std() * 50, 0, 255).astype(np.uint8)


def draws(augmenter: Augmenter, count: int) -> list[Params]:
    return [augmenter.draw(generator(seed), INFO) for seed in range(count)]


def own(params: Params, number: int) -> Params:
    return {k.partition(".")[2]: v for k, v in params.items() if k.startswith(f"{number}.")}


class Inverted(Augmenter):
    """What another plugin may bring: no recipe of this one."""

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        return {"level": int(rng.integers(200, 256))}

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        levels = np.array([each["level"] for each in params], np.int64).reshape(-1, 1, 1, 1)
        shrunk = images[:, :size, :size].astype(np.int64)
        return np.clip(levels - shrunk, 0, 255).astype(np.uint8)

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        arrays = self.apply(images.permute(0, 2, 3, 1).numpy(), params, size)
        return torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy())


def test_a_chain_of_recipes_is_one_resampling(registry: Registry) -> None:
    """Its moving parts give what the product of their matrices gives, sampled once."""
    chain = registry.augmenter(CHAIN)
    assert isinstance(chain, Compose)
    assert len(chain.passes) == 1 and isinstance(chain.passes[0], MergedRecipes)
    there_and_back: Params = {"2.rotation": 25.0, "3.rotation": -25.0}
    images = pictures(1)[:, :, :60]
    assert np.array_equal(chain.apply(images, [there_and_back], 60), images)
    twice: Params = {"2.rotation": 10.0, "3.zoom": 1.2}
    # Turning and magnifying alike in both axes exchange, so that one recipe can say the same.
    expected = Alzheimer(border="reflect").apply(images, [{"rotation": 10.0, "zoom": 1.2}], 60)
    assert np.array_equal(chain.apply(images, [twice], 60), expected)


def test_what_does_not_go_together_is_resampled_apart() -> None:
    recipes: list[Augmenter] = [Alzheimer(border="reflect"), FlipRotateZoom(), Alzheimer(border="constant"), Inverted()]
    kinds = merge_recipes([*recipes, FlipRotateZoom()])
    assert [type(each) for each in kinds] == [MergedRecipes, MergedRecipes, ForeignStep, MergedRecipes]
    assert [number for number, _ in kinds[0].recipes] == [1, 2]  # type: ignore[attr-defined]
    assert len(merge_recipes([Alzheimer(interpolation="bicubic", border="reflect"), FlipRotateZoom()])) == 2


def test_a_step_of_another_plugin_gets_its_own_parameters_at_its_place() -> None:
    class Shelf(Registry):
        def augmenter(self, spec):  # type: ignore[no-untyped-def]
            return Inverted() if spec == "inverted" else super().augmenter(spec)

    chain = Compose(components=Shelf(), steps=["flip-rotate-zoom", "inverted", "colour"])
    images, params = pictures(8), draws(chain, 8)
    expected = FlipRotateZoom().apply(images, [own(each, 1) for each in params], 48)
    expected = Inverted().apply(expected, [own(each, 2) for each in params], 48)
    expected = Registry().augmenter("colour").apply(expected, [own(each, 3) for each in params], 48)
    assert np.array_equal(chain.apply(images, params, 48), expected)


def test_each_step_has_a_stream_of_its_own(registry: Registry) -> None:
    long, short = (
        registry.augmenter('compose:steps=["colour","mri","colour"]'),
        registry.augmenter('compose:steps=["mri","colour"]'),
    )
    for a, b in zip(draws(long, 10), draws(short, 10), strict=True):
        assert own(a, 2) == own(b, 1)
        assert own(a, 1) == own(b, 2)  # the first colour of either
        assert own(a, 1) != own(a, 3)


def test_draws_survive_json_and_a_copy_does_not_depend_on_its_batch(registry: Registry) -> None:
    chain = registry.augmenter(CHAIN)
    params, images = draws(chain, 10), pictures(10)
    assert params == draws(chain, 10) == json.loads(json.dumps(params))
    assert {key.partition(".")[0] for each in params for key in each} == {"1", "2", "3"}
    together = chain.apply(images, params, 32)
    for i in range(10):
        assert np.array_equal(chain.apply(images[i : i + 1], params[i : i + 1], 32)[0], together[i])
    # It travels to another process without the registry.
    assert np.array_equal(pickle.loads(pickle.dumps(chain)).apply(images, params, 32), together)


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_and_tensors_agree(registry: Registry, channels: int) -> None:
    chain = registry.augmenter('compose:steps=["randaugment","mri","compose:steps=[\'colour\',\'alzheimer\']"]')
    images = pictures(20, channels)
    params = [chain.draw(generator(seed), ImageInfo(60, 80, channels)) for seed in range(20)]
    arrays = chain.apply(images, params, 48).astype(float)
    tensors = chain.apply_tensor(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), params, 48)
    assert np.abs(arrays - tensors.permute(0, 2, 3, 1).numpy()).mean(axis=(1, 2, 3)).max() <= chain.tolerance


def test_tables_are_steps_too(registry: Registry) -> None:
    chain = registry.augmenter({"name": "compose", "steps": [{"name": "colour", "hue": 0}, "mri"]})
    assert isinstance(chain, Compose) and len(chain.steps) == 2
    assert all(own(each, 1)["hue"] == 0 for each in draws(chain, 5))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("compose", "steps"),
        ("compose:steps=[]", "at least 1"),
        ('compose:steps=["colur"]', "colour"),
        ('compose:steps=["colour:hu=3"]', "hue"),
        ('compose:steps=["colour","mixup"]', "mixup mixes the images of a batch"),
        ('compose:steps=["colour"],components=3', "no parameter 'components'"),
    ],
)
def test_bad_chains_are_refused(registry: Registry, spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.augmenter(spec)
    assert message in f"{caught.value} {caught.value.hint}"


def test_params_of_another_chain_are_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"4\.rotation"):
        registry.augmenter(CHAIN).apply(pictures(1), [{"4.rotation": 3.0}], 32)
