"""The smallest eigenvectors of a large symmetric matrix."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pyamg import smoothed_aggregation_solver
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, lobpcg
from sklearn.exceptions import ConvergenceWarning

from dec.base.progress import bar

DENSE = 1000  # up to as many rows, all of the matrix is factored: exact, and quick
_GUARD = 5  # vectors more than asked for: the ones asked for converge sooner
_ROUND = 10  # iterations between two looks at the residuals
_ROUNDS = 80  # at most
# The largest residual: so much of the gap to the next eigenvalue, on which it depends
# how far the vectors are off, but between those shares of the largest one asked for.
_OF_GAP, _FINEST, _COARSEST = 1e-4, 1e-7, 1e-5
_ROUNDING = 1e-13  # of a residual, in units of the matrix


def is_small(n: int, c: int) -> bool:
    """Whether to factor all of a matrix of n rows for c eigenvectors."""
    return n <= max(DENSE, 10 * (c + _GUARD))


Apply = Callable[[np.ndarray], np.ndarray]


class Pairs(NamedTuple):
    """values: c, rising. vectors: n x c, orthonormal."""

    values: np.ndarray
    vectors: np.ndarray


def smallest_dense(matrix: np.ndarray, c: int) -> Pairs:
    """The c smallest eigenvalues of a symmetric matrix, n x n, and their vectors."""
    return Pairs(*eigh(matrix, subset_by_index=[0, c - 1]))


def smallest(
    apply: Apply,
    precondition: Apply,
    n: int,
    c: int,
    scale: float,
    seed: int,
    known: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> Pairs:
    """The c smallest eigenvalues of a positive semidefinite matrix, n x n, and vectors.

    LOBPCG (Knyazev, SIAM J. Sci. Comput. 23, 2001), from random vectors. apply: the
    matrix times n x m; precondition: about its inverse times that. scale: about the
    largest eigenvalue. known: orthonormal vectors (n x p) whose eigenvalue is 0: they
    are the first of those returned. start: vectors that are close to some. Warns
    (ConvergenceWarning) where residuals stay large.
    """
    p = 0 if known is None else known.shape[1]
    wanted = c - p
    if wanted <= 0:
        return Pairs(np.zeros(c), known[:, :c])
    width = min(wanted + _GUARD, (n - p) // 5)
    vectors = np.random.default_rng(seed).normal(size=(n, width)) / np.sqrt(n)
    if start is not None:
        vectors[:, : start.shape[1]] = start[:, :width]
    operator = LinearOperator((n, n), matvec=apply, matmat=apply, dtype=np.float64)
    inverse = LinearOperator(
        (n, n), matvec=precondition, matmat=precondition, dtype=np.float64
    )
    with bar(_ROUNDS, "eigenvectors", " rounds at most") as shown:
        for _ in range(_ROUNDS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of rounds that end
                values, vectors = lobpcg(
                    operator,
                    vectors,
                    M=inverse,
                    Y=known,
                    tol=_ROUNDING * scale,
                    maxiter=_ROUND,
                    largest=False,
                )
            values, vectors = _ritz(apply, vectors, known)
            away = apply(vectors[:, :wanted]) - vectors[:, :wanted] * values[:wanted]
            residual = np.linalg.norm(away, axis=0).max()
            shown.set_postfix_str(f"residual {residual / scale:.1e}")
            shown.update()
            last = abs(values[wanted - 1])
            gap = np.min(values[wanted:] - values[wanted - 1], initial=last)
            limit = np.clip(_OF_GAP * gap, _FINEST * last, _COARSEST * last)
            limit = max(limit, _ROUNDING * scale)
            if residual <= limit:
                break
        else:
            warnings.warn(
                f"the eigenvectors have not converged: a residual of {residual:.1e} "
                f"is left, where {limit:.1e} was wanted; the clusters may differ from "
                "the exact ones in some rows",
                ConvergenceWarning,
                stacklevel=2,
            )
    values, vectors = values[:wanted], vectors[:, :wanted]
    if p:
        values = np.concatenate([np.zeros(p), values])
        vectors = np.hstack([known, vectors])
    return Pairs(values, vectors)


def multigrid(matrix: sparse.csr_array, near_null: np.ndarray, seed: int) -> Apply:
    """About the inverse of a sparse, positive definite matrix: an algebraic multigrid.

    near_null: n, what the matrix maps to about nothing. The same for a seed.
    """
    # pyamg draws from NumPy's global generator, which is the caller's.
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        levels = smoothed_aggregation_solver(
            sparse.csr_matrix(matrix), B=near_null[:, None], max_coarse=200
        )
    finally:
        np.random.set_state(state)
    cycle = levels.aspreconditioner()

    def apply(vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim == 1:
            return cycle @ vectors
        return np.stack([cycle @ v for v in vectors.T], axis=1)

    return apply


def _ritz(apply: Apply, vectors: np.ndarray, known: np.ndarray | None) -> Pairs:
    """The best pairs in the span of the vectors, at right angles to those known."""
    if known is not None:
        vectors = vectors - known @ (known.T @ vectors)
    vectors, _ = np.linalg.qr(vectors)
    small = vectors.T @ apply(vectors)
    values, turn = np.linalg.eigh((small + small.T) / 2)
    return Pairs(values, vectors @ turn)
