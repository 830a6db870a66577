"""How well predicted classes agree with the actual ones."""

import math

import numpy as np

_TINY = 1e-30


def measure(proba: np.ndarray, labels: np.ndarray) -> dict:
    """Accuracy with its 95% interval, loss, table and scores of each class.

    proba: n x classes. table: actual classes x predicted ones.
    """
    classes = proba.shape[1]
    predicted = proba.argmax(axis=1)
    pairs = labels.astype(int) * classes + predicted
    table = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    right, n = int(np.trace(table)), len(labels)
    own = proba[np.arange(n), labels]
    return {
        "n": n,
        "right": right,
        "accuracy": right / n,
        "interval": interval(right, n),
        "loss": float(-np.log(np.maximum(own, _TINY)).mean()),
        "table": table.tolist(),
        "recall": [_share(table[i, i], table[i].sum()) for i in range(classes)],
        "precision": [_share(table[i, i], table[:, i].sum()) for i in range(classes)],
    }


def interval(right: int, n: int, z: float = 1.959964) -> list[float]:
    """Wilson's 95% confidence interval of a share, right of n.

    E. B. Wilson, Probable inference, the law of succession, and statistical
    inference, Journal of the American Statistical Association 22 (1927).
    """
    p = right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _share(part, whole) -> float | None:
    return float(part / whole) if whole else None
