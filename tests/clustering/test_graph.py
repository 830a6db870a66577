"""Clusters of the neighbour graph, and rounds that aim at them."""

import json

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, cluster, run
from sklearn.cluster import SpectralClustering
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import adjusted_rand_score

from dec.base.errors import DecError
from dec.clustering import graph as module
from dec.clustering.graph import kmeans_graph
from dec.clustering.rivals import neighbours, sec
from dec.clustering.within import kmeans_within


def test_the_vectors_are_those_of_a_dense_laplacian():
    """By LOBPCG and by float64 NumPy, up to a rotation."""
    rows = load_digits().data[:1400]
    graph = sec.affinity(neighbours.nearest(rows, 20))
    _, part = neighbours.parts(graph)
    found = sec.cut_vectors(graph, part, 15, 1)
    a = graph.toarray()
    root = 1 / np.sqrt(a.sum(axis=1))
    values, vectors = np.linalg.eigh(np.eye(len(a)) - root[:, None] * a * root)
    assert values[15] - values[14] > 1e-3
    angles = np.linalg.svd(found.T @ vectors[:, :15], compute_uv=False)
    assert angles.min() > 1 - 1e-6


def test_long_clusters_that_kmeans_cuts():
    rows, labels = make_moons(600, noise=0.06, random_state=1)
    found = kmeans_graph(rows, 2, 1)
    assert adjusted_rand_score(labels, found) > 0.98
    assert adjusted_rand_score(labels, kmeans_within(rows, 2, 1).assigned) < 0.8
    rival = SpectralClustering(2, affinity="nearest_neighbors", random_state=1)
    assert adjusted_rand_score(rival.fit_predict(rows), found) > 0.98


def test_digits():
    rows, labels = load_digits(return_X_y=True)
    found = kmeans_graph(rows, 10, 1)
    assert adjusted_rand_score(labels, found) > 0.85
    again = kmeans_graph(rows, 10, 1)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(
    "case", ["duplicates", "parts", "constant column", "few", "one"]
)
def test_edge_cases(case):
    rng = np.random.default_rng(1)
    rows = np.repeat(np.eye(3) * 9, 40, axis=0) + rng.normal(size=(120, 3)) * 0.1
    truth = np.repeat(np.arange(3), 40)
    k = 3
    if case == "duplicates":
        rows = np.repeat(rows[::2], 2, axis=0)
    elif case == "parts":
        rows *= 100
    elif case == "constant column":
        rows = np.hstack([rows, np.ones((120, 1))])
    elif case == "few":
        rows, truth = rows[::10], truth[::10]
    elif case == "one":
        k, truth = 1, np.zeros(120)
    found = kmeans_graph(rows, k, 1)
    assert len(np.unique(found)) == k
    assert adjusted_rand_score(truth, found) == 1


@pytest.mark.parametrize("case", ["NaN", "fewer rows", "as many rows"])
def test_bad_input(case):
    rows = np.random.default_rng(1).normal(size=(10, 2))
    if case == "NaN":
        rows[3, 1] = np.nan
    k = {"fewer rows": 11, "as many rows": 10}.get(case, 2)
    with pytest.raises(DecError, match="row"):
        kmeans_graph(rows, k, 1)


def test_a_run_aims_at_the_graphs_clusters_first(pretrained):
    result = cluster(pretrained, "--kmeans", "graph")
    assert result.returncode == 0, result.stderr
    folder = pretrained / "runs/blobs"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["start"] == "graph"
    away = [entry["away"] for entry in metrics["history"] if "away" in entry]
    # As long as they come nearer, or until nothing moves any more.
    assert away == [entry["away"] for entry in metrics["history"][: len(away)]]
    assert all(a - b >= 0.001 for a, b in zip(away, away[1:-1], strict=False))
    ended = metrics["history"][-1]["changed"] < 0.001 and metrics["converged"]
    assert (
        ended if len(away) == len(metrics["history"]) else away[-1] > away[-2] - 0.001
    )
    assert metrics["acc"] > 0.95
    assert metrics["k"] == CLUSTERS
    first = (folder / "assignments.csv").read_bytes()
    report = run([DEC, "report", folder], pretrained)
    assert report.returncode == 0, report.stderr
    assert "the neighbour graph of the" in (folder / "report.html").read_text()
    # A shorter run is gone on from to the same bits.
    for file in folder.glob("dec_*"):
        file.unlink()
    assert cluster(pretrained, "--kmeans", "graph", "--max-rounds", "1").returncode == 0
    assert cluster(pretrained, "--kmeans", "graph").returncode == 0
    assert (folder / "assignments.csv").read_bytes() == first


def test_too_few_rows_for_a_run(pretrained):
    result = cluster(pretrained, "--kmeans", "graphs")
    assert result.returncode == 2
    assert "graph" in result.stderr


def test_neighbours_are_as_many_as_there_are(monkeypatch):
    seen = []
    nearest = neighbours.nearest
    monkeypatch.setattr(
        module.neighbours, "nearest", lambda x, k: seen.append(k) or nearest(x, k)
    )
    kmeans_graph(np.random.default_rng(1).normal(size=(12, 2)), 2, 1)
    assert seen == [11]
