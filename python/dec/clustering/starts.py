"""Clusters of a code by what phase 2 can start from."""

import warnings

import numpy as np

from dec.clustering.graph import kmeans_graph
from dec.clustering.kmeans import kmeans
from dec.clustering.within import kmeans_within

STARTS = ("within", "plain", "graph")


def clusters(
    code: np.ndarray, k: int, seed: int, start: str, restarts: int
) -> np.ndarray:
    """The cluster of every row, n; code: n x d.

    start: "within", "plain" or "graph", which has no restarts and whose warnings are
    kept quiet. Raises DecError where so many clusters cannot be made.
    """
    if start == "within":
        return kmeans_within(code, k, seed, restarts).assigned
    if start == "plain":
        return kmeans(code, k, seed, restarts)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return kmeans_graph(code, k, seed)
