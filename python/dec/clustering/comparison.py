"""Whether clusters are worth looking at: simple methods beside them, and signs.

All of it is computed at the end of a run, on as many of its rows as take seconds, drawn
with a fixed seed. docs/report.md says how to read it.
"""

import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.clustering import starts
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
_FEW = 5  # rows of a cluster in a half, of fewer of which nothing is told


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
    by = metrics.get("start", "within")
    metrics["signs"] = signs(start, end, assigned[rows], k, seed, by)
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
    start: np.ndarray,
    end: np.ndarray,
    assigned: np.ndarray,
    k: int,
    seed: int,
    by: str = "within",
) -> dict:
    """What tells without labels whether to trust the clusters.

    start, end: the code of some rows before and after phase 2, m x d each. assigned:
    m, their clusters at the end. by: what starts anew, as phase 2 was started. Returns

        rows               m
        silhouette         of the clusters in the code at the end, the mean over at
                           most 2,000 rows (Rousseeuw, Journal of Computational and
                           Applied Mathematics 20, 1987); None for one cluster
        silhouette_start   of the same clusters in the code before phase 2, which
                           nothing has driven apart
        stability          the mean adjusted Rand index of the run's clusters and those
                           of new starts in the start code of halves of the rows,
                           drawn at random, ten times; None where halves are too few
        starts             how many new starts, and by what
        merged, split      clusters of the run that some of them join or cut in two
                           (`doubts`), in how many

    Clusters that lie in the data come out of every half of it; those that a start or a
    few rows decide do not (Ben-Hur, Elisseeff, Guyon, A Stability Based Method for
    Discovering Structure in Clustered Data, PSB 2002).
    """
    found = {
        "rows": len(assigned),
        "silhouette": _silhouette(end, assigned),
        "silhouette_start": _silhouette(start, assigned),
        "stability": None,
    }
    halves = _anew(start, k, seed, by)
    if not halves:
        return found
    agreement = [adjusted_rand_score(assigned[rows], part) for rows, part in halves]
    found["stability"] = float(np.mean(agreement))
    tables = [
        np.bincount(assigned[rows] * k + part, minlength=k * k).reshape(k, k)
        for rows, part in halves
    ]
    return found | {"starts": {"number": len(halves), "by": by}, **doubts(tables)}


def doubts(tables: list[np.ndarray]) -> dict[str, list[dict]]:
    """Which clusters new starts join or cut in two, and in how many of them.

    tables: of every start, the run's clusters x its own, counts of rows (k x k). It
    joins two clusters if one of its own has half of the rows of each, or more; it cuts
    one in two if two of its own have a quarter of its rows or more, and have at least
    half of their own rows from it. The most frequent first.
    """
    merged: dict[tuple[int, int], int] = {}
    split: dict[int, int] = {}
    for table in tables:
        sizes = table.sum(axis=1, keepdims=True)
        told = sizes >= _FEW
        of_run = np.where(told, table / np.maximum(sizes, 1), 0)
        of_start = table / np.maximum(table.sum(axis=0, keepdims=True), 1)
        joined = [np.flatnonzero(column).tolist() for column in (of_run >= 0.5).T]
        for pair in {pair for own in joined for pair in combinations(own, 2)}:
            merged[pair] = merged.get(pair, 0) + 1
        pieces = ((of_run >= 0.25) & (of_start >= 0.5)).sum(axis=1)
        for cluster in np.flatnonzero(pieces >= 2).tolist():
            split[cluster] = split.get(cluster, 0) + 1
    return {
        "merged": [{"clusters": list(x), "starts": n} for x, n in _often(merged)],
        "split": [{"cluster": x, "starts": n} for x, n in _often(split)],
    }


def _often(counts: dict) -> list[tuple]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


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


def _anew(
    start: np.ndarray, k: int, seed: int, by: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Halves of the rows, by their numbers, and the clusters of each by a new start.

    None at all where halves are too few, or too few of their rows differ.
    """
    rng = np.random.default_rng(seed)
    half = len(start) // 2
    if k == 1 or half < _EACH * k or len(np.unique(start, axis=0)) < k:
        return []
    found = []
    for i in range(_HALVES):
        rows = np.sort(rng.choice(len(start), half, replace=False))
        try:
            part = starts.clusters(start[rows], k, seed + i, by, _HALF_RESTARTS)
        except DecError:
            return []
        found.append((rows, part))
    return found
