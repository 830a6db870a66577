"""Clusters of the neighbour graph of a code.

The code of a digit may lie far from its cluster's mean and yet among its like. So rows
are clustered by who their neighbours are: the eigenvectors of the graph's normalised
Laplacian that vary least from neighbour to neighbour, every row scaled to length 1 (Ng,
Jordan and Weiss, On Spectral Clustering, NIPS 2001), and k-means within of these. It
takes half as many vectors again as clusters: with as many, a large gap within one class
may cost the vector that two classes are told apart by.
"""

import math

import numpy as np

from dec.base.errors import DecError
from dec.clustering.kmeans import check
from dec.clustering.rivals import neighbours, sec
from dec.clustering.within import kmeans_within

NEIGHBOURS = 20
_VECTORS = 1.5  # times the clusters


def kmeans_graph(code: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The cluster of every row, n; code: n x d.

    Warns where the graph falls into parts. Raises DecError for fewer rows than clusters
    or too few to have neighbours, and for NaN.
    """
    check(code, k)
    n = len(code)
    if k == 1:
        return np.zeros(n, np.int64)
    count = min(NEIGHBOURS, n - 1)
    if k > n - 1:
        raise DecError(
            f"{n} rows are too few for a graph that makes {k} clusters; --kmeans "
            "within needs none"
        )
    near = neighbours.nearest(code, count)
    graph = sec.affinity(near)
    parts, part = neighbours.parts(graph)
    if parts > 1:
        neighbours.warn_of_parts(part, k)
    # Of k parts, k vectors tell all there is between them.
    vectors = k if parts >= k else min(math.ceil(_VECTORS * k), n - 1)
    found = sec.cut_vectors(graph, part, vectors, seed)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    unit = np.divide(found, length, out=np.zeros_like(found), where=length > 0)
    return kmeans_within(unit, k, seed).assigned
