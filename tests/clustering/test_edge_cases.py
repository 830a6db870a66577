"""Phase 2 on data that is odd: a clear error or a sensible result."""

import json
import shutil

import numpy as np
import plyvel
import pytest
from caffe.proto import caffe_pb2
from conftest import (
    CLUSTERS,
    DEC,
    ROWS,
    WIDTH,
    assert_clear_error,
    blobs,
    cluster,
    run,
)
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from dec.clustering.phase2 import target_distribution
from dec.data.leveldb import write_rows
from dec.scores.clusters import scores

RUN = "runs/blobs"
TOTAL = "data/blobs_total"


def outcome(folder):
    return json.loads((folder / RUN / "metrics.json").read_text())


def set_total(folder, rows, labels=None):
    shutil.rmtree(folder / TOTAL)
    write_rows(folder / TOTAL, rows, labels)


def spoil(path, row, number):
    """Puts a number into a row of a LevelDB, which `write_rows` would refuse."""
    with plyvel.DB(str(path)) as db:
        key = b"%08d" % row
        datum = caffe_pb2.Datum.FromString(db.get(key))
        datum.float_data[2] = number
        db.put(key, datum.SerializeToString())


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_targets_are_the_papers_to_the_bit_in_blocks_or_not(k, monkeypatch):
    from dec.clustering import phase2

    q = np.random.default_rng(k).random((1000, k), dtype=np.float32) ** 4
    q /= q.sum(axis=1, keepdims=True)
    whole = q.astype(np.float64)
    weight = whole**2 / whole.sum(axis=0)
    wanted = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    for block in (1, 64, 1000, 65536):
        monkeypatch.setattr(phase2, "_BLOCK", block)
        assert np.array_equal(target_distribution(q), wanted)


def test_targets_of_a_cluster_that_nothing_belongs_to():
    q = np.array([[0.75, 0, 0.25], [0.5, 0, 0.5]], np.float32)
    p = target_distribution(q)
    assert np.isfinite(p).all() and not p[:, 1].any()
    assert p.sum(axis=1) == pytest.approx([1, 1])
    tiny = np.array([[1, 1e-40], [1, 0]], np.float32)
    assert np.isfinite(target_distribution(tiny)).all()


@pytest.mark.parametrize("n", [1, 2, 30, 40_000])
def test_scores_from_counts_are_scikit_learns_from_rows(n):
    rng = np.random.default_rng(n)
    for classes, k in ((1, 1), (1, 4), (4, 1), (3, 3), (5, 3), (3, 8)):
        labels = rng.integers(0, classes, n)
        clusters = np.where(rng.random(n) < 0.7, labels % k, rng.integers(0, k, n))
        found = scores(labels, clusters, k)
        assert found["nmi"] == normalized_mutual_info_score(labels, clusters)
        assert found["ari"] == adjusted_rand_score(labels, clusters)


def test_a_cluster_that_empties(pretrained):
    result = cluster(pretrained, "--max-rounds", "1", "--tol", "0")
    assert result.returncode == 0, result.stderr
    model = pretrained / RUN / "dec_round_1.caffemodel"
    net = caffe_pb2.NetParameter.FromString(model.read_bytes())
    (loss,) = (layer for layer in net.layer if layer.name == "loss")
    centres = np.array(loss.blobs[0].data).reshape(2, CLUSTERS)
    centres[:, 1] = 1e8  # far from every point
    loss.blobs[0].data[:] = centres.ravel()
    model.write_bytes(net.SerializeToString())
    result = cluster(pretrained, "--max-rounds", "4", "--tol", "0")
    assert result.returncode == 0, result.stderr
    assert "goes on after round 1" in result.stderr
    metrics = outcome(pretrained)
    assert metrics["rounds"] == 4 and metrics["cluster_sizes"][1] == 0
    assert all(np.isfinite(entry["loss"]) for entry in metrics["history"])


def test_one_cluster(pretrained):
    result = cluster(pretrained, "--clusters", "1")
    assert result.returncode == 0, result.stderr
    metrics = outcome(pretrained)
    assert metrics["cluster_sizes"] == [ROWS] and metrics["converged"]
    assert metrics["nmi"] == 0 and 0 < metrics["acc"] < 0.5
    for entry in metrics["history"]:
        assert entry["loss"] == pytest.approx(0, abs=1e-6) and entry["changed"] == 0


def test_fewer_rows_than_clusters(pretrained):
    rows, labels = blobs()
    set_total(pretrained, rows[:2], labels[:2])
    assert_clear_error(cluster(pretrained), "2 rows cannot make 3 clusters")


@pytest.mark.parametrize("n", [3, 65])
def test_rows_that_fill_no_batch(pretrained, n):
    """Batches are 64 (training) and 250 (embedding)."""
    rows, labels = blobs()
    first = [int(np.flatnonzero(labels == c)[0]) for c in range(CLUSTERS)]
    chosen = first + [i for i in range(ROWS) if i not in first][: n - CLUSTERS]
    set_total(pretrained, rows[chosen], labels[chosen])
    result = cluster(pretrained, "--max-rounds", "3", "--tol", "0")
    assert result.returncode == 0, result.stderr
    metrics = outcome(pretrained)
    assert metrics["n"] == n and sum(metrics["cluster_sizes"]) == n
    assert metrics["acc"] > 0.95
    # By the deploy net, row after row, the same.
    again = run([DEC, "assign", RUN, TOTAL], pretrained)
    assert again.returncode == 0, again.stderr
    lines = (pretrained / RUN / "assignments.csv").read_text().splitlines()[1:]
    wanted = [line.split(",")[1] for line in lines]
    assert [row.split(",")[1] for row in again.stdout.splitlines()[1:]] == wanted


def test_rows_that_are_all_equal(pretrained):
    set_total(pretrained, np.ones((50, WIDTH), np.float32))
    assert_clear_error(cluster(pretrained), "all rows have the same code")


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_a_row_with_nan_is_named(pretrained, number):
    spoil(pretrained / TOTAL, 417, number)
    result = cluster(pretrained)
    assert_clear_error(result, TOTAL, "417", "NaN or infinity")


def test_nan_under_phase_1(pretrained):
    spoil(pretrained / "data/blobs_train", 5, np.nan)
    result = run([DEC, "pretrain", "blobs"], pretrained)
    assert_clear_error(result, "nan")


def test_weights_with_nan_are_told_from_rows_with_nan(pretrained):
    model = pretrained / "stack.caffemodel"
    net = caffe_pb2.NetParameter.FromString(model.read_bytes())
    (layer,) = (layer for layer in net.layer if layer.name == "inner1")
    layer.blobs[1].data[0] = np.nan
    model.write_bytes(net.SerializeToString())
    assert_clear_error(cluster(pretrained), "phase 1 diverged")


def test_no_rounds_at_all(pretrained):
    result = cluster(pretrained, "--max-rounds", "0")
    assert result.returncode == 0, result.stderr
    metrics = outcome(pretrained)
    assert metrics["rounds"] == 0 and not metrics["converged"]
    assert metrics["acc"] == metrics["kmeans"]["acc"]
    report = run([DEC, "report", RUN], pretrained)
    assert report.returncode == 0, report.stderr


def test_fewer_rounds_than_a_run_before(pretrained):
    """The state of the longer run is no place to start from."""
    for rounds in ("2", "1"):
        result = cluster(pretrained, "--max-rounds", rounds, "--tol", "0")
        assert result.returncode == 0, result.stderr
        assert outcome(pretrained)["rounds"] == int(rounds)
