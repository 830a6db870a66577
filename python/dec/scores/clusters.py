"""How well clusters agree with classes."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score


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
    table = contingency(labels, clusters, k)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def scores(labels: np.ndarray, clusters: np.ndarray, k: int) -> dict[str, float]:
    """Accuracy, NMI (by the mean of the entropies) and adjusted Rand index."""
    return {
        "acc": accuracy(labels, clusters, k),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }
