"""Every row of val once, by a solver's own test net: how training is going."""

from dataclasses import dataclass

import numpy as np

from dec.nets.forward import over_database


@dataclass(frozen=True)
class Validation:
    """Judges a net while it is trained (see dec.engine.training).

    layers: the blobs of scores (n x classes) and labels. counts: how many rows of each
    class the database has.
    """

    layers: tuple[str, str]
    counts: list[int]

    def measure(self, net) -> dict:
        """Accuracy, loss and recall of each class over the database of a pycaffe net.

        Every row counts once, wherever the round of the net's data layer began.
        """
        rows, classes = sum(self.counts), len(self.counts)
        right = np.zeros(classes, int)
        total = np.zeros(classes, int)
        losses = []
        for _, (scores, labels) in over_database(net, rows, self.layers):
            labels = labels.ravel().astype(int)
            scores = scores.reshape(-1, classes)
            losses.append(cross_entropy(scores, labels))
            found = scores.argmax(axis=1)
            total += np.bincount(labels, minlength=classes)
            right += np.bincount(labels[found == labels], minlength=classes)
        shares = zip(right, total, strict=True)
        return {
            "accuracy": float(right.sum() / rows),
            # Rounded, as the rounds begin at different rows and add up differently.
            "loss": round(float(np.concatenate(losses).mean()), 5),
            "recall": [round(r / max(t, 1), 5) for r, t in shares],
        }

    def score(self, found: dict) -> tuple[float, float]:
        """The accuracy; among equals the lower loss."""
        return found["accuracy"], -found["loss"]

    def words(self, found: dict) -> str:
        return f"val {found['accuracy']:.1%}"


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log of the softmax of each row (n x classes) at its label, in float64."""
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    rest = np.log(np.exp(scores).sum(axis=1))
    return rest - scores[np.arange(len(labels)), labels]
