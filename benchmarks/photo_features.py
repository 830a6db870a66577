"""Clusters of photos by what describes them: HOG and colours, or a net's features.

For every folder and every kind of features: k-means on the rows, PCA to 10 numbers and
dec.clustering.within, and DEC; accuracy and NMI of some seeds with their median, by the
names of the sub-folders, and the seconds that each step took. Then how fast the
features are made, beside the net's forward pass alone in as many processes.

.venv/bin/python benchmarks/photo_features.py ../shared/data/photos/caltech_3class
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.decomposition import PCA

from dec.base.machine import machine
from dec.clustering.kmeans import kmeans
from dec.clustering.within import kmeans_within
from dec.data import leveldb
from dec.data.images.photo_rows import build_leveldbs
from dec.engine.runs import read_metrics
from dec.nets.feature_net import Extractor, FeatureNet, open_net
from dec.scores.clusters import scores

DEC = Path(sys.executable).parent / "dec"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="sub-folders are classes")
    parser.add_argument("--features", nargs="+", default=["hog", "squeezenet"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--no-dec", action="store_true", help="the simple methods only")
    options = parser.parse_args()
    on = machine()
    print(
        f"{on['processor']}, {on['threads']} threads, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| photos | features | method | accuracy | median | NMI | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for folder in options.folders:
        for features in options.features:
            with tempfile.TemporaryDirectory(prefix="dec-bench-") as home:
                compare(folder.resolve(), features, Path(home), options)
    for features in options.features:
        if features != "hog":
            print(f"\n{speed(features, options.folders[0].resolve())}")


def compare(folder: Path, features: str, home: Path, options) -> None:
    """Prints the lines of one folder and one kind of features."""
    started = time.monotonic()
    build_leveldbs(home / "data", folder, features=features)
    took = time.monotonic() - started
    with leveldb.open_reader(home / "data/photos_total") as reader:
        rows, labels = reader.read()
    rows, k = rows.reshape(len(rows), -1), len(np.unique(labels))
    name = f"{folder.name}, {len(rows):,}"
    line(name, features, "(features)", [], [took])
    small = PCA(10, random_state=0).fit_transform(rows.astype(np.float64))
    methods = {
        "k-means": lambda seed: kmeans(rows, k, seed)[1],
        "PCA to 10, within": lambda seed: kmeans_within(small, k, seed).assigned,
    }
    for method, cluster in methods.items():
        found, seconds = [], []
        for seed in options.seeds:
            started = time.monotonic()
            found.append(scores(labels, cluster(seed), k))
            seconds.append(time.monotonic() - started)
        line(name, features, method, found, seconds)
    if options.no_dec:
        return
    found, seconds = [], []
    for seed in options.seeds:
        command = [DEC, "run", "photos", "--clusters", str(k), "--seed", str(seed)]
        started = time.monotonic()
        run = home / f"runs/{seed}"
        subprocess.run(
            [*command, "--run", run],
            cwd=home,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found.append(read_metrics(run))
        seconds.append(time.monotonic() - started)
    line(name, features, "DEC", found, seconds)


def line(photos: str, features: str, method: str, found: list, seconds: list) -> None:
    cells = ["", "", ""]
    if found:
        all_of = ", ".join(f"{one['acc'] * 100:.1f}" for one in found)
        middle = statistics.median(one["acc"] for one in found)
        nmi = statistics.median(one["nmi"] for one in found)
        cells = [f"{all_of}%", f"{middle:.1%}", f"{nmi:.3f}"]
    took = f"{statistics.median(seconds):.1f}"
    print("|", " | ".join([photos, features, method, *cells, took]), "|", flush=True)


def speed(features: str, folder: Path, photos: int = 256) -> str:
    """The whole way from files to rows, beside the net alone on ready inputs."""
    extractor = open_net(FeatureNet.find(features))
    jobs = joblib.cpu_count()
    with joblib.Parallel(jobs) as pool:
        task = joblib.delayed(forward)
        pool(task(extractor, 8) for _ in range(jobs))  # nets are set up
        started = time.monotonic()
        pool(task(extractor, 32) for _ in range(photos // 32))
        alone = photos / (time.monotonic() - started)
    with tempfile.TemporaryDirectory(prefix="dec-bench-") as home:
        some = Path(home) / "photos"
        some.mkdir()
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for i in range(photos):
            path = files[i * len(files) // photos]
            (some / f"{i}{path.suffix}").symlink_to(path)
        started = time.monotonic()
        from dec.data.images.image_features import Frame
        from dec.data.images.net_features import NetFeatures
        from dec.data.images.photo_rows import COLOURS, SIZE, Reading

        frame = Frame.checked(SIZE, COLOURS)
        reading = Reading(frame, NetFeatures(extractor, "crop"), 10**8)
        with joblib.Parallel(jobs) as pool:
            names = sorted(map(str, some.iterdir()))
            task = joblib.delayed(reading)
            pool(task(names[:8]) for _ in range(jobs))
            started = time.monotonic()
            pool(task(names[at : at + 32]) for at in range(0, photos, 32))
            whole = photos / (time.monotonic() - started)
    return (
        f"{features}: {alone:.1f} photos a second through the net alone, {whole:.1f} "
        f"from files to rows: {whole / alone:.2f} of it ({jobs} processes)"
    )


def forward(extractor: Extractor, n: int) -> None:
    inputs = np.random.default_rng(1).normal(0, 50, (n, *extractor.shape))
    extractor.rows(inputs.astype(np.float32))


if __name__ == "__main__":
    main()
