"""PCA and k-means of DeepCluster beside scikit-learn's and faiss's: seconds, SSE.

    make bench-deepcluster BENCH_ARGS="--rows 50000 --clusters 300"

Features are random: as many groups as clusters in 32 directions, with noise. Every side
gets the same file, PCA to 64 with whitening and unit length, then k-means of its own
points: 20 iterations from random rows. Each is the best of some turns, with two
threads. Scikit-learn and faiss are those of .venv-bench.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

THEIR_PYTHON = Path(".venv-bench/bin/python")
WIDTH, PCA, ITERATIONS, TURNS = 256, 64, 20, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, default=300)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](np.load(options.file), options.clusters)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, features(options.rows, options.clusters))
        found = {side: _ask(side, file, options.clusters) for side in SIDES}
    print(f"{options.rows:,} x {WIDTH} to {PCA}, {options.clusters} clusters")
    print(f"{'':14}{'PCA, s':>10}{'k-means, s':>12}{'SSE':>10}")
    for side, (pca, kmeans, sse) in found.items():
        print(f"{side:14}{pca:10.3f}{kmeans:12.3f}{sse:10.4f}")


def features(n: int, groups: int) -> np.ndarray:
    """float32, n x WIDTH."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((groups, 32))
    rows = centres[rng.integers(0, groups, n)] + 0.7 * rng.standard_normal((n, 32))
    rows = rows @ rng.standard_normal((32, WIDTH)) / 6
    return (rows + 0.3 * rng.standard_normal((n, WIDTH))).astype(np.float32)


def _ask(side: str, file: Path, clusters: int) -> list[float]:
    python = sys.executable if side == "ours" else THEIR_PYTHON
    command = [python, __file__, "--side", side, "--file", file]
    result = subprocess.run(
        [*map(str, command), "--clusters", str(clusters)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(result.stdout)


def _best(work):
    """Seconds of the fastest of some turns, and what it gives."""
    seconds = []
    for _ in range(TURNS):
        start = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), found


def _ours(rows: np.ndarray, k: int) -> list[float]:
    from dec.deepcluster.cluster import Projection, kmeans

    pca, points = _best(lambda: Projection.fit(rows, PCA).rows(rows))
    seconds, found = _best(lambda: kmeans(points, k, 1, ITERATIONS))
    return [pca, seconds, found.sse]


def _sklearn(rows: np.ndarray, k: int) -> list[float]:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA as Pca

    def project():
        model = Pca(PCA, whiten=True, svd_solver="covariance_eigh")
        return _unit(model.fit_transform(rows))

    def cluster():
        model = KMeans(k, init="random", n_init=1, max_iter=ITERATIONS, tol=0)
        return model.fit(points).inertia_

    pca, points = _best(project)
    seconds, inertia = _best(cluster)
    return [pca, seconds, inertia / len(rows)]


def _faiss(rows: np.ndarray, k: int) -> list[float]:
    import faiss

    def project():
        model = faiss.PCAMatrix(rows.shape[1], PCA, -0.5)
        model.train(rows)
        return _unit(model.apply(rows))

    def cluster():
        model = faiss.Kmeans(PCA, k, niter=ITERATIONS, max_points_per_centroid=10**9)
        model.train(points)
        return float(model.index.search(points, 1)[0].mean())

    pca, points = _best(project)
    seconds, sse = _best(cluster)
    return [pca, seconds, sse]


def _unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


SIDES = {"ours": _ours, "scikit-learn": _sklearn, "faiss": _faiss}


if __name__ == "__main__":
    main()
