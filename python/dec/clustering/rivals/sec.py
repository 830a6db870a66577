"""SEC: spectral embedded clustering, on a sparse graph and an operator.

Nie, Zeng, Tsang, Xu, Zhang, Spectral Embedded Clustering: A Framework for In-Sample and
Out-of-Sample Spectral Clustering, IEEE Trans. Neural Networks 22 (2011).
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from dec.base.errors import DecError
from dec.clustering.rivals import eigen
from dec.clustering.rivals.neighbours import Neighbours, nearest, parts, warn_of_parts
from dec.clustering.rivals.rotation import STARTS, rotate

NEIGHBOURS = 5
MU = 1.0  # the middle of MUS
MUS = tuple(10.0**i for i in range(-8, 9, 2))
GAMMA = 1.0

_LEAST = 1e-6  # weight of an edge, so that no row is without neighbours
_WIDEST = 10_000  # numbers a row or, with more of them, rows: the square is factored
_COLUMNS = 64  # of a product with all rows that are there at once


class Fitted(NamedTuple):
    """What is found for n rows of d numbers in k clusters.

    assigned: n. objective: the function of that name. vectors: F, n x k. weights: W,
    d x k, and bias: b, k, turned so that the largest of x'W + b is at x's cluster.
    """

    assigned: np.ndarray
    objective: float
    vectors: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


def fit(
    rows,
    k: int,
    seed: int,
    mu: float = MU,
    gamma: float = GAMMA,
    starts: int = STARTS,
    neighbours: Neighbours | None = None,
) -> Fitted:
    """Clusters rows (n x d, array or sparse).

    F are the k smallest eigenvectors of L + mu (H - X(X'X + gamma I)^-1 X'), where L is
    `laplacian`, H the centring matrix and X the centred rows.
    neighbours: those of `neighbours_of`, if they are known. Warns where the graph is
    disconnected. Raises DecError as that does, and for rows too many and too wide.
    """
    graph = affinity(neighbours or neighbours_of(rows, k))
    count, part = parts(graph)
    if count > 1:
        warn_of_parts(part, k)
    linear = Linear(rows, gamma)
    matrix = laplacian(graph)
    vectors = _eigenvectors(matrix, graph, linear, mu, k, part, seed)
    found = objective(matrix, linear, mu, vectors)
    turned = rotate(vectors, seed, starts)
    weights, bias = linear.solve(vectors @ turned.rotation)
    bias = bias - linear.mean @ weights
    return Fitted(turned.assigned, found, vectors, weights, bias)


def neighbours_of(rows, k: int, count: int = NEIGHBOURS) -> Neighbours:
    """The neighbours of every row; DecError for no more rows than them, or than k."""
    n = rows.shape[0]
    if n < k:
        raise DecError(f"n_samples={n} rows cannot make {k} clusters")
    if n <= count:
        raise DecError(f"n_samples={n} rows cannot have {count} neighbours each")
    return nearest(rows, count)


def affinity(neighbours: Neighbours) -> sparse.csr_array:
    """The weights, n x n, of edges between a row and its neighbours.

    exp(-d^2 / (s_i s_j)), s a row's distance to its last neighbour (Zelnik-Manor and
    Perona, Self-Tuning Spectral Clustering, NIPS 2004), and 1e-6 at least, so that a
    row far from all others still belongs to its neighbours.
    """
    indices, distances = neighbours
    n, k = indices.shape
    own = distances[:, -1]
    scale = own[:, None] * own[indices]
    square = distances**2
    ratio = np.divide(square, scale, out=np.full((n, k), np.inf), where=scale > 0)
    ratio[square == 0] = 0
    weights = np.maximum(np.exp(-ratio), _LEAST)
    start = np.arange(0, n * k + 1, k)
    directed = sparse.csr_array((weights.ravel(), indices.ravel(), start), (n, n))
    return sparse.csr_array(directed.maximum(directed.T))


def laplacian(graph: sparse.csr_array) -> sparse.csr_array:
    """I - D^-1/2 A D^-1/2 of the weights A, D their sums."""
    root = sparse.diags_array(1 / np.sqrt(graph.sum(axis=1)))
    return sparse.csr_array(
        sparse.eye_array(graph.shape[0], format="csr") - root @ graph @ root
    )


def cut_vectors(
    graph: sparse.csr_array, part: np.ndarray, c: int, seed: int
) -> np.ndarray:
    """The c first eigenvectors of a graph's `laplacian`, n x c, those of the best cut.

    part: n, which connected part of the graph every row is in.
    """
    return _eigenvectors(laplacian(graph), graph, None, 0, c, part, seed)


class Linear:
    """How well vectors are told by the rows, linearly: ridge regression onto them.

    rows: n x d; gamma: of the ridge. The centred rows X are never made of sparse ones.
    X(X'X + gamma I)^-1 X' is Y Y', Y = X @ basis (d x r), and Y'Y is diagonal, `told`
    (r, rising): the share of a direction that the regression gives back.
    """

    def __init__(self, rows, gamma: float):
        n, d = rows.shape
        if min(n, d) > _WIDEST:
            raise DecError(
                f"SEC factors a square of the rows, {n:,} x {d:,}: at most {_WIDEST:,} "
                "of either; make the rows narrower first (TruncatedSVD, say)"
            )
        self.mean = np.asarray(rows.mean(axis=0, dtype=np.float64)).ravel()
        if sparse.issparse(rows):
            self._rows, self._away = sparse.csr_array(rows, dtype=np.float64), self.mean
        else:
            self._rows, self._away = rows - self.mean, None
        self.gamma = gamma
        if d <= n:
            spread, axes = np.linalg.eigh(self._inner())
            spread = np.maximum(spread, 0)
            self.basis = axes / np.sqrt(spread + gamma)
        else:
            spread, axes = np.linalg.eigh(self._outer())
            kept = spread > spread[-1] * n * np.finfo(float).eps
            spread, axes = spread[kept], axes[:, kept]
            self.basis = self.down(axes) / np.sqrt(spread * (spread + gamma))
        self.told = spread / (spread + gamma)

    def solve(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W (d x k) and b (k) of the regression of F (n x k) on the centred rows."""
        weights = self.basis @ (self.basis.T @ self.down(vectors))
        return weights, vectors.mean(axis=0)

    def across(self, weights: np.ndarray) -> np.ndarray:
        """X @ weights (d x m)."""
        product = self._rows @ weights
        return product if self._away is None else product - self._away @ weights

    def down(self, vectors: np.ndarray) -> np.ndarray:
        """X' @ vectors (n x m)."""
        product = self._rows.T @ vectors
        if self._away is None:
            return product
        return product - np.outer(self._away, vectors.sum(axis=0))

    def untold(self, vectors: np.ndarray) -> np.ndarray:
        """(H - Y Y') @ vectors: what the regression leaves."""
        told = self.across(self.basis @ (self.basis.T @ self.down(vectors)))
        return vectors - vectors.mean(axis=0) - told

    def _inner(self) -> np.ndarray:
        """X'X, d x d."""
        found = self._rows.T @ self._rows
        if self._away is None:
            return found
        return found.toarray() - self._rows.shape[0] * np.outer(self.mean, self.mean)

    def _outer(self) -> np.ndarray:
        """XX', n x n."""
        found = self._rows @ self._rows.T
        if self._away is None:
            return found
        found = found.toarray()
        found -= found.mean(axis=0)
        return found - found.mean(axis=1, keepdims=True)


def objective(
    matrix: sparse.csr_array, linear: Linear, mu: float, vectors: np.ndarray
) -> float:
    """tr F'LF + mu (|XW + 1b' - F|^2 + gamma |W|^2) at the best W and b.

    matrix: L, n x n. vectors: F, n x k.
    """
    weights, bias = linear.solve(vectors)
    away = linear.across(weights) + bias - vectors
    embedded = np.einsum("ij,ij->", vectors, matrix @ vectors)
    return float(embedded + mu * ((away**2).sum() + linear.gamma * (weights**2).sum()))


def _eigenvectors(
    matrix: sparse.csr_array,
    graph: sparse.csr_array,
    linear: Linear | None,
    mu: float,
    k: int,
    part: np.ndarray,
    seed: int,
) -> np.ndarray:
    n = matrix.shape[0]
    size = 1 + mu  # so that eigenvalues are of one size for every mu

    def apply(vectors: np.ndarray) -> np.ndarray:
        flat = vectors.reshape(n, -1)
        found = matrix @ flat
        if mu:
            found += mu * linear.untold(flat)
        return (found / size).reshape(vectors.shape)

    if eigen.is_small(n, k):
        return eigen.smallest_dense(apply(np.eye(n)), k).vectors
    roots = np.sqrt(graph.sum(axis=1))
    shifted = matrix + max(mu, 1e-6) * sparse.eye_array(n, format="csr")
    cycle = eigen.multigrid(shifted, roots, seed)
    if mu:
        cycle = _two_levels(matrix, linear, mu, cycle)
    # Of mu = 0 the first eigenvectors, and close to some where mu is small.
    first = np.argsort(-np.bincount(part), kind="stable")[: k + 1]
    start = np.stack([np.where(part == i, roots, 0) for i in first], axis=1)
    start /= np.linalg.norm(start, axis=0)
    return eigen.smallest(apply, cycle, n, k, 2.0, seed, start=start).vectors


def _two_levels(
    matrix: sparse.csr_array, linear: Linear, mu: float, cycle: eigen.Apply
) -> eigen.Apply:
    """About the inverse of L + mu (H - Y Y').

    Where the regression tells little, that is L + mu I, for which there is `cycle`. The
    directions Z that it tells for the most part are solved exactly: the matrix between
    them is Z'LZ + mu told (1 - told). Both together as in Tang, Nabben, Vuik, Erlangga,
    J. Sci. Comput. 39 (2009), "balancing".
    """
    first = int(np.searchsorted(linear.told, 0.5))
    basis, told = linear.basis[:, first:], linear.told[first:]
    if not len(told):
        return cycle
    inside = np.empty((len(told), len(told)))
    for at in range(0, len(told), _COLUMNS):
        part = matrix @ linear.across(basis[:, at : at + _COLUMNS])
        inside[:, at : at + _COLUMNS] = basis.T @ linear.down(part)
    untold = mu * told * (1 - told)
    inside = (inside + inside.T) / 2 + np.diag(untold)
    inside += np.eye(len(told)) * 1e-12 * np.trace(inside) / len(told)
    solve = functools.partial(cho_solve, cho_factor(inside))

    def apply(vectors: np.ndarray) -> np.ndarray:
        flat = vectors.reshape(len(vectors), -1)
        coarse = solve(basis.T @ linear.down(flat))
        across = linear.across(basis @ coarse)
        # Y'(H - Y Y') = (1 - told) Y'.
        left = matrix @ across + mu * linear.across(
            basis @ ((1 - told)[:, None] * coarse)
        )
        fine = cycle(flat - left)
        down = basis.T @ linear.down(matrix @ fine)
        down += mu * (1 - told)[:, None] * (basis.T @ linear.down(fine))
        found = fine + linear.across(basis @ (coarse - solve(down)))
        return found.reshape(vectors.shape)

    return apply
