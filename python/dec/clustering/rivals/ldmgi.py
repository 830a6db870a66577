"""LDMGI: local discriminant models and global integration, on sparse matrices.

Yang, Xu, Nie, Yan, Zhuang, Image Clustering Using Local Discriminant Models and Global
Integration, IEEE Trans. Image Processing 19 (2010).
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from dec.base.errors import DecError
from dec.clustering.rivals import eigen
from dec.clustering.rivals.neighbours import Neighbours, nearest, parts, warn_of_parts
from dec.clustering.rivals.rotation import STARTS, rotate

CLIQUE = 5  # rows of a clique, the paper's k
LAMBDA = 1.0  # the middle of the paper's nine values
LAMBDAS = tuple(10.0**i for i in range(-8, 9, 2))

_BYTES = 32 << 20  # of the cliques that are made at once


class Fitted(NamedTuple):
    """assigned: n. objective: tr(G'LG). vectors: G, n x k, orthonormal columns."""

    assigned: np.ndarray
    objective: float
    vectors: np.ndarray


def fit(
    rows,
    k: int,
    seed: int,
    lam: float = LAMBDA,
    starts: int = STARTS,
    neighbours: Neighbours | None = None,
) -> Fitted:
    """Clusters rows (n x d, array or sparse).

    G are the k smallest eigenvectors of `laplacian`. Where the cliques leave parts of
    the rows without a way between them, their indicators are eigenvectors, of 0; with
    more such parts than clusters every union of parts has the objective 0, and those
    are taken whose means are close, by k-means. neighbours: those of `neighbours_of`,
    if they are known. Warns of such parts. Raises DecError as that does.
    """
    neighbours = neighbours or neighbours_of(rows, k)
    matrix = laplacian(rows, neighbours.indices, lam)
    count, part = parts(matrix)
    if count > 1:
        warn_of_parts(part, k)
    if count >= k:
        assigned = part if count == k else _join(rows, part, k, seed)
        vectors = _indicators(assigned)
        return Fitted(assigned.astype(np.int32), 0.0, vectors)
    vectors = _eigenvectors(matrix, k, part, seed)
    found = objective(matrix, vectors)
    return Fitted(rotate(vectors, seed, starts).assigned, found, vectors)


def neighbours_of(rows, k: int, clique: int = CLIQUE) -> Neighbours:
    """The rest of every row's clique; DecError for fewer rows than that, or than k."""
    n = rows.shape[0]
    if n < k:
        raise DecError(f"n_samples={n} rows cannot make {k} clusters")
    if n < clique:
        raise DecError(f"n_samples={n} rows are fewer than the {clique} of a clique")
    return nearest(rows, clique - 1)


def laplacian(rows, neighbours: np.ndarray, lam: float) -> sparse.csr_array:
    """L, n x n, the sum of the cliques' own.

    A clique is a row and its neighbours (n x k - 1). With C its rows, centred, and H
    the centring matrix, its own is H (C C' + lam I)^-1 H.
    """
    n, k = len(neighbours), neighbours.shape[1] + 1
    cliques = np.column_stack([np.arange(n, dtype=np.int32), neighbours])
    values = np.empty((n, k, k))
    step = max(1, _BYTES // (8 * k * max(1, rows.shape[1])))
    for at in range(0, n, step):
        members = cliques[at : at + step]
        block = rows[members.ravel()]
        block = block.toarray() if sparse.issparse(block) else block
        block = block.astype(np.float64).reshape(*members.shape, -1)
        block -= block.mean(axis=1, keepdims=True)
        values[at : at + step] = _local(block @ block.transpose(0, 2, 1), lam)
    across = np.broadcast_to(cliques[:, None, :], values.shape).ravel()
    down = np.repeat(cliques.ravel(), k)
    whole = sparse.coo_array((values.ravel(), (down, across)), shape=(n, n)).tocsr()
    return (whole + whole.T) / 2


def objective(matrix: sparse.csr_array, vectors: np.ndarray) -> float:
    """tr(G'LG), of which LDMGI seeks the least. vectors: G, n x k."""
    return float(np.einsum("ij,ij->", vectors, matrix @ vectors))


def _local(gram: np.ndarray, lam: float) -> np.ndarray:
    """H (C C' + lam I)^-1 H of every clique; gram: C C', n x k x k."""
    k = gram.shape[-1]
    spread, axes = np.linalg.eigh(gram)
    # What rounding leaves of no spread may be more than lam, and negative.
    spread[spread < spread[:, -1:] * k * np.finfo(float).eps] = 0
    own = (axes / (spread + lam)[:, None, :]) @ axes.transpose(0, 2, 1)
    own -= own.mean(axis=1, keepdims=True)
    return own - own.mean(axis=2, keepdims=True)


def _eigenvectors(
    matrix: sparse.csr_array, k: int, part: np.ndarray, seed: int
) -> np.ndarray:
    n = matrix.shape[0]
    # Large lam make small numbers.
    size = matrix.diagonal().mean()
    matrix = matrix / size
    if eigen.is_small(n, k):
        return eigen.smallest_dense(matrix.toarray(), k).vectors
    # L is singular; a little more on its diagonal makes it positive definite.
    shifted = matrix + 1e-6 * sparse.eye_array(n, format="csr")
    cycle = eigen.multigrid(shifted, np.ones(n), seed)
    known = _indicators(part)
    scale = abs(matrix).sum(axis=1).max()
    return eigen.smallest(matrix.__matmul__, cycle, n, k, scale, seed, known).vectors


def _indicators(assigned: np.ndarray) -> np.ndarray:
    """Of clusters, with columns of length 1: n x k."""
    sizes = np.bincount(assigned)
    found = np.zeros((len(assigned), len(sizes)))
    found[np.arange(len(assigned)), assigned] = 1 / np.sqrt(sizes[assigned])
    return found


def _join(rows, part: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k unions of the parts, by k-means of their means."""
    sizes = np.bincount(part)
    shape = len(sizes), len(part)
    take = sparse.csr_array((1 / sizes[part], (part, np.arange(len(part)))), shape)
    means = take @ rows
    lloyd = KMeans(n_clusters=k, n_init=STARTS, random_state=seed)
    with threadpool_limits(limits=2, user_api="openmp"):
        return lloyd.fit(means, sample_weight=sizes).labels_[part]
