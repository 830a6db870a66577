"""What tells how many clusters there are: numbers that look at no labels."""

from itertools import combinations

import numpy as np
from sklearn.metrics import adjusted_rand_score, silhouette_score

from dec.base.errors import DecError
from dec.clustering import starts
from dec.clustering.part import drawn

_STARTS, _RESTARTS = 6, 4  # of stability
_LOOKED_AT = 3000  # rows of the code that stability is taken of, at most
_SILHOUETTE = 2000  # which grows with the square of the rows


def losses(q: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """DEC's loss of every row, KL(p || q); q: n x k.

    sizes: k, the sums of q over the training rows, the f_j of the targets p (the
    paper's equations 3.2 and 3.3). Where p is 0 it adds nothing.
    """
    q = q.astype(np.float64)
    weight = np.divide(q * q, sizes, out=np.zeros_like(q), where=sizes > 0)
    p = weight / weight.sum(axis=1, keepdims=True)
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log(ratio)).sum(axis=1)


def generalizability(
    training: np.ndarray, validation: np.ndarray
) -> tuple[float | None, float | None]:
    """G, the mean loss of training rows / that of validation rows, and its error.

    The standard error, to first order in both means. None where there is no loss to
    speak of, or are not two rows of each.
    """
    means = training.mean(), validation.mean()
    if min(means) < 1e-9 or min(len(training), len(validation)) < 2:
        return None, None
    g = float(means[0] / means[1])
    shares = [x.var(ddof=1) / len(x) / x.mean() ** 2 for x in (training, validation)]
    return g, g * float(np.sqrt(sum(shares)))


def stability(code: np.ndarray, k: int, seed: int, start: str) -> float | None:
    """The mean adjusted Rand index of pairs of new starts; code: n x d.

    Each start is on a half of its own of the rows, at most 3,000; a pair is compared
    on the rows that it has in common. None where they cannot make k clusters.
    """
    code = code[drawn(len(code), _LOOKED_AT, seed)]
    found = np.full((_STARTS, len(code)), -1)
    for i in range(_STARTS):
        half = drawn(len(code), len(code) // 2, seed + i)
        try:
            part = starts.clusters(code[half], k, seed + i, start, _RESTARTS)
        except DecError:
            return None
        found[i, half] = part
    agreement = []
    for one, other in combinations(found, 2):
        both = (one >= 0) & (other >= 0)
        agreement.append(adjusted_rand_score(one[both], other[both]))
    return float(np.mean(agreement))


def silhouette(code: np.ndarray, assigned: np.ndarray) -> float | None:
    """The mean silhouette of some rows (2,000 at most); None for one cluster."""
    some = drawn(len(code), _SILHOUETTE, 0)
    if len(np.unique(assigned[some])) < 2:
        return None
    return float(silhouette_score(code[some], assigned[some]))
