"""k-means on embedded points, the same for a seed on every run."""

import numpy as np
from joblib import Parallel, delayed
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from dec.errors import DecError


def kmeans(
    points: np.ndarray, k: int, seed: int, restarts: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """The best of some restarts (20 in the paper's section 4.3).

    points: n x d. Returns centres (k x d) and assignments (n).
    """
    if len(points) < k:
        raise DecError(f"{len(points)} rows cannot make {k} clusters")
    if not np.isfinite(points).all():
        raise DecError(
            "the autoencoder's code has NaN or infinity in it: phase 1 diverged; "
            "a smaller base_lr in its solvers helps"
        )
    points = points.astype(np.float64)
    # One thread a restart: sums over threads would differ from run to run.
    with threadpool_limits(limits=1, user_api="openmp"):
        fits = Parallel(n_jobs=-1, prefer="threads")(
            delayed(_fit)(points, k, seed + i) for i in range(restarts)
        )
    best = min(fits, key=lambda fit: fit.inertia_)
    return best.cluster_centers_, best.labels_


def _fit(points: np.ndarray, k: int, seed: int) -> KMeans:
    return KMeans(n_clusters=k, n_init=1, random_state=seed).fit(points)
