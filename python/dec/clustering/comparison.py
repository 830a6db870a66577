"""Whether clusters are worth looking at: simple methods beside them, and signs.

All of it is computed at the end of a run, on as many of its rows as take seconds, drawn
with a fixed seed. docs/report.md says how to read it.
"""

import json
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.clustering.kmeans import kmeans
from dec.clustering.state import read_sample
from dec.clustering.within import kmeans_within
from dec.data import leveldb
from dec.engine.runs import Run, read_metrics
from dec.scores.clusters import scores

NUMBERS = 4_000_000  # of all rows that simple methods get, at most
_LEAST = 1000  # rows that they get however long these are,
_EACH = 10  # and as many for each cluster
_DIMENSIONS = 10  # of the code, and so of PCA
_RESTARTS = 8  # of k-means on the rows; half of what it would be on the code
SIGNS = 2000  # rows that these are taken of: silhouettes grow with their square
_HALVES = 10
_HALF_RESTARTS = 4


def add_to_metrics(
    run: Run, database: Path, assigned: np.ndarray, labels: np.ndarray | None
) -> None:
    """Adds "comparison" and "signs" to a run's metrics.json, and the time they took.

    assigned, labels: n each, of all rows of the database.
    """
    begun = time.monotonic()
    metrics = read_metrics(run.path)
    k, seed = metrics["k"], metrics["seed"]
    found = simple_methods(database, assigned, labels, k, seed)
    rows, end = read_sample(run.path, "end", SIGNS)
    start = read_sample(run.path, "round_0", SIGNS)[1] if metrics["rounds"] else end
    metrics["comparison"] = found
    metrics["signs"] = signs(start, end, assigned[rows], k, seed)
    metrics["seconds"]["compare"] = round(time.monotonic() - begun, 1)
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def simple_methods(
    database: Path,
    assigned: np.ndarray,
    labels: np.ndarray | None,
    k: int,
    seed: int,
) -> dict:
    """k-means on the rows, and PCA with `within`, as many clusters as the run's.

    assigned, labels: n each, of all rows of the database. Returns

        rows      on how many rows, of n
        methods   of each: method, agreement (the adjusted Rand index of its clusters
                  and the run's, on these rows) and, with labels, acc, nmi, ari
        run       with labels: the run's own acc, nmi, ari on these rows

    Methods that cannot be had (fewer rows differ than clusters) are left out, and that
    is said.
    """
    with leveldb.open_reader(database) as reader:
        chosen = _sample(reader.rows, rows_compared(reader.rows, reader.width, k))
        rows = _read(reader, chosen)
    here = assigned[chosen]
    truth = None if labels is None else labels[chosen]
    methods = []
    for name, cluster in (
        ("k-means on the rows", _kmeans),
        ("PCA + k-means within", _pca_within),
    ):
        try:
            found = cluster(rows, k, seed)
        except DecError as error:
            progress.say(f"comparison: simple methods are left out: {error}")
            break
        agreement = float(adjusted_rand_score(here, found))
        entry = {"method": name, "agreement": agreement}
        methods.append(entry | _scores(truth, found, k))
    facts = {"rows": len(chosen), "methods": methods}
    return facts if truth is None else {**facts, "run": _scores(truth, here, k)}


def signs(
    start: np.ndarray, end: np.ndarray, assigned: np.ndarray, k: int, seed: int
) -> dict:
    """What tells without labels whether to trust the clusters.

    start, end: the code of some rows before and after phase 2, m x d each. assigned:
    m, their clusters at the end. Returns

        rows               m
        silhouette         of the clusters in the code at the end, the mean over at
                           most 2,000 rows (Rousseeuw, Journal of Computational and
                           Applied Mathematics 20, 1987); None for one cluster
        silhouette_start   of the same clusters in the code before phase 2, which
                           nothing has driven apart
        stability          the mean adjusted Rand index of the run's clusters and those
                           that `within` finds in the start code of halves of the rows,
                           drawn at random, ten times; None where halves are too few

    Clusters that lie in the data come out of every half of it; those that a start or a
    few rows decide do not (Ben-Hur, Elisseeff, Guyon, A Stability Based Method for
    Discovering Structure in Clustered Data, PSB 2002).
    """
    return {
        "rows": len(assigned),
        "silhouette": _silhouette(end, assigned),
        "silhouette_start": _silhouette(start, assigned),
        "stability": _stability(start, assigned, k, seed),
    }


def rows_compared(n: int, width: int, k: int) -> int:
    """How many of n rows of `width` numbers the simple methods get, for k clusters."""
    return min(n, max(NUMBERS // width, _LEAST, _EACH * k))


def _sample(n: int, count: int) -> np.ndarray:
    if count == n:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, count, replace=False))


def _read(reader: leveldb.Reader, chosen: np.ndarray) -> np.ndarray:
    if len(chosen) == reader.rows:
        return reader.read()[0]
    rows = np.empty((len(chosen), reader.width), np.float32)
    for i, row in enumerate(chosen.tolist()):
        rows[i] = reader.read(row, row + 1)[0]
    return rows


def _kmeans(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    return kmeans(rows, k, seed, _RESTARTS)[1]


def _pca_within(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    d = min(_DIMENSIONS, *rows.shape)
    # One thread a product, so that its sums have one order on every machine.
    with threadpool_limits(limits=1, user_api="blas"):
        code = PCA(d, random_state=seed).fit_transform(rows)
    return kmeans_within(code, k, seed).assigned


def _scores(labels: np.ndarray | None, found: np.ndarray, k: int) -> dict:
    return {} if labels is None else scores(labels, found, k)


def _silhouette(code: np.ndarray, assigned: np.ndarray) -> float | None:
    if not 1 < len(np.unique(assigned)) < len(assigned):
        return None
    return float(silhouette_score(code, assigned))


def _stability(
    start: np.ndarray, assigned: np.ndarray, k: int, seed: int
) -> float | None:
    rng = np.random.default_rng(seed)
    half = len(start) // 2
    if k == 1 or half < _EACH * k or len(np.unique(start, axis=0)) < k:
        return None
    found = []
    for i in range(_HALVES):
        rows = np.sort(rng.choice(len(start), half, replace=False))
        try:
            part = kmeans_within(start[rows], k, seed + i, _HALF_RESTARTS)
        except DecError:  # too few of these rows differ
            return None
        found.append(adjusted_rand_score(assigned[rows], part.assigned))
    return float(np.mean(found))
