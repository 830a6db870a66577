"""Every row of a database once, by a solver's own test net: how training is going."""

import numpy as np


def validate(net, layers: tuple[str, str], rows: int, classes: int) -> dict:
    """Accuracy, loss and recall of each class over the net's database.

    net: a pycaffe net whose data layer goes round the database. layers: the blobs of
    scores (n x classes) and labels. rows: how many the database has.

    A batch may end in the next round; then the rest of it is not counted. So every
    row counts once, wherever the round began.
    """
    right = np.zeros(classes, int)
    total = np.zeros(classes, int)
    losses, seen = [], 0
    while seen < rows:
        net.forward()
        labels = net.blobs[layers[1]].data.ravel().astype(int)[: rows - seen]
        scores = net.blobs[layers[0]].data.reshape(-1, classes)[: len(labels)]
        losses.append(cross_entropy(scores, labels))
        found = scores.argmax(axis=1)
        total += np.bincount(labels, minlength=classes)
        right += np.bincount(labels[found == labels], minlength=classes)
        seen += len(labels)
    return {
        "accuracy": float(right.sum() / rows),
        # Rounded, as the rounds begin at different rows and add up differently.
        "loss": round(float(np.concatenate(losses).mean()), 5),
        "recall": [round(r / max(t, 1), 5) for r, t in zip(right, total, strict=True)],
    }


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log of the softmax of each row (n x classes) at its label, in float64."""
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    rest = np.log(np.exp(scores).sum(axis=1))
    return rest - scores[np.arange(len(labels)), labels]
