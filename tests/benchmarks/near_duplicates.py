"""How long the audit's proposing step takes for 100,000 pictures: every description against every other.

Run it with ``python tests/benchmarks/near_duplicates.py``; it prints the seconds (the aim is under 60 on two cores).
Descriptions are synthetic: random coefficients with a photo's spectrum, and one in ten a noisy copy of another, half
of the copies mirrored, so that there is something to find. ``--alike`` makes them as alike as scans of one organ.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import numpy.typing as npt

from toolbox.api.progress import SilentReporter
from toolbox.data.audit import describe
from toolbox.data.audit.propose import Proposals, propose


def descriptions(count: int, copies: int, alike: float, seed: int = 0) -> npt.NDArray[np.float16]:
    """``count`` descriptions, float16 ``[count, 2, 256]``; of the last ``copies``, number -k is a copy of number k - 1.

    ``alike`` is the share of every description that all have in common, 0 to 1.
    """
    rng = np.random.default_rng(seed)
    radius = np.hypot(*np.mgrid[0 : describe.SIDE, 0 : describe.SIDE]).ravel()
    spectrum = (np.exp(-((radius / 8) ** 2)) * (radius > 0)).astype(np.float32)
    common = np.sqrt(alike) * rng.normal(size=(2, 256)).astype(np.float32)
    values = np.sqrt(1 - alike) * rng.standard_normal((count, 2, 256), dtype=np.float32) + common
    sources = values[:copies] + 0.3 * rng.standard_normal((copies, 2, 256), dtype=np.float32)
    sources[::2] *= np.where(describe.odd(), -1, 1)
    values[count - copies :] = sources[::-1]
    values *= spectrum
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    return values.astype(np.float16)


def found(proposals: Proposals, count: int, copies: int) -> int:
    """How many of the planted copies were proposed."""
    pairs = {(int(first), int(second)) for first, second in proposals.pairs}
    return sum((number, count - 1 - number) in pairs for number in range(copies))


def main() -> None:
    """Print the seconds, and what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--alike", type=float, default=0.1)
    options = parser.parse_args()
    copies = options.count // 10
    made = descriptions(options.count, copies, options.alike)
    start, worked = time.perf_counter(), time.process_time()
    proposals = propose(made, SilentReporter())
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    print(f"{options.count:,} descriptions compared in {seconds:.1f} s ({worked:.1f} s of processor time)")
    caught = found(proposals, options.count, copies)
    print(f"{caught:,} of {copies:,} copies among {len(proposals.pairs):,} pairs; left out: {proposals.left_out:,}")
    if sys.platform != "win32":
        print(f"memory at its peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GiB")


if __name__ == "__main__":
    main()
