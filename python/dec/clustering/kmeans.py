"""k-means on embedded points, the same for a seed on every run."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from dec.base.errors import DecError
from dec.base.progress import say

# Above as many rows the restarts see a part of them, and the best goes on on all: to
# the same inertia in a third of the time. With so few numbers a row, scikit-learn's
# MiniBatchKMeans is slower than a pass over all rows, and worse.
LARGE = 1_000_000
SAMPLE = 200_000
RESTARTS = 20  # the paper's section 4.3

Fit = TypeVar("Fit")


def kmeans(
    points: np.ndarray, k: int, seed: int, restarts: int = RESTARTS
) -> tuple[np.ndarray, np.ndarray]:
    """The best of some restarts (20 in the paper's section 4.3).

    points: n x d. Returns centres (k x d) and assignments (n). Raises DecError when
    there are fewer rows, or fewer different ones, than clusters, and for NaN.
    """
    check(points, k)
    part = rows_to_restart_on(points, seed, restarts)
    found = run_restarts(lambda i: fit(part, k, seed + i), restarts)
    best = min(found, key=lambda one: one.inertia_)
    if len(part) < len(points):
        best = fit(points.astype(np.float64), k, seed, best.cluster_centers_)
    check_all_filled(points, best.labels_, k)
    return best.cluster_centers_, best.labels_


def check(points: np.ndarray, k: int) -> None:
    """Raises DecError for fewer points than clusters, and for NaN."""
    if len(points) < k:
        raise DecError(f"{len(points)} rows cannot make {k} clusters")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise DecError(f"k-means: row {bad[0]} has NaN or infinity in it")


def rows_of_restarts(n: int) -> int:
    """On how many of n rows the restarts are run."""
    return n if n <= LARGE else SAMPLE


def rows_to_restart_on(points: np.ndarray, seed: int, restarts: int) -> np.ndarray:
    """All of the points or, where there are too many, some (float64); says so then."""
    if rows_of_restarts(len(points)) == len(points):
        return points.astype(np.float64)
    say(
        f"k-means   {restarts} restarts on {SAMPLE:,} of the {len(points):,} rows, "
        "the best of them on all"
    )
    rows = np.random.default_rng(seed).choice(len(points), SAMPLE, replace=False)
    return points[np.sort(rows)].astype(np.float64)  # in the order of memory


def run_restarts(restart: Callable[[int], Fit], restarts: int) -> list[Fit]:
    """What restart(i) gives for every i, on all cores."""
    jobs = (delayed(restart)(i) for i in range(restarts))
    return Parallel(n_jobs=-1, prefer="threads")(jobs)


def fit(
    points: np.ndarray, k: int, seed: int, centres: np.ndarray | None = None
) -> KMeans:
    """One run of Lloyd's; from given centres, it uses `points` as its scratch."""
    given = centres is not None
    lloyd = KMeans(
        n_clusters=k,
        n_init=1,
        random_state=seed,
        init=centres if given else "k-means++",
        copy_x=not given,
    )
    # Two threads at most: their two sums add up to the same bits in either order,
    # those of more do not. The limit is a thread's own, so each sets it for itself.
    with threadpool_limits(limits=2, user_api="openmp"):
        return lloyd.fit(points)


def check_all_filled(points: np.ndarray, assigned: np.ndarray, k: int) -> None:
    """Raises DecError if clusters are empty since fewer points differ than clusters."""
    if len(np.unique(assigned)) == k:
        return
    different = len(np.unique(points, axis=0))
    if different < k:
        raise DecError(
            f"k-means: {len(points)} rows of which {different} differ cannot make {k} "
            "clusters: either the data is so (`dec data verify` tells) or phase 1 has "
            "learned nothing"
        )
