"""The embedded dataset: what it promises of its samples, its pictures, its classes and its subjects."""

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from toolbox.api.dataset import Sample
from toolbox.api.errors import UsageError
from toolbox.plugin.registry import Registry
from toolbox_phantom.dataset import PhantomDataset


def pictures(dataset: PhantomDataset) -> dict[str, bytes]:
    return {sample.path: dataset.load(sample).tobytes() for sample in dataset.samples()}


def labels(dataset: PhantomDataset) -> dict[str, str]:
    return {sample.group: sample.label for sample in dataset.samples()}


def arrays(dataset: PhantomDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures in [0, 1], labels, groups."""
    samples = list(dataset.samples())
    images = np.stack([np.asarray(dataset.load(sample)) for sample in samples]) / 255
    return images, np.array([s.label for s in samples]), np.array([s.group for s in samples])


def ventricle_areas(separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Dark pixels in the middle of one slice of each of 100 subjects: of AD, of MCI."""
    images, label, _ = arrays(PhantomDataset(subjects=100, slices=1, size=48, separation=separation))
    area = (images[:, 14:34, 16:32] < 0.4).sum(axis=(1, 2))
    return area[label == "AD"], area[label == "MCI"]


def effect_size(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


# ---------------------------------------------------------------------------------------------------- component


def test_is_offered_with_its_parameters():
    dataset = Registry().make("dataset", "phantom:subjects=8,slices=2,size=32,seed=3")
    assert len(list(dataset.samples())) == 16
    assert dataset.embedded
    assert "synthetic" in dataset.note
    assert dataset.suggestions == {"training.size": 32, "augment.size": 32, "split.test": 0.3, "split.val": 0.2}


@pytest.mark.parametrize(
    "nonsense", ["subjects=2", "subjects=7", "slices=0", "size=8", "seed=-1", "separation=-1", "colour=red"]
)
def test_refuses_nonsense(nonsense):
    with pytest.raises(UsageError, match=nonsense.split("=")[0]):
        Registry().make("dataset", f"phantom:{nonsense}")


def test_listing_it_costs_nothing():
    code = "import sys, toolbox_phantom; sys.exit(any(m in sys.modules for m in ('numpy', 'PIL', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------ samples


@pytest.mark.parametrize("shuffle_labels", [False, True])
def test_samples(shuffle_labels):
    samples = list(PhantomDataset(shuffle_labels=shuffle_labels).samples())
    assert len(samples) == 240
    assert len({s.id for s in samples}) == len({s.path for s in samples}) == 240
    assert Counter(s.label for s in samples) == {"AD": 120, "MCI": 120}
    assert set(Counter(s.group for s in samples).values()) == {6}
    assert len({(s.group, s.label) for s in samples}) == 40, "a subject has one label"
    assert samples[2] == Sample(
        id=f"{samples[2].label}/sub-001_z-2",
        path="sub-001#z=2",
        label=samples[2].label,
        group="sub-001",
        columns={"slice": "2"},
    )


def test_a_subjects_number_says_nothing_of_its_class():
    is_ad = np.array([label == "AD" for label in labels(PhantomDataset(subjects=400, slices=1)).values()])
    assert 0.4 < is_ad[::2].mean() < 0.6
    assert 0.4 < is_ad[:200].mean() < 0.6


# ----------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", [32, 64, 75])
def test_size_and_mode(size):
    dataset = PhantomDataset(subjects=4, slices=1, size=size)
    image = dataset.load(next(dataset.samples()))
    assert image.mode == "L"
    assert image.size == (size, size)
    assert image.getextrema()[0] < 20 < 180 < image.getextrema()[1]


def test_same_pictures_whatever_the_order():
    dataset = PhantomDataset(subjects=4, slices=3, size=32)
    backwards = PhantomDataset(subjects=4, slices=3, size=32)
    reverse = {s.path: backwards.load(s).tobytes() for s in reversed(list(backwards.samples()))}
    assert reverse == pictures(dataset) == pictures(dataset)
    assert len(set(reverse.values())) == 12, "no two slices are the same"


def test_same_pictures_everywhere():
    """Whoever changes the pictures knowingly measures the figures in the dataset's docstring anew."""
    digest = hashlib.sha256(b"".join(pictures(PhantomDataset(subjects=4, slices=3)).values())).hexdigest()
    assert digest == "e96d15b6fd4a674f870c1e8ca2252b3b72a62c2ad012f95993aaa33b481da8d4"


def test_a_subject_stays_itself_among_more():
    few, many = PhantomDataset(subjects=4, slices=2, size=32), PhantomDataset(subjects=10, slices=2, size=32)
    assert pictures(few).items() <= pictures(many).items()
    assert labels(few).items() <= labels(many).items()


def test_another_seed_makes_other_subjects():
    one, other = (pictures(PhantomDataset(subjects=4, slices=1, size=32, seed=seed)) for seed in (0, 1))
    assert not set(one.values()) & set(other.values())


def test_pictures_do_not_depend_on_the_label():
    dataset = PhantomDataset(subjects=4, slices=1, size=32)
    sample = next(dataset.samples())
    relabelled = Sample(id="x", path=sample.path, label="AD" if sample.label == "MCI" else "MCI")
    assert dataset.load(sample).tobytes() == dataset.load(relabelled).tobytes()


@pytest.mark.parametrize("path", ["sub-005#z=0", "sub-000#z=0", "sub-001#z=2", "sub-001", "AD/photo.png", ""])
def test_refuses_slices_it_has_not(path):
    with pytest.raises(ValueError, match="no slice"):
        PhantomDataset(subjects=4, slices=2).load(Sample(id="x", path=path, label="AD"))


# ------------------------------------------------------------------------------------------ classes and subjects


def test_ventricles_are_larger_in_ad_with_overlap():
    ad, mci = ventricle_areas(separation=1)
    assert 0.8 < effect_size(ad, mci) < 3
    assert np.quantile(ad, 0.1) < np.quantile(mci, 0.9)


def test_without_separation_the_classes_are_alike():
    ad, mci = ventricle_areas(separation=0)
    assert abs(effect_size(ad, mci)) < 0.4


def test_shuffling_leaves_the_pictures_and_nothing_of_the_class():
    true, shuffled = (PhantomDataset(slices=1, size=32, shuffle_labels=shuffle) for shuffle in (False, True))
    assert pictures(true) == pictures(shuffled)
    pairs = Counter(zip(labels(true).values(), labels(shuffled).values(), strict=True))
    assert set(pairs.values()) == {10}, "each label falls to as many true AD as true MCI"
    other_seed = PhantomDataset(slices=1, size=32, shuffle_labels=True, seed=1)
    assert labels(shuffled) == labels(PhantomDataset(slices=1, size=32, shuffle_labels=True))
    assert labels(shuffled) != labels(other_seed)


def test_a_subject_is_recognised_by_a_slice_never_seen():
    """Else a split through subjects would not leak, and the canary with shuffled labels could not sing."""
    images, _, group = arrays(PhantomDataset(size=32))
    likeness = np.corrcoef(images.reshape(len(images), -1))
    np.fill_diagonal(likeness, -1)
    assert (group[likeness.argmax(axis=1)] == group).mean() > 0.95


@pytest.mark.slow
def test_a_small_cnn_does_well_on_unseen_subjects_but_not_perfectly():
    import torch
    from sklearn.model_selection import StratifiedGroupKFold

    images, label, group = arrays(PhantomDataset())
    x = torch.tensor(images[:, None], dtype=torch.float32)
    x = (x - x.mean()) / x.std()
    y = torch.tensor(label == "AD").long()
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(images, label, group)
    right = [accuracy_of_small_cnn(x[train], y[train], x[test], y[test]) for train, test in folds]
    assert 0.6 < np.mean(right) < 0.97


def accuracy_of_small_cnn(x, y, x_test, y_test, epochs=30):
    """Study A's network on pictures ``x``, mirrored at random."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    blocks = [
        layer
        for channels in (1, 32, 32, 32)
        for layer in (nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    ]
    dense = [nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2)]
    network = nn.Sequential(*blocks, *dense)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            mirrored = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, x[batch].flip(3), x[batch])
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(mirrored), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((network(x_test).argmax(1) == y_test).float().mean())
