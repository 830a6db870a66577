"""k-means on embedded points, the same for a seed on every run."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from dec.errors import DecError
from dec.progress import say

# Above as many rows the restarts see a part of them, and the best goes on on all: to
# the same inertia in a third of the time. With so few numbers a row, scikit-learn's
# MiniBatchKMeans is slower than a pass over all rows, and worse.
LARGE = 1_000_000
SAMPLE = 200_000


def kmeans(
    points: np.ndarray, k: int, seed: int, restarts: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """The best of some restarts (20 in the paper's section 4.3).

    points: n x d. Returns centres (k x d) and assignments (n). Raises DecError when
    there are fewer rows, or fewer different ones, than clusters, and for NaN.
    """
    if len(points) < k:
        raise DecError(f"{len(points)} rows cannot make {k} clusters")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise DecError(f"k-means: row {bad[0]} has NaN or infinity in it")
    sampled = rows_of_restarts(len(points)) < len(points)
    fit = _best(_sample(points, seed) if sampled else points, k, seed, restarts)
    if sampled:
        say(
            f"k-means   {restarts} restarts on {SAMPLE:,} of the {len(points):,} rows, "
            "the best of them on all"
        )
        fit = _fit(points.astype(np.float64), k, seed, fit.cluster_centers_)
    if len(np.unique(fit.labels_)) < k:
        _check_different(points, k)
    return fit.cluster_centers_, fit.labels_


def rows_of_restarts(n: int) -> int:
    """On how many of n rows the restarts are run."""
    return n if n <= LARGE else SAMPLE


def _best(points: np.ndarray, k: int, seed: int, restarts: int) -> KMeans:
    points = points.astype(np.float64)
    fits = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_fit)(points, k, seed + i) for i in range(restarts)
    )
    return min(fits, key=lambda fit: fit.inertia_)


def _fit(
    points: np.ndarray, k: int, seed: int, centres: np.ndarray | None = None
) -> KMeans:
    """One run of Lloyd's; from given centres, it uses `points` as its scratch."""
    given = centres is not None
    fit = KMeans(
        n_clusters=k,
        n_init=1,
        random_state=seed,
        init=centres if given else "k-means++",
        copy_x=not given,
    )
    # Two threads at most: their two sums add up to the same bits in either order,
    # those of more do not. The limit is a thread's own, so each sets it for itself.
    with threadpool_limits(limits=2, user_api="openmp"):
        return fit.fit(points)


def _sample(points: np.ndarray, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).choice(len(points), SAMPLE, replace=False)
    return points[np.sort(rows)]  # in the order of memory


def _check_different(points: np.ndarray, k: int) -> None:
    different = len(np.unique(points, axis=0))
    if different < k:
        raise DecError(
            f"k-means: {len(points)} rows of which {different} differ cannot make {k} "
            "clusters: either the data is so (`dec data verify` tells) or phase 1 has "
            "learned nothing"
        )
