"""How fast augmented files are written, side by side in one run: the toolbox, the usual ways, and the limit.

Run it with ``TOOLBOX_TEST_DATA=FOLDER python tests/benchmarks/augment.py [--sources 700] [--rounds 3]`` where FOLDER
holds ``cats_dogs/train``; ``TMPDIR`` says on which disk files are written. The same job for each: so many photos, 50
copies of each (one of flip, rotation up to 30°, zoom 0.75 to 1.25), 224 pixels, JPEG of quality 75, class folders.
Best of the rounds, which take turns.

- the source study's loop: Keras's ImageDataGenerator, one image and one copy at a time, names of its own (Keras 3's
  legacy module; needs ``pip install 'vision-toolbox[bench]'``)
- Albumentations, and torchvision's v2 transforms, in two processes
- the limit: each source decoded once, and 50 unchanged copies encoded and written, in two processes

Lineage, hashes, checks and syncs are in the toolbox's time. ``--memory`` prints the peak memory of the toolbox at
1,000 and at 30,000 files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

COPIES, SIZE, QUALITY, WORKERS = 50, 224, 75, 2


def toolbox(photos: Path, out: Path) -> None:
    from toolbox import Workspace

    settings = {
        "split.test": 0,
        "split.val": 0,
        "augment.factor": COPIES,
        "augment.size": SIZE,
        "augment.quality": QUALITY,
        "augment.workers": WORKERS,
    }
    Workspace(out, data=photos, settings=settings).augment()


def keras_loop(photos: Path, out: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import numpy as np
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
    from keras.utils import img_to_array, load_img

    ways = [
        ImageDataGenerator(horizontal_flip=True),
        ImageDataGenerator(rotation_range=30),
        ImageDataGenerator(zoom_range=(0.75, 1.25)),
    ]
    for path in sorted(photos.rglob("*.jpg")):
        folder = out / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        image = np.expand_dims(img_to_array(load_img(path, target_size=(SIZE, SIZE))), 0)
        for _ in range(COPIES):
            way = random.choice(ways)
            next(
                way.flow(
                    image, batch_size=1, save_to_dir=str(folder), save_prefix=str(uuid.uuid4()), save_format="jpeg"
                )
            )


def albumentations_one(path: str, out: str) -> None:
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)
    change = A.OneOf([A.HorizontalFlip(p=1), A.Rotate(30, p=1), A.Affine(scale=(0.75, 1.25), p=1)], p=1)
    image = cv2.resize(cv2.imread(path), (SIZE, SIZE))
    for number in range(COPIES):
        copy = change(image=image)["image"]
        cv2.imwrite(f"{out}-{number}.jpg", copy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def torchvision_one(path: str, out: str) -> None:
    import torch
    from torchvision.io import decode_jpeg, read_file, write_jpeg
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    change = v2.RandomChoice(
        [
            v2.RandomHorizontalFlip(1.0),
            v2.RandomRotation(30, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomAffine(0, scale=(0.75, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
        ]
    )
    image = v2.functional.resize(decode_jpeg(read_file(path)), [SIZE, SIZE])
    for number in range(COPIES):
        write_jpeg(change(image), f"{out}-{number}.jpg", quality=QUALITY)


def limit_one(path: str, out: str) -> None:
    import numpy as np
    import simplejpeg
    from PIL import Image

    array = np.ascontiguousarray(Image.open(path).convert("RGB").resize((SIZE, SIZE)))
    for number in range(COPIES):
        Path(f"{out}-{number}.jpg").write_bytes(simplejpeg.encode_jpeg(array, QUALITY, "RGB", "420"))


def in_two_processes(one: Callable[[str, str], None]) -> Callable[[Path, Path], None]:
    def run(photos: Path, out: Path) -> None:
        paths = sorted(photos.rglob("*.jpg"))
        for path in paths:
            (out / path.parent.name).mkdir(parents=True, exist_ok=True)
        names = [str(out / path.parent.name / path.stem) for path in paths]
        with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
            list(pool.map(one, map(str, paths), names))

    return run


OWN = "this toolbox"
AIMS = {"Keras loop": 13, "Albumentations, 2 processes": 1.5, "the limit, 2 processes": 0.65}
WAYS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    OWN: ("", toolbox),
    "Keras loop": ("keras", keras_loop),
    "Albumentations, 2 processes": ("albumentations", in_two_processes(albumentations_one)),
    "torchvision v2, 2 processes": ("torchvision", in_two_processes(torchvision_one)),
    "the limit, 2 processes": ("", in_two_processes(limit_one)),
}


def subset(data: Path, folder: Path, sources: int) -> Path:
    for label in ("Cats", "Dogs"):
        (folder / label).mkdir(parents=True)
        for path in sorted((data / "cats_dogs" / "train" / label).glob("*.jpg"))[: sources // 2]:
            shutil.copy(path, folder / label)
    return folder


def processor_seconds() -> float:
    """Of this process and its children that have ended: other programs on the machine distort it less."""
    return sum(os.times()[:4])


def compare(data: Path, sources: int, rounds: int, chosen: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        photos = subset(data, Path(name) / "photos", sources)
        rates: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        for _ in range(rounds):
            for way in chosen:
                needs, run = WAYS[way]
                if needs and find_spec(needs) is None:
                    continue
                out = Path(name) / "out"
                # The slow loop shows its rate on a few photos.
                few = subset(data, Path(name) / "few", 10) if way == "Keras loop" else photos
                start, used = time.perf_counter(), processor_seconds()
                run(few, out)
                seconds, used = time.perf_counter() - start, processor_seconds() - used
                files = len(list(out.rglob("*.jp*g")))
                rates.setdefault(way, []).append(files / seconds)
                costs.setdefault(way, []).append(1000 * used / files)
                shutil.rmtree(out)
                if few is not photos:
                    shutil.rmtree(few)
        tell(rates, costs, chosen, f"{sources} photos, {COPIES} copies each, {SIZE} px, JPEG {QUALITY}", rounds)


def tell(
    rates: dict[str, list[float]], costs: dict[str, list[float]], chosen: list[str], job: str, rounds: int
) -> None:
    own, cost = max(rates[OWN]), min(costs[OWN])
    print(f"{job}; best of {rounds}; {os.cpu_count()} cores; {versions()}")
    print(f"{'':30} {'images/s':>9} {'processor ms/image':>19}   toolbox is so many times as fast (by processor time)")
    for way in chosen:
        if way not in rates:
            print(f"{way:30} not installed: {WAYS[way][0]}")
            continue
        rate, other = max(rates[way]), min(costs[way])
        aim = f"   aim {AIMS[way]}" if way in AIMS else ""
        print(f"{way:30} {rate:9,.0f} {other:19.3f}   {own / rate:5.2f} ({other / cost:.2f}){aim}")


def versions() -> str:
    names = ("keras", "albumentations", "torchvision", "opencv-python-headless", "simplejpeg", "pillow")
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def peak(data: Path, factor: int) -> tuple[int, float]:
    """Files written, and the peak memory of the main process and its largest worker, MB, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        photos = subset(data, Path(name) / "photos", 20)
        code = (
            "import resource, sys\n"
            "from pathlib import Path\n"
            "from toolbox import Workspace\n"
            "if __name__ == '__main__':\n"
            f"    s = {{'split.test': 0, 'split.val': 0, 'augment.factor': {factor}, 'augment.workers': 2}}\n"
            f"    n = Workspace({str(Path(name) / 'ws')!r}, data={str(photos)!r}, settings=s).augment().written\n"
            "    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN, resource.RUSAGE_CHILDREN)\n"
            "    print(n, sum(resource.getrusage(one).ru_maxrss for one in who))\n"
        )
        script = Path(name) / "peak.py"
        script.write_text(code)
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
        written, kilobytes = done.stdout.split()
        return int(written), int(kilobytes) / (1024 if sys.platform != "darwin" else 1024**2)


def memory(data: Path) -> None:
    small, large = peak(data, 50), peak(data, 1500)
    for files, megabytes in (small, large):
        print(f"{files:7,} files: {megabytes:6.0f} MB at most (main process and two workers)")
    print(f"difference: {large[1] - small[1]:.0f} MB (aim: less than 50)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sources", type=int, default=700)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), metavar="WAY", help="only these, beside the toolbox")
    parser.add_argument("--memory", action="store_true", help="peak memory at 1,000 and at 30,000 files instead")
    given = parser.parse_args()
    place = os.environ.get("TOOLBOX_TEST_DATA")
    if not place:
        sys.exit("set TOOLBOX_TEST_DATA to the folder that holds cats_dogs")
    if given.memory:
        memory(Path(place))
    else:
        ways = [way for way in WAYS if way == OWN or any(way.lower().startswith(word.lower()) for word in given.ways)]
        compare(Path(place), given.sources, given.rounds, ways)
