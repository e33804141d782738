"""explain, robustness, errors and subgroups by themselves: against definitions and independent computations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import fisher_exact
from torch import nn

from toolbox.api.errors import UsageError
from toolbox.api.evaluator import Evaluation, Evidence, TrainedModel
from toolbox.api.model import BuiltModel, ModelRequest, Parts
from toolbox.plugin.registry import Registry
from toolbox.statistics.proportions import holm, wilson
from toolbox.statistics.scores import Units
from toolbox_errors.heavy.confident import suggest_labels
from toolbox_errors.heavy.evaluator import Errors
from toolbox_explain.heavy.evaluator import Explain, heat_maps
from toolbox_explain.heavy.layer import find_map_layer
from toolbox_robustness.heavy.corruptions import CORRUPTIONS
from toolbox_robustness.heavy.evaluator import Robustness
from toolbox_subgroups.heavy.against import compare_with_rest
from toolbox_subgroups.heavy.evaluator import Subgroups
from toolbox_subgroups.heavy.values import subgroups

SIDE = 32


class Trained(TrainedModel):
    """A module that takes grey pictures of 32 pixels, unnormalised in [0, 1]."""

    size, channels = SIDE, 1

    def __init__(self, module: nn.Module, parts: Parts) -> None:
        self.built = BuiltModel(module.eval(), parts, (0.0,), (1.0,))

    def prepared(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.convert("L").resize((SIDE, SIDE)))[:, :, None]

    def inputs(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).permute(0, 3, 1, 2) / 255

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(self.built.module(self.inputs(images)), 1).double().numpy()


def brightness_model() -> Trained:
    """Says class 1 where a part of the picture is bright, by a map of 8 × 8 places."""
    body = nn.Conv2d(1, 2, 4, stride=4)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        body.weight[0], body.weight[1] = 1 / 16, -1 / 16
        body.bias.zero_()
        head[2].weight.copy_(torch.tensor([[0.0, 40.0], [40.0, 0.0]]))
        head[2].bias.copy_(torch.tensor([4.0, 0.0]))
    module = nn.Sequential(body, head)
    return Trained(module, Parts(frozenset(), frozenset({"0.weight", "0.bias"}), frozenset({"1.2.weight", "1.2.bias"})))


def blob(row: int, column: int, level: int = 255) -> Image.Image:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[row : row + 8, column : column + 8] = level
    return Image.fromarray(pixels)


def evidence(
    targets: list[int],
    probabilities: np.ndarray,
    images: Callable[[int], Image.Image | None] | None = None,
    **more: object,
) -> Evidence:
    ids = [f"{at:03d}.png" for at in range(len(targets))]
    given = Evidence(ids, np.array(targets, np.int64), probabilities, ["dark", "bright"], images=images)
    return replace(given, **more)  # type: ignore[arg-type]


def pictured(count: int = 24, gone: tuple[int, ...] = ()) -> Evidence:
    """Half dark, half bright pictures with what :func:`brightness_model` says of them; every fifth label is wrong."""
    model = brightness_model()
    pictures = [blob(8 * (at % 4), 8 * (at // 4 % 4), 40 + 8 * at if at % 2 else 5) for at in range(count)]
    p = model.probabilities(np.stack([model.prepared(image) for image in pictures]))
    targets = [int(at % 2) ^ (at % 5 == 4) for at in range(count)]
    return evidence(targets, p, lambda at: None if at in gone else pictures[at], model=lambda: model)


def shuffled(given: Evidence) -> Evidence:
    order = np.random.default_rng(1).permutation(len(given.ids))
    images = given.images
    return replace(
        given,
        ids=[given.ids[at] for at in order],
        targets=given.targets[order],
        probabilities=given.probabilities[order],
        groups=[given.groups[at] for at in order] if given.groups else (),
        columns={name: [values[at] for at in order] for name, values in given.columns.items()},
        images=(lambda at: images(order[at])) if images else None,
    )


# ------------------------------------------------------------------------------------------------------ explain


@pytest.mark.parametrize(
    ("spec", "size", "name"),
    [
        ("alzheimer-cnn", 64, "last"),
        ("timm:arch=test_resnet", 128, "layer4"),
        ("timm:arch=test_efficientnet", 128, "bn2"),
        ("timm:arch=test_vit", 160, "blocks.5.norm1"),  # reads its class token
        ("timm:arch=test_vit2", 64, "blocks"),  # averages its tokens
        ("timm:arch=test_mambaout", 128, "stages"),  # channels last
    ],
)
def test_heat_maps_are_grad_cam_by_its_definition(registry: Registry, spec: str, size: int, name: str) -> None:
    torch.manual_seed(0)
    built = registry.model(spec).build(ModelRequest(2, 3, size))
    built.module.eval()
    images = torch.randn(2, 3, size, size)
    before = built.module(images)
    layer = find_map_layer(built, images)
    assert layer is not None and layer.name == name and layer.side >= 4

    kept: list[torch.Tensor] = []
    hook = layer.module.register_forward_hook(lambda *given: kept.append(given[2]))
    logits = built.module(images)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, 0] + logits[1, 1], kept)
    weights = layer.as_map(gradient).mean((2, 3), keepdim=True)
    by_hand = torch.relu((weights * layer.as_map(kept[0])).sum(1))

    model = Trained(built.module, built.parts)
    model.built, model.size = built, size
    model.inputs = lambda given: images  # type: ignore[method-assign]
    found = heat_maps(model, layer, np.zeros((2, size, size, 3), np.uint8), np.array([0, 1]))
    enlarged = nn.functional.interpolate(by_hand[:, None], (size, size), mode="bilinear")[:, 0]
    most = enlarged.amax((1, 2), keepdim=True)
    expected = torch.where(most > 0, enlarged / most, enlarged).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert torch.equal(built.module(images), before) and all(p.grad is None for p in built.module.parameters())


def test_a_heat_map_is_bright_where_the_answer_comes_from() -> None:
    model = brightness_model()
    images = np.stack([model.prepared(blob(row, column)) for row, column in ((0, 0), (24, 8))])
    layer = find_map_layer(model.built, model.inputs(images))
    assert layer is not None and layer.side == 8
    heats = heat_maps(model, layer, images, np.array([1, 1]))
    assert heats[0, :8, :8].min() > 0.3 and heats[0, 12:, 12:].max() < 0.01
    assert heats[1, 24:, 8:16].min() > 0.3 and heats[1, :16].max() < 0.01


def test_a_model_without_places_is_said_to_have_none() -> None:
    module = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 8)), nn.Linear(8, 2))
    parts = Parts(frozenset(), frozenset({"0.1.weight", "0.1.bias"}), frozenset({"1.weight", "1.bias"}))
    found = Explain().evaluate(replace(pictured(), model=lambda: Trained(module, parts)))
    assert not found.galleries and "Grad-CAM is not available" in found.notes[0]


def test_explain_takes_the_best_the_worst_and_the_most_doubtful() -> None:
    given = pictured(gone=(23,))
    found = Explain(count=3).evaluate(given)
    rows = {kind: [row for row in found.tables[0].rows if row[0] == kind] for kind in ("best", "worst", "doubtful")}
    right = [row for row in rows["best"] if row[2] == row[3]]
    wrong = [row for row in rows["worst"] if row[2] != row[3]]
    assert len(right) == len(wrong) == len(rows["doubtful"]) == 3
    most = given.probabilities.max(1)
    assert rows["doubtful"][0][1] == given.ids[int(most.argmin())]
    assert "023.png" not in {row[1] for row in found.tables[0].rows}  # its picture is gone
    assert [gallery.name for gallery in found.galleries] == ["explain-best", "explain-worst", "explain-doubtful"]
    assert all(picture.alt and picture.image.width == 2 * 224 + 4 for g in found.galleries for picture in g.pictures)
    one_each = Explain(count=3).evaluate(replace(given, groups=["patient"] * 24))
    assert [len(gallery.pictures) for gallery in one_each.galleries] == [1, 1, 1]


# --------------------------------------------------------------------------------------------------- robustness


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_corruptions_get_worse_and_keep_the_shape(kind: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    base = np.asarray(
        Image.fromarray(rng.integers(60, 190, (8, 8), dtype=np.uint8)).resize((128, 128), Image.Resampling.BICUBIC)
    )
    image = np.repeat(base[:, :, None], channels, 2)
    corruption = CORRUPTIONS[kind]  # type: ignore[index]
    found = [corruption.apply(image, strength, np.random.default_rng(3)) for strength in corruption.strengths]
    assert all(worse.shape == image.shape and worse.dtype == np.uint8 for worse in found)
    distances = [float(np.abs(worse.astype(float) - image).mean()) for worse in found]
    assert distances == sorted(distances) and distances[0] > 0
    assert channels == 1 or all((worse == worse[:, :, :1]).all() for worse in found)  # grey stays grey


def test_robustness_counts_what_it_says() -> None:
    given = pictured(gone=(2, 3))
    found = Robustness(kinds=("darkness", "noise"), severities=(5, 1), resamples=200).evaluate(given)
    model = brightness_model()
    kept = [at for at in range(24) if at not in (2, 3)]
    clean, darker = found.tables[0].rows[0], found.tables[0].rows[2]
    right = sum(int(given.probabilities[at].argmax() == given.targets[at]) for at in kept)
    assert clean[3] == pytest.approx(right / 22) and (clean[4], clean[5]) == pytest.approx(wilson(right, 22))
    dark = [np.clip(model.prepared(given.images(at)).astype(int) - 128, 0, 255).astype(np.uint8) for at in kept]
    right = int((model.probabilities(np.stack(dark)).argmax(1) == given.targets[kept]).sum())
    assert darker[:2] == ["darkness", 5] and darker[3] == pytest.approx(right / 22, abs=0.05)
    mean = found.metrics["corrupted_accuracy"]
    assert mean.value == pytest.approx(np.mean([row[3] for row in found.tables[0].rows[1:]]))
    assert mean.low is not None and mean.high is not None and mean.low <= mean.value <= mean.high


def test_robustness_follows_from_keys_alone() -> None:
    given = pictured()
    few = Robustness(severities=(3,), resamples=200)
    assert few.evaluate(given).tables == few.evaluate(shuffled(given)).tables
    assert few.evaluate(given).figures == few.evaluate(given).figures
    noise = Robustness(kinds=("noise",), severities=(3,), resamples=200)
    first, other = (noise.evaluate(replace(given, seed=seed)).galleries[0].pictures[0].image for seed in (0, 1))
    assert np.any(np.asarray(first) != np.asarray(other))


# ------------------------------------------------------------------------------------------------------- errors


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(4, 60), classes=st.integers(2, 5))
def test_confident_learning_by_its_definition(seed: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    p = rng.dirichlet(np.ones(classes), count)
    thresholds = {k: p[labels == k, k].mean() for k in set(labels.tolist())}
    for at, found in enumerate(suggest_labels(labels, p).tolist()):
        reached = [k for k, threshold in thresholds.items() if p[at, k] >= threshold - 1e-9]
        rather = max(reached, key=lambda k: p[at, k]) if reached else labels[at]
        assert found == (labels[at] if p[at].argmax() == labels[at] else rather)


def test_swapped_labels_are_doubted_and_right_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    sure = rng.uniform(0.8, 0.99, 200)
    p = np.stack([np.where(truth == 0, sure, 1 - sure), np.where(truth == 1, sure, 1 - sure)], 1)
    labels = truth.copy()
    swapped = [3, 77, 150]
    labels[swapped] = 1 - labels[swapped]
    found = Errors(count=2).evaluate(evidence(labels.tolist(), p, lambda at: blob(0, 0)))
    doubted = next(table for table in found.tables if table.name == "errors-labels")
    # Of swapped ones those above their class's mean probability; never one that is labelled right.
    assert len(doubted.rows) >= 1 and {row[0] for row in doubted.rows} <= {f"{at:03d}.png" for at in swapped}
    assert found.extra["mistakes"] == 3 and len(found.tables[0].rows) == 3
    assert [len(gallery.pictures) for gallery in found.galleries] == [2, min(2, len(doubted.rows))]


def test_errors_looks_through_validation_too_and_leaves_out_what_is_gone() -> None:
    given = pictured(gone=(4, 9))
    validation = replace(pictured(), split="val", ids=[f"val/{at}" for at in range(24)])
    found = Errors().evaluate(replace(given, validation=validation))
    assert {row[1] for row in found.tables[1].rows} == {"test", "val"}
    captions = " ".join(picture.caption for gallery in found.galleries for picture in gallery.pictures)
    assert "004.png" not in captions and "val/4" in captions
    assert "004.png" in {row[0] for row in found.tables[0].rows}
    assert Errors().evaluate(given).tables == Errors().evaluate(shuffled(given)).tables


def test_errors_says_when_there_is_none() -> None:
    given = evidence([0, 1] * 6, np.array([[0.9, 0.1], [0.1, 0.9]] * 6), lambda at: blob(0, 0))
    found = Errors().evaluate(given)
    assert found.tables == [] and found.galleries == []
    assert "no mistake" in found.notes[0] and "no doubtful labels among 12" in found.notes[1]


# ---------------------------------------------------------------------------------------------------- subgroups


def scanned(right: dict[str, tuple[int, int]], groups: list[str] | None = None) -> Evidence:
    """PredictionSet of which so many of so many are right, by scanner; classes take turns."""
    values = [name for name, (_, count) in right.items() for _ in range(count)]
    hit = [at < hits for hits, count in right.values() for at in range(count)]
    targets = [at % 2 for at in range(len(values))]
    said = [target if good else 1 - target for target, good in zip(targets, hit, strict=True)]
    p = np.where(np.eye(2)[said] > 0, 0.8, 0.2)
    return evidence(targets, p, columns={"scanner": values}, groups=groups or ())


def table(found: Evaluation, name: str) -> dict[object, list[object]]:
    rows = next(each.rows for each in found.tables if each.name == f"subgroups-scanner-{name}")
    return {row[0] if name != "metrics" else (row[0], row[1]): list(row) for row in rows}


def test_subgroups_against_the_rest_by_fisher_and_holm() -> None:
    given = scanned({"A": (90, 100), "B": (60, 100), "C": (78, 100), "D": (3, 5)})
    found = Subgroups(column="scanner", resamples=200).evaluate(given)
    metrics, rest, sizes = table(found, "metrics"), table(found, "rest"), table(found, "sizes")
    assert metrics["B", "accuracy"][2:5] == pytest.approx([0.6, *wilson(60, 100)])
    assert sizes["D"][1:] == [5, 3, 2, "small: fewer than 30"] and "D" not in rest
    others = {"A": (141, 205), "B": (171, 205), "C": (153, 205)}
    hits = {"A": 90, "B": 60, "C": 78}
    p = [fisher_exact([[hits[name], 100 - hits[name]], [r, n - r]]).pvalue for name, (r, n) in others.items()]
    assert [rest[name][6] for name in "ABC"] == pytest.approx(p)
    assert [rest[name][7] for name in "ABC"] == pytest.approx(holm(p))
    assert rest["B"][3] == pytest.approx(0.6 - 171 / 205) and rest["B"][5] < 0
    assert any("D (5)" in note for note in found.notes) and any("lower for B" in note for note in found.notes)
    assert not any("for C" in note for note in found.notes)
    worst = found.metrics["worst_accuracy_by_scanner"]  # not that of five images
    assert worst.value == pytest.approx(0.6) and worst.label.endswith("(B)")
    assert Subgroups(column="scanner", resamples=200).evaluate(shuffled(given)) == found


def test_two_subgroups_are_compared_once_and_the_positive_class_is_named() -> None:
    found = Subgroups(column="scanner", positive="bright", resamples=200).evaluate(
        scanned({"A": (40, 50), "B": (40, 50)})
    )
    assert list(table(found, "rest")) == ["A"] and found.notes == []
    assert ("A", "sensitivity (bright)") in table(found, "metrics")
    alone = Subgroups(column="scanner", resamples=200).evaluate(scanned({"A": (40, 50)}))
    assert "nothing to compare" in alone.notes[0] and len(table(alone, "sizes")) == 1
    with pytest.raises(UsageError, match="grey"):
        Subgroups(column="scanner", positive="grey").evaluate(scanned({"A": (4, 5), "B": (4, 5)}))


def test_groups_are_what_is_drawn() -> None:
    rng = np.random.default_rng(0)
    inside, right = np.repeat([True, False], 200), rng.random(400) < 0.8
    right[:200] = np.repeat(rng.random(10) < 0.6, 20)  # whole patients right or wrong
    single = compare_with_rest(inside, right, Units.from_groups([], 400), 2000, ("x",))
    patients = [f"{at // 20}" for at in range(400)]
    grouped = compare_with_rest(inside, right, Units.from_groups(patients, 400), 2000, ("x",))
    assert grouped.value == pytest.approx(single.value)
    assert grouped.high - grouped.low > 2 * (single.high - single.low) and grouped.p_value > single.p_value


def test_columns_that_make_no_subgroups() -> None:
    columns = {"scanner": ["A", "B"] * 20, "age": [str(40 + at) for at in range(39)] + [""], "one": ["x"] * 40}
    columns["name"] = [f"n{at}" for at in range(40)]
    cut = subgroups(columns, "age", 4)
    assert sorted(set(cut)) == ["(not given)", "1: 40 to 49", "2: 50 to 59", "3: 60 to 69", "4: 70 to 78"]
    for column, text in (("scaner", "scanner"), ("name", "40 different values")):
        with pytest.raises(UsageError) as caught:
            subgroups(columns, column, 4)
        assert text in str(caught.value)
