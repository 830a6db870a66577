"""k-means, LDMGI and SEC as the commands run them: on rows, with one parameter each."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dec.base.errors import DecError
from dec.base.progress import say


@dataclass(frozen=True)
class Method:
    """name: as the tables say it. parameter: its name, and its value by default.

    neighbours: looked up once for all values of the parameter. cluster: of rows,
    neighbours, k, seed and value makes assignments (n) and objective.
    """

    name: str
    cluster: Callable[..., tuple[np.ndarray, float | None]]
    neighbours: Callable | None = None
    parameter: str | None = None
    default: float | None = None


def find(key: str) -> Method:
    """The method of a command; heavy imports are made here."""
    return {"kmeans": _kmeans, "ldmgi": _ldmgi, "sec": _sec}[key]()


def finite(rows: np.ndarray) -> np.ndarray:
    """The rows (n x d); DecError for NaN or infinity."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise DecError(f"row {bad[0]} has NaN or infinity in it")
    return rows


def with_warnings(work: Callable[[], tuple], noted: list[str]) -> tuple:
    """Does the work; what it warns of is said, and added to `noted`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = work()
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            say(f"note: {warning.message}")
            noted.append(str(warning.message))
    return found


def _kmeans() -> Method:
    from dec.clustering.kmeans import kmeans

    def cluster(rows, neighbours, k, seed, value):
        return kmeans(rows, k, seed)[1], None

    return Method("k-means", cluster)


def _ldmgi() -> Method:
    from dec.clustering.rivals import ldmgi

    def cluster(rows, neighbours, k, seed, value):
        return ldmgi.fit(rows, k, seed, value, neighbours=neighbours)[:2]

    return Method("LDMGI", cluster, ldmgi.neighbours_of, "lambda", ldmgi.LAMBDA)


def _sec() -> Method:
    from dec.clustering.rivals import sec

    def cluster(rows, neighbours, k, seed, value):
        return sec.fit(rows, k, seed, value, neighbours=neighbours)[:2]

    return Method("SEC", cluster, sec.neighbours_of, "mu", sec.MU)
