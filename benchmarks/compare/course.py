"""The course of one training: seconds by part, and how good it was by the way."""

import time

import numpy as np

from dec.base import progress
from dec.scores.clusters import scores


class Course:
    """A clock that stands still while results are looked at."""

    def __init__(self, name: str):
        self.name = name
        self.seconds: dict[str, float] = {}
        self.points: list[dict] = []
        self._since = time.perf_counter()

    def start(self) -> None:
        """Forgets the time since the last lap."""
        self._since = time.perf_counter()

    def lap(self, part: str) -> None:
        """Books the time since the last lap on a part."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def total(self) -> float:
        return sum(self.seconds.values())

    def look(self, at: str, labels: np.ndarray, clusters: np.ndarray, k: int) -> None:
        """Scores the clusters that were known at the last lap, off the clock."""
        point = {"at": at, "seconds": self.total(), **scores(labels, clusters, k)}
        self.points.append(point)
        progress.say(
            f"{self.name}, {at}: {point['seconds']:.0f} s, "
            f"accuracy {point['acc']:.2%}, NMI {point['nmi']:.4f}"
        )
        self.start()
