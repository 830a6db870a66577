"""k-means whose distances are measured by the clusters' own spread.

An autoencoder's code may be turned and stretched at will: its decoder undoes that, and
the reconstruction stays the same. Plain k-means depends on it, though. Here differences
count in units of W, the clusters' pooled covariance, and the best partition is the one
of smallest det W (Friedman and Rubin, On Some Invariant Criteria for Grouping Data,
JASA 62, 1967), the same in every basis of the code. What varies alike in all clusters,
as the slant of digits does, counts less, and what tells clusters apart counts more.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from dec.clustering.kmeans import (
    RESTARTS,
    check,
    check_all_filled,
    fit,
    rows_to_restart_on,
    run_restarts,
)

_TURNS = 100  # at most; some 10 to 40 are needed
_STILL = 1e-4  # a smaller share of rows that change cluster ends them
_ROUNDING = 1e-8  # of a variance, to another: what float32 may leave of none
_BLOCK = 65536  # rows whose products are summed in one go


class Partition(NamedTuple):
    """Of n points with d numbers into k clusters.

    centres: k x d, as the points. assigned: n. basis: d x d, symmetric; the pooled
    covariance of points @ basis is the identity. log_det: of W.
    """

    centres: np.ndarray
    assigned: np.ndarray
    basis: np.ndarray
    log_det: float


def kmeans_within(
    points: np.ndarray, k: int, seed: int, restarts: int = RESTARTS
) -> Partition:
    """The partition of smallest det W of some restarts.

    points: n x d. Every restart begins with plain k-means, of the points as they are or
    in units of the covariance of all of them. Then W of its clusters, and k-means in
    units of W from their means, take turns until next to nothing changes. Raises
    DecError as `dec.clustering.kmeans.kmeans` does.
    """
    check(points, k)
    part = rows_to_restart_on(points, seed, restarts)
    # One thread a product, so that its sums have one order on every machine.
    with threadpool_limits(limits=1, user_api="blas"):
        moments = _moments(part)
        begins = part, part @ _units(moments[1], moments[1], len(part))[0]

        def restart(i: int) -> Partition:
            begin = fit(begins[i % 2], k, seed + i)
            return _settle(part, moments, begin.labels_, k)

        best = min(run_restarts(restart, restarts), key=lambda found: found.log_det)
        if len(part) < len(points):
            points = points.astype(np.float64)
            begin = fit(points @ best.basis, k, seed, best.centres @ best.basis)
            best = _settle(points, _moments(points), begin.labels_, k)
    check_all_filled(points, best.assigned, k)
    return best


def partition(points: np.ndarray, assigned: np.ndarray, k: int) -> Partition:
    """Of clusters that are known: their means, and the units of their W.

    points: n x d, assigned: n.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        moments = _moments(points)
        centres = _means(points, assigned, k)
        within = _within(moments, centres, assigned)
        basis, log_det = _units(within, moments[1], len(points))
    return Partition(centres, assigned, basis, log_det)


def _settle(
    points: np.ndarray,
    moments: tuple[np.ndarray, np.ndarray],
    assigned: np.ndarray,
    k: int,
) -> Partition:
    """Takes turns from a partition on."""
    for _ in range(_TURNS):
        centres = _means(points, assigned, k)
        within = _within(moments, centres, assigned)
        basis, log_det = _units(within, moments[1], len(points))
        turn = fit(points @ basis, k, 0, centres @ basis)
        changed = np.mean(turn.labels_ != assigned)
        if changed < _STILL:
            break
        assigned = turn.labels_
    return Partition(centres, assigned, basis, log_det)


def _moments(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all points."""
    mean = points.mean(axis=0)
    total = np.zeros((len(mean), len(mean)))
    for at in range(0, len(points), _BLOCK):
        part = points[at : at + _BLOCK] - mean
        total += part.T @ part
    return mean, total / len(points)


def _means(points: np.ndarray, assigned: np.ndarray, k: int) -> np.ndarray:
    """The clusters' means; 0 of an empty one."""
    sizes = np.bincount(assigned, minlength=k)
    sums = [np.bincount(assigned, weights=x, minlength=k) for x in points.T]
    return np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]


def _within(
    moments: tuple[np.ndarray, np.ndarray], centres: np.ndarray, assigned: np.ndarray
) -> np.ndarray:
    """W: the covariance of all points less that of their clusters' means."""
    mean, total = moments
    share = np.bincount(assigned, minlength=len(centres)) / len(assigned)
    away = centres - mean
    return total - away.T @ (share[:, None] * away)


def _units(within: np.ndarray, total: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """W to the power of -1/2, and log det W.

    W has a little of the spread of all n points added in every direction, (d / n)^2 of
    it: few points may lie flat in their clusters by chance, and rounding is no spread.
    """
    d = len(within)
    if not np.trace(total):  # all points are one
        return np.eye(d), -np.inf
    spread = max(np.trace(total) / d, np.finfo(float).tiny)
    little = max((d / n) ** 2, _ROUNDING) * spread
    values, axes = np.linalg.eigh(within + little * np.eye(d))
    values = np.maximum(values, little)
    return (axes * values**-0.5) @ axes.T, float(np.log(values).sum())
