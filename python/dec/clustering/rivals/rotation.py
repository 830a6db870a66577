"""Eigenvectors to clusters: spectral rotation.

Eigenvectors are given up to a rotation only; it is chosen so that the rows come as
close as can be to indicators of clusters (Yu and Shi, Multiclass Spectral Clustering,
ICCV 2003).
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

STARTS = 20  # as DEC's k-means has, and as the paper gives every method
_TURNS = 200  # at most
_STILL = 1e-12  # a smaller gain, in parts of the closeness, ends the turns


def closeness(vectors: np.ndarray, assigned: np.ndarray) -> float:
    """How close rows (n x k) can be rotated to the indicators of clusters (n).

    The largest sum, over rotations R, of the entries of `vectors` @ R that are those of
    the rows' clusters: the sum of the singular values of indicators' x vectors. n for
    unit rows that are indicators, rotated.
    """
    return float(np.linalg.svd(_sums(vectors, assigned), compute_uv=False).sum())


class Rotated(NamedTuple):
    """assigned: n (int32), where the largest of a row's numbers is. rotation: k x k."""

    assigned: np.ndarray
    rotation: np.ndarray


def rotate(vectors: np.ndarray, seed: int, starts: int = STARTS) -> Rotated:
    """The rotation that is the best of some starts; vectors: n x k.

    Rows are scaled to length 1. A start takes a row by chance for the first direction,
    then rows that are least like those before. Then the clusters of a rotation and
    the best rotation for them take turns. Where `vectors` is itself rotated, the
    clusters are the same.
    """
    unit = _unit(vectors)
    random = np.random.default_rng(seed)
    best, most = None, -np.inf
    # Sums of one order, whatever the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(starts):
            found, close = _settle(unit, _start(unit, random))
            if best is None or close > most * (1 + _STILL):
                best, most = found, close
    return best


def _settle(unit: np.ndarray, rotation: np.ndarray) -> tuple[Rotated, float]:
    """Takes turns from a rotation on; what is found, and its closeness."""
    most = -np.inf
    for _ in range(_TURNS):
        assigned = (unit @ rotation).argmax(axis=1).astype(np.int32)
        left, values, right = np.linalg.svd(_sums(unit, assigned))
        if values.sum() <= most + _STILL * len(unit):
            break
        most = float(values.sum())
        rotation = (left @ right).T
    return Rotated(assigned, rotation), most


def _start(unit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    k = unit.shape[1]
    rotation = np.empty((k, k))
    like = np.zeros(len(unit))
    row = int(random.integers(len(unit)))
    for i in range(k):
        rotation[:, i] = unit[row]
        like += np.abs(unit @ rotation[:, i])
        # Of rows that are equally little like them, the first, however they round.
        row = int(np.flatnonzero(like <= like.min() + 1e-9)[0])
    return rotation


def _sums(vectors: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """indicators' x vectors: k x k."""
    k = vectors.shape[1]
    sums = [np.bincount(assigned, weights=x, minlength=k) for x in vectors.T]
    return np.stack(sums, axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
