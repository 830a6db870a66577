"""The feature pass: ours beside a plain Cython HOG, scikit-image's and OpenCV's.

All do the same images in turns, and each turn gives the ratios; the medians count.
The plain one (naive_hog.pyx, compiled here with our flags) takes one image at a
time, on one core; the others may use all cores as suits them best: OpenCV by
threads, scikit-image by processes. Like settings: nine orientations, cells of 8
pixels, blocks of 2 x 2 cells. Only ours makes the colour map too.

.venv/bin/python benchmarks/feature_pass.py
"""

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import joblib
import numpy as np
import skimage.feature
from PIL import Image

from features import crcb_map, extract, hog

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT.parent / "shared/data/photos"
IMAGES, TURNS = 2048, 7
CORES = joblib.cpu_count()


def main() -> None:
    if not hasattr(cv2, "HOGDescriptor"):
        sys.exit(f"OpenCV {cv2.__version__} has no HOGDescriptor: install one below 5")
    naive_hog = baseline()
    for height, width, size in [(96, 96, (8, 8)), (120, 200, (6, 10))]:
        images, origin = pictures(height, width)
        print(f"{IMAGES} {origin}, {height} x {width}, {CORES} cores, {TURNS} turns")
        compare(naive_hog, images, size)


def compare(naive_hog: Callable, images: np.ndarray, size: tuple[int, int]) -> None:
    few = images[:64]  # of scikit-image, which needs milliseconds an image
    height, width = images.shape[1:3]
    window = cv2.HOGDescriptor((width, height), (16, 16), (8, 8), (8, 8), 9)
    assert np.abs(hog(images[0]) - naive_hog(images[0])).max() < 1e-9

    def colours(image: np.ndarray) -> np.ndarray:
        small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)[:, :, 1:]

    with (
        joblib.Parallel(CORES, prefer="threads") as threads,
        joblib.Parallel(CORES) as processes,
    ):
        tasks: dict[str, tuple[Callable, int]] = {
            "whole pass": (lambda: extract(images, size), len(images)),
            "whole pass, 1 thread": (lambda: extract(images, size, 1), len(images)),
            "HOG only": (lambda: hog(images), len(images)),
            "colour map only": (lambda: crcb_map(images, size), len(images)),
            "plain Cython HOG": (
                lambda: [naive_hog(image) for image in images],
                len(images),
            ),
            "plain HOG + OpenCV's colours": (
                lambda: [(naive_hog(image), colours(image)) for image in images],
                len(images),
            ),
            "cv2.HOGDescriptor": (
                lambda: threads(
                    joblib.delayed(cv2_hog)(window, part)
                    for part in np.array_split(images, 4 * CORES)
                ),
                len(images),
            ),
            "skimage.feature.hog": (
                lambda: processes(
                    joblib.delayed(skimage_hog)(part)
                    for part in np.array_split(few, CORES)
                ),
                len(few),
            ),
        }
        speeds: dict[str, list[float]] = {name: [] for name in tasks}
        for turn in range(TURNS + 1):  # the first is for warming up
            for name, (task, count) in tasks.items():
                start = time.perf_counter()
                task()
                if turn > 0:
                    speeds[name].append(count / (time.perf_counter() - start))
    print("                                images a second    whole pass / this")
    for name, values in speeds.items():
        pairs = zip(speeds["whole pass"], values, strict=True)
        ratio = statistics.median(ours / other for ours, other in pairs)
        print(f"  {name:28} {statistics.median(values):14,.0f} {ratio:16.1f}")


def cv2_hog(window: "cv2.HOGDescriptor", images: np.ndarray) -> list[np.ndarray]:
    cv2.setNumThreads(1)  # the images are spread already
    return [window.compute(image) for image in images]


def skimage_hog(images: np.ndarray) -> list[np.ndarray]:
    return [
        skimage.feature.hog(
            image, 9, (8, 8), (2, 2), channel_axis=-1, feature_vector=False
        )
        for image in images
    ]


def pictures(height: int, width: int) -> tuple[np.ndarray, str]:
    """Photos, again and again, where there are some, or else blurred noise."""
    paths = sorted(PHOTOS.rglob("*.jpg"))[::3]
    if paths:
        photos = [Image.open(path).convert("RGB") for path in paths]
        small = np.stack([photo.resize((width, height)) for photo in photos])
        return small[np.arange(IMAGES) % len(small)], "photos"
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (IMAGES, height, width, 3), np.uint8)
    blurred = [cv2.GaussianBlur(image, (0, 0), 1.5) for image in noise]
    return np.stack(blurred), "pictures of blurred noise"


def baseline() -> Callable:
    """naive_hog.pyx, compiled in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "benchmarks/naive_hog.pyx", folder)
        flags = "-O3 -ffp-contract=off -fno-math-errno -fno-trapping-math"
        subprocess.run(
            [sys.executable, "-m", "Cython.Build.Cythonize", "-iq", "naive_hog.pyx"],
            cwd=folder,
            env={**os.environ, "CFLAGS": flags},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        [path] = Path(folder).glob("naive_hog.*.so")
        spec = importlib.util.spec_from_file_location("naive_hog", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.naive_hog


if __name__ == "__main__":
    main()
