"""The nearest neighbours of every row, and the parts that a graph falls into."""

import warnings
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from dec.base.progress import bar

_BLOCK = 4096  # rows that are looked up in one go


class Neighbours(NamedTuple):
    """indices, distances: n x k, the nearest first; a row is not its own neighbour."""

    indices: np.ndarray
    distances: np.ndarray


def nearest(rows, k: int) -> Neighbours:
    """The k nearest neighbours of every row (n x d, array or sparse; n > k), exactly.

    Euclidean distances; sparse rows as CSR. Equal rows are neighbours of each other.
    """
    n = rows.shape[0]
    if sparse.issparse(rows):  # scikit-learn searches none with indices of 64 bits
        short = (part.astype(np.int32) for part in (rows.indices, rows.indptr))
        rows = sparse.csr_array((rows.data, *short), rows.shape)
    search = NearestNeighbors(n_neighbors=k, n_jobs=-1).fit(rows)
    indices = np.empty((n, k), np.int32)
    distances = np.empty((n, k))
    with bar(n, "neighbours", " rows") as shown:
        for at in range(0, n, _BLOCK):
            own = np.arange(at, min(at + _BLOCK, n))
            # One more, since a row finds itself; among equal rows, it need not.
            found = search.kneighbors(rows[at : at + _BLOCK], k + 1)
            others = _without(found[1], own)
            indices[own] = np.take_along_axis(found[1], others, axis=1)
            distances[own] = np.take_along_axis(found[0], others, axis=1)
            shown.update(len(own))
    return Neighbours(indices, distances)


def _without(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Where in found (m x k + 1) a row's neighbours are: m x k, itself left out."""
    m, width = found.shape
    itself = found == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    return np.nonzero(~itself)[1].reshape(m, width - 1)


def parts(graph: sparse.spmatrix) -> tuple[int, np.ndarray]:
    """How many parts without a way between them a graph has, and every row's (n)."""
    count, of_row = connected_components(graph, directed=False)
    return int(count), of_row


def warn_of_parts(part: np.ndarray, k: int) -> None:
    """Says that the neighbour graph is disconnected; part: that of every row (n)."""
    sizes = np.sort(np.bincount(part))[::-1]
    largest = ", ".join(f"{size:,}" for size in sizes[:5])
    more = ", …" if len(sizes) > 5 else ""
    words = (
        f"the neighbour graph falls into {len(sizes):,} parts ({largest}{more} rows)"
    )
    if len(sizes) > k:
        words += f", more than the {k} clusters"
    warnings.warn(
        f"{words}: small parts may become clusters of their own; more neighbours join "
        "parts, and many equal rows make them",
        UserWarning,
        stacklevel=3,
    )
