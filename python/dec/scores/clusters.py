"""How well clusters agree with classes."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from sklearn.metrics import mutual_info_score


def contingency(labels: np.ndarray, clusters: np.ndarray, k: int) -> np.ndarray:
    """Counts of rows, classes x clusters; labels and clusters are 0, 1, 2, ..."""
    classes = int(labels.max()) + 1
    pairs = labels.astype(np.int64) * k + clusters
    return np.bincount(pairs, minlength=classes * k).reshape(classes, k)


def match(table: np.ndarray) -> np.ndarray:
    """For every class its cluster, one to one, so that most rows agree.

    Hungarian method (the paper's equation 10). Of a class left without a
    cluster, where there are fewer clusters than classes, the entry is -1.
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = np.full(table.shape[0], -1)
    matched[rows] = columns
    return matched


def columns(metrics: dict) -> list[int]:
    """The clusters in the order of the classes that they match, the others last."""
    matched = [c for c in metrics.get("cluster_of_class", []) if c >= 0]
    return matched + [c for c in range(metrics["k"]) if c not in matched]


def class_names(metrics: dict) -> list[str]:
    """What the classes are called: their numbers, where the data has no names."""
    count = len(metrics["table"])
    names = metrics.get("classes") or []
    return [str(names[i]) if i < len(names) else str(i) for i in range(count)]


def accuracy(labels: np.ndarray, clusters: np.ndarray, k: int) -> float:
    """The share of rows in the cluster that is matched to their class."""
    return _accuracy(contingency(labels, clusters, k))


def scores(labels: np.ndarray, clusters: np.ndarray, k: int) -> dict[str, float]:
    """Accuracy, NMI (by the mean of the entropies) and adjusted Rand index.

    All from one table of counts, so that no copy of the rows' labels is sorted.
    """
    table = contingency(labels, clusters, k)
    return {"acc": _accuracy(table), "nmi": _nmi(table), "ari": _ari(table)}


def _accuracy(table: np.ndarray) -> float:
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def _nmi(table: np.ndarray) -> float:
    """1 where there is but one class and one cluster: they agree."""
    entropies = [_entropy(table.sum(axis=1)), _entropy(table.sum(axis=0))]
    if not any(entropies):
        return 1.0
    shared = mutual_info_score(None, None, contingency=csr_matrix(table))
    return float(shared / np.mean(entropies))


def _entropy(counts: np.ndarray) -> float:
    counts = counts[counts > 0].astype(np.float64)
    total = counts.sum()
    # log a - log b, not log(a / b): no digits are lost for large totals.
    return float(-np.sum(counts / total * (np.log(counts) - np.log(total))))


def _ari(table: np.ndarray) -> float:
    """Hubert and Arabie's (1985), from the counts of pairs of rows."""

    def pairs(counts: np.ndarray) -> int:
        # Ordered ones, in Python's integers: products of them overflow 64 bits.
        return sum(int(c) * (int(c) - 1) for c in counts.ravel())

    both, all_pairs = pairs(table), pairs(table.sum())
    only_class = pairs(table.sum(axis=1)) - both
    only_cluster = pairs(table.sum(axis=0)) - both
    neither = all_pairs - both - only_class - only_cluster
    if only_class == only_cluster == 0:
        return 1.0
    by_class, by_cluster = both + only_class, both + only_cluster
    return (
        2.0
        * (both * neither - only_class * only_cluster)
        / (by_class * (only_class + neither) + by_cluster * (only_cluster + neither))
    )
