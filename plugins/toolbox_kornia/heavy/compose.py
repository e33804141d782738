"""Recipes one after the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from toolbox.api.augmenter import Augmenter, ImageInfo, Params
from toolbox.api.components import Components
from toolbox.api.errors import UsageError
from toolbox_kornia.heavy.geometry import Matrix
from toolbox_kornia.heavy.recipe import Recipe
from toolbox_kornia.heavy.warp import Images

if TYPE_CHECKING:
    import torch


class Compose(Augmenter):
    """Chains augmenters: compose:steps=["flip-rotate-zoom","colour:blur=0"]. Each gets what the one before made.

    Each step draws from a stream of its own, by its name, so that adding or leaving out a step changes no other's
    draws. A copy's parameters are those of its steps, with the step's number before the name (1.rotation).

    Recipes of this plugin that follow each other are one resampling, the resize included: first all that moves
    pixels, as one matrix, then all that changes values, each in the order of the steps. So what changes values is done
    at the copy's size even where it stands before what moves: its noise and blur are not turned or stretched, and it
    changes a black border too.

    A step whose border or interpolation differs from that of the ones before begins another resampling, at the copy's
    size, and so do an augmenter of another plugin and the step after it. Each resampling smooths a little.
    """

    tolerance: ClassVar[float] = 3.0

    def __init__(
        self,
        *,
        components: Components,
        steps: Annotated[
            list[str | dict[str, Any]], Field(min_length=1, description="specs of augmenters, in their order")
        ],
    ) -> None:
        augmenters = [components.augmenter(step) for step in steps]
        names = [str(step["name"]) if isinstance(step, dict) else step.partition(":")[0].strip() for step in steps]
        occurrences: Counter[str] = Counter()
        self.steps: list[tuple[str, Augmenter]] = []
        for name, augmenter in zip(names, augmenters, strict=True):
            self.steps.append((f"{name}/{occurrences[name]}", augmenter))
            occurrences[name] += 1
        self.passes = merge_recipes(augmenters)

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """The parameters of all steps, each under the step's number (from 1), a dot, and its name."""
        key = rng.bytes(16)
        params: Params = {}
        for number, (stream, augmenter) in enumerate(self.steps, start=1):
            own = hashlib.sha256(key + stream.encode()).digest()[:16]
            generator = np.random.Generator(np.random.Philox(key=np.frombuffer(own, "<u8").astype(np.uint64)))
            params |= {f"{number}.{name}": value for name, value in augmenter.draw(generator, info).items()}
        return params

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        self._check(params)
        for step in self.passes:
            images = step.apply(images, params, size)
        return images

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        self._check(params)
        for step in self.passes:
            images = step.apply_tensor(images, params, size)
        return images

    def _check(self, params: Sequence[Params]) -> None:
        known = tuple(f"{number}." for number in range(1, len(self.steps) + 1))
        for name in (name for each in params for name in each):
            if not name.startswith(known):
                raise UsageError(f"no step has a parameter {name!r}", f"This chain has {len(self.steps)} steps.")


class MergedRecipes(Recipe):
    """Recipes that are one resampling, with their numbers in a :class:`Compose`, whose params it takes."""

    def __init__(self, recipes: Sequence[tuple[int, Recipe]]) -> None:
        sampling = next((recipe for _, recipe in recipes if recipe.moves), recipes[0][1])
        super().__init__(sampling.border, sampling.interpolation)
        self.recipes = list(recipes)

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """Nothing: :class:`Compose` draws."""
        return {}

    def matrix(self, params: Params) -> Matrix:
        """See :class:`.recipe.Recipe`."""
        matrix = np.eye(3)
        for number, recipe in self.recipes:
            matrix = recipe.matrix(_step_params(params, number)) @ matrix
        return matrix

    def retouch(self, image: Images, params: Params) -> Images:
        """See :class:`.recipe.Recipe`."""
        for number, recipe in self.recipes:
            image = recipe.retouch(image, _step_params(params, number))
        return image

    def retouch_tensor(self, images: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """See :class:`.recipe.Recipe`."""
        for number, recipe in self.recipes:
            images = recipe.retouch_tensor(images, [_step_params(each, number) for each in params])
        return images


class ForeignStep(Augmenter):
    """A step of another plugin, with its number in a :class:`Compose`, whose params it takes."""

    def __init__(self, number: int, augmenter: Augmenter) -> None:
        self.number = number
        self.augmenter = augmenter

    def draw(self, rng: np.random.Generator, info: ImageInfo) -> Params:
        """Nothing: :class:`Compose` draws."""
        return {}

    def apply(self, images: Images, params: Sequence[Params], size: int) -> Images:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        return self.augmenter.apply(images, [_step_params(each, self.number) for each in params], size)

    def apply_tensor(self, images: torch.Tensor, params: Sequence[Params], size: int) -> torch.Tensor:
        """See :class:`toolbox.api.augmenter.Augmenter`."""
        return self.augmenter.apply_tensor(images, [_step_params(each, self.number) for each in params], size)


def merge_recipes(steps: Sequence[Augmenter]) -> list[Augmenter]:
    """What is done in one go: recipes that go together, and others one by one."""
    passes: list[Augmenter] = []
    recipes: list[tuple[int, Recipe]] = []
    for number, step in enumerate(steps, start=1):
        if recipes and not (isinstance(step, Recipe) and _can_merge([recipe for _, recipe in recipes], step)):
            passes.append(MergedRecipes(recipes))
            recipes = []
        if isinstance(step, Recipe):
            recipes.append((number, step))
        else:
            passes.append(ForeignStep(number, step))
    return [*passes, MergedRecipes(recipes)] if recipes else passes


def _can_merge(recipes: Sequence[Recipe], another: Recipe) -> bool:
    """Whether one resampling can do for all: what moves pixels has the same border and interpolation."""
    moving = [recipe for recipe in (*recipes, another) if recipe.moves]
    return len({(recipe.border, recipe.interpolation) for recipe in moving}) < 2


def _step_params(params: Params, number: int) -> Params:
    """The parameters of step ``number`` by their own names."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
