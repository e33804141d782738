"""Simulate verdicts: how often is a winner named that is none, and how often does a 95 % interval hold the truth?

    python tests/benchmarks/verdicts.py            # prints the tables and writes them to docs/explanation/verdicts.md
    python tests/benchmarks/verdicts.py --reps 200 # quicker and coarser; writes nothing

Two equally good methods classify images. An image is answered rightly if its difficulty (a part that both methods
share, a part of the method's own, a part of the run's own) is below the level of the run. The level varies with the
seed, and with the training set: each training image raises or lowers it a little, so that folds that share training
images share a part of their luck. That luck is as large as the luck of a test set of the same size, which is what the
correction of Nadeau and Bengio assumes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[2]))

from toolbox.statistics.designs import average_over_folds, average_over_seeds
from toolbox.statistics.intervals import Bootstrap
from toolbox.statistics.proportions import mcnemar_mid_p, tango
from toolbox.statistics.scores import METRICS, PredictionSet, Units

Floats = npt.NDArray[np.float64]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "verdicts.md"
ACCURACY, IMAGES, TEST_IMAGES = 0.8, 1000, 200
REPS, METRIC_REPS = 2000, 300
SEEDS, FOLDS = (1, 3, 5), (1, 5, 10)
LEVEL, DENSITY = float(norm.ppf(ACCURACY)), float(norm.pdf(norm.ppf(ACCURACY)))


@dataclass(frozen=True)
class Noise:
    """``seed``: standard deviation of the accuracy between seeds. The rest: shares of an image's difficulty."""

    name: str
    seed: float
    shared: float
    of_method: float
    of_run: float

    @property
    def training(self) -> float:
        """The effect of one training image on the level, for the luck of a test set of equal size."""
        rng = np.random.default_rng(0)
        easy = np.sqrt(self.shared) * rng.normal(size=200_000)
        right = easy + np.sqrt(1 - self.shared) * rng.normal(size=(2, 200_000)) < LEVEL
        return float(np.sqrt((right[1].astype(float) - right[0]).var() / 2)) / DENSITY


NOISES = (Noise("mild", 0.01, 0.6, 0.35, 0.05), Noise("strong", 0.02, 0.6, 0.28, 0.12))


def false_winners(seeds: int, folds: int, noise: Noise, again: bool, reps: int, rng: np.random.Generator) -> float:
    """The share of ``reps`` comparisons of equal methods that name a winner.

    One seed on one test set compares two models of equal accuracy, several seeds two methods that are equal on this
    training set, folds two methods that are equal over training sets. ``again``: divided into folds for each seed.
    """
    training = noise.training
    named = 0
    for _ in range(reps):
        count = TEST_IMAGES if folds == 1 else IMAGES
        hard = np.sqrt(noise.shared) * rng.normal(size=count) + np.sqrt(noise.of_method) * rng.normal(size=(2, count))
        effect = training * rng.normal(size=(2, count))
        differences = np.empty((seeds, count))
        fold = np.zeros((seeds, count), dtype=np.int64)
        for seed in range(seeds):
            level = np.full((2, folds), LEVEL)
            if folds > 1:
                fold[seed] = rng.permutation(count) % folds if again or seed == 0 else fold[0]
                held_out = np.stack([np.bincount(fold[seed], side, folds) for side in effect])
                level += (effect.sum(1, keepdims=True) - held_out) / (count - count / folds)
            if (seeds, folds) != (1, 1):
                level += noise.seed / DENSITY * rng.normal(size=level.shape)
            right = hard + np.sqrt(noise.of_run) * rng.normal(size=(2, count)) < level[:, fold[seed]]
            differences[seed] = right[1].astype(float) - right[0]
        named += _names_winner(differences, fold, folds, again)
    return named / reps


def _names_winner(differences: Floats, fold: npt.NDArray[np.int64], folds: int, again: bool) -> bool:
    seeds, count = differences.shape
    if (seeds, folds) == (1, 1):
        ups, downs = int((differences > 0).sum()), int((differences < 0).sum())
        low, high = tango(ups, downs, count)
        return mcnemar_mid_p(downs, ups) < 0.05 and (low > 0 or high < 0)
    if folds == 1:
        means = differences.mean(1)
        influences = (differences - means[:, None]) / np.sqrt(count * (count - 1))
        return average_over_seeds(means, influences).p_value < 0.05
    means = np.stack([np.bincount(f, d, folds) / np.bincount(f) for d, f in zip(differences, fold, strict=True)])
    divisions = [[np.array([value]) for value in row] for row in means] if again else [list(means.T)]
    return average_over_folds(divisions, 1 / (folds - 1)).p_value < 0.05


def designs(reps: int) -> dict[tuple[int, int, str, bool], float]:
    """False winners by seeds, folds, noise, and whether the images are divided again for each seed."""
    rates = {}
    for number, noise in enumerate(NOISES):
        for seeds in SEEDS:
            for folds in FOLDS:
                for again in (False, True) if seeds > 1 and folds > 1 else (False,):
                    rng = np.random.default_rng([number, seeds, folds, again])
                    rates[seeds, folds, noise.name, again] = false_winners(seeds, folds, noise, again, reps, rng)
    return rates


def sample(rng: np.random.Generator, count: int, share: float, skill: float) -> PredictionSet:
    """Calibrated predictions of two classes, ``share`` of them positive, whose scores are ``skill`` apart."""
    targets = (rng.random(count) < share).astype(np.int64)
    targets[:2] = 0, 1
    score = skill * targets + rng.normal(size=count)
    second = 1 / (1 + np.exp(-skill * (score - skill / 2) - np.log(share / (1 - share))))
    return PredictionSet(targets, np.stack([1 - second, second], 1), Units.from_groups([], count))


SITUATIONS: dict[str, tuple[float, float]] = {
    "balanced": (0.5, 1.5),
    "10 % positive": (0.1, 2.0),
    "near perfect": (0.5, 5.0),
}
SIZES = (20, 100, 300)
SHOWN = tuple(name for name in METRICS if name not in ("top_k", "ece"))


def coverage(situation: str, count: int, reps: int) -> dict[str, float]:
    """How often each metric's 95 % interval on ``count`` images holds its value on 400,000; without the ECE."""
    share, skill = SITUATIONS[situation]
    truth = sample(np.random.default_rng(1), 400_000, share, skill)
    expected = {metric: truth.value(metric) for metric in SHOWN}
    rng = np.random.default_rng([count, int(100 * skill)])
    inside: dict[str, list[bool]] = {metric: [] for metric in SHOWN}
    for rep in range(reps):
        bootstrap = Bootstrap(sample(rng, count, share, skill), (rep,), 500)
        for metric in SHOWN:
            interval = bootstrap.metric(metric)
            if interval.low is not None and interval.high is not None:
                inside[metric].append(interval.low - 1e-9 <= expected[metric] <= interval.high + 1e-9)
    return {metric: float(np.mean(hits)) if hits else float("nan") for metric, hits in inside.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print all tables; write them where nothing was made coarser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=REPS, help="simulated comparisons for each design")
    parser.add_argument("--metric-reps", type=int, default=METRIC_REPS, help="simulated test sets for each metric")
    options = parser.parse_args(arguments)
    covered = {(name, n): coverage(name, n, options.metric_reps) for name in SITUATIONS for n in SIZES}
    tables = [_design_table(designs(options.reps), options.reps), _metric_table(covered, options.metric_reps)]
    text = "\n\n".join(tables)
    print(text)
    if (options.reps, options.metric_reps) == (REPS, METRIC_REPS):
        head, _, _ = PAGE.read_text("utf-8").partition(MARK)
        PAGE.write_text(f"{head}{MARK}\n\n{text}\n", "utf-8")


MARK = "<!-- written by tests/benchmarks/verdicts.py -->"


def _design_table(rates: dict[tuple[int, int, str, bool], float], reps: int) -> str:
    lines = [
        f"## False winners by design ({reps:,} comparisons each)\n",
        "| seed noise | seeds | 1 test set | 5 folds | 5 folds, divided again | 10 folds | 10 folds, divided again |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for noise in NOISES:
        for seeds in SEEDS:
            keys = [(1, False), (5, False), (5, True), (10, False), (10, True)]
            cells = [rates.get((seeds, folds, noise.name, again)) for folds, again in keys]
            shown = [f"{100 * cell:.1f} %" if cell is not None else "" for cell in cells]
            lines.append(f"| {noise.name} | {seeds} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _metric_table(covered: dict[tuple[str, int], dict[str, float]], reps: int) -> str:
    lines = [
        f"## How often a 95 % interval holds the truth ({reps:,} test sets each)\n",
        f"| metric | {' | '.join(f'{situation}, n = {count}' for situation, count in covered)} |",
        f"|---|{'--:|' * len(covered)}",
    ]
    for metric in SHOWN:
        cells = [f"{100 * shares[metric]:.1f} %" for shares in covered.values()]
        lines.append(f"| {METRICS[metric].label} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
