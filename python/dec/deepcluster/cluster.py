"""Features to clusters: PCA, whitening, unit length, k-means; over blocks of rows.

Nothing here needs all features in memory: they are float32 in a memory map, and are
read in blocks. What is in memory is their projection, n x pca.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from dec.base.errors import DecError

BLOCK = 8192  # rows
_LEAST = 1e-10  # of the largest variance: below, a direction is rounding
SHARPNESS = 25.0  # of Sinkhorn's probabilities: 1 / 0.04, about SeLa's


@dataclass(frozen=True)
class Projection:
    """PCA with whitening, then unit length: from d numbers a row to p.

    mean: d. axes: d x p, float64; the variance of rows on each is 1.
    """

    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, p: int) -> "Projection":
        """Of n x d features, to p numbers, or as many as differ at all, if fewer.

        Sums are float64. Raises DecError for NaN, and where all rows are the same.
        """
        n, d = features.shape
        sums, second = np.zeros(d), np.zeros((d, d))
        # Away from about their mean, so that one pass over them is as exact as two.
        about = np.array(features[:BLOCK], np.float64).mean(axis=0)
        for block in _blocks(features):
            block -= about
            sums += block.sum(axis=0)
            second += block.T @ block
        if not np.isfinite(sums).all():
            raise DecError("NaN or infinity in the features: training diverged")
        apart, mean = sums / n, about + sums / n
        variances, vectors = np.linalg.eigh(second / n - np.outer(apart, apart))
        variances, vectors = variances[::-1], vectors[:, ::-1]
        # Rounding leaves variances of features that are all the same, too.
        floor = max(variances[0] * _LEAST, 1e-12 * float(mean @ mean) / d)
        rank = int((variances > floor).sum())
        if rank == 0:
            raise DecError(
                "all images have the same features: the images are all alike, or the "
                "net tells them apart by nothing"
            )
        p = min(p, rank)
        return cls(mean, vectors[:, :p] / np.sqrt(variances[:p]))

    def rows(self, features: np.ndarray) -> np.ndarray:
        """float32, n x p, of unit length (a row at the mean stays 0)."""
        out = np.empty((len(features), self.axes.shape[1]), np.float32)
        at = 0
        for block in _blocks(features):
            projected = (block - self.mean) @ self.axes
            length = np.linalg.norm(projected, axis=1, keepdims=True)
            out[at : at + len(block)] = projected / np.where(length > 0, length, 1)
            at += len(block)
        return out


def _blocks(features: np.ndarray):
    """Blocks of rows, float64, the caller's own."""
    for at in range(0, len(features), BLOCK):
        yield np.array(features[at : at + BLOCK], np.float64)


@dataclass(frozen=True)
class Clusters:
    """assigned: n. centres: k x p. sse: the mean squared distance to them. empty:
    clusters without rows, which is so where fewer rows differ than k. split: clusters
    that were empty and got half of the largest.
    """

    assigned: np.ndarray
    centres: np.ndarray
    sse: float
    empty: int
    split: int


def kmeans(points: np.ndarray, k: int, seed: int, iterations: int) -> Clusters:
    """One run of Lloyd's from k random rows, float32.

    Raises DecError for fewer rows than clusters.
    """
    if len(points) < k:
        raise DecError(f"{len(points):,} images cannot make {k:,} clusters")
    lloyd = KMeans(
        k,
        init="random",
        n_init=1,
        max_iter=iterations,
        tol=0,
        random_state=seed,
        algorithm="lloyd",
    )
    # Two threads at most: their two sums add up to the same bits in either order.
    with warnings.catch_warnings(), threadpool_limits(limits=2, user_api="openmp"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # of equal rows: see split
        lloyd.fit(points)
    centres = lloyd.cluster_centers_
    return _made(points, nearest(points, centres), centres)


def equal_sizes(points: np.ndarray, centres: np.ndarray, rounds: int = 50) -> Clusters:
    """Clusters of (nearly) one size: rows go where balanced probabilities are highest.

    Sinkhorn-Knopp on exp(SHARPNESS * point . centre), as SeLa does it (Asano,
    Rupprecht, Vedaldi, "Self-labelling via simultaneous clustering and representation
    learning", ICLR 2020), in blocks: n x k numbers are never in memory.
    """
    k = len(centres)
    bias = np.zeros(k)
    for _ in range(rounds):
        sums = np.zeros(k)
        for logits in _logits(points, centres, bias):
            sums += _softmax(logits).sum(axis=0)
        step = np.log(len(points) / k) - np.log(np.maximum(sums, 1e-30))
        bias += step
        if np.abs(step).max() < 1e-3:
            break
    assigned = np.concatenate(
        [logits.argmax(axis=1) for logits in _logits(points, centres, bias)]
    )
    return _made(points, assigned, centres, renew=True)


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The number of the centre nearest to each point (the first of equals)."""
    half = (centres.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    found = np.empty(len(points), np.int64)
    for at in range(0, len(points), BLOCK):
        scores = points[at : at + BLOCK] @ centres.T.astype(np.float32) - half
        found[at : at + BLOCK] = scores.argmax(axis=1)
    return found


def _logits(points, centres, bias):
    for at in range(0, len(points), BLOCK):
        scores = points[at : at + BLOCK].astype(np.float64) @ centres.T
        yield SHARPNESS * scores + bias


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _made(points, assigned, centres, renew=False) -> Clusters:
    assigned, changed = split_largest(points, assigned, len(centres))
    centres = np.array(centres, np.float32)
    for cluster in range(len(centres)) if renew else sorted(set(changed)):
        own = points[assigned == cluster]
        if len(own):
            centres[cluster] = own.mean(axis=0, dtype=np.float64)
    sse = _sse(points, assigned, centres)
    empty = int((np.bincount(assigned, minlength=len(centres)) == 0).sum())
    return Clusters(assigned, centres, sse, empty, len(changed) // 2)


def sse_of(points: np.ndarray, assigned: np.ndarray, k: int) -> float:
    """The mean squared distance of points to the means of their clusters."""
    sums = np.zeros((k, points.shape[1]))
    np.add.at(sums, assigned, points)
    sizes = np.bincount(assigned, minlength=k)[:, None]
    return _sse(points, assigned, (sums / np.maximum(sizes, 1)).astype(np.float32))


def _sse(points: np.ndarray, assigned: np.ndarray, centres: np.ndarray) -> float:
    sse = 0.0
    for at in range(0, len(points), BLOCK):
        apart = points[at : at + BLOCK] - centres[assigned[at : at + BLOCK]]
        sse += float(np.einsum("ij,ij->", apart, apart, dtype=np.float64))
    return sse / len(points)


def split_largest(
    points: np.ndarray, assigned: np.ndarray, k: int
) -> tuple[np.ndarray, list[int]]:
    """Every empty cluster gets half of the largest one that can be split.

    Its rows are halved at their mean, along the number in which they differ most.
    Returns the clusters of all rows, and the largest and the empty one of every split.
    """
    assigned = np.array(assigned, np.int64)
    sizes = np.bincount(assigned, minlength=k)
    changed: list[int] = []
    alike = np.zeros(k, bool)  # clusters of equal rows
    for empty in np.flatnonzero(sizes == 0):
        while True:
            largest = int(np.where(alike, 0, sizes).argmax())
            if sizes[largest] < 2 or alike[largest]:
                return assigned, changed
            rows = np.flatnonzero(assigned == largest)
            own = points[rows].astype(np.float64)
            axis = int(own.var(axis=0).argmax())
            above = own[:, axis] > own[:, axis].mean()
            if above.any():
                break
            alike[largest] = True
        assigned[rows[above]] = empty
        sizes = np.bincount(assigned, minlength=k)
        changed += [largest, int(empty)]
    return assigned, changed


def uniform_order(
    assigned: np.ndarray, k: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """The images of an epoch: `draws` numbers, as many of each cluster, shuffled.

    Of a cluster with fewer images than its share some are drawn again and again.
    """
    order = np.argsort(assigned, kind="stable")
    ends = np.cumsum(np.bincount(assigned, minlength=k))
    parts = [p for p in np.split(order, ends[:-1]) if len(p)]
    share = draws // len(parts) + 1
    chosen = [rng.choice(part, share, replace=len(part) < share) for part in parts]
    return rng.permutation(np.concatenate(chosen))[:draws]
