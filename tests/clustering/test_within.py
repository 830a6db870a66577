"""k-means in units of the clusters' own spread, alone and as the start of phase 2."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import CLUSTERS, DEC, assert_clear_error, blobs, cluster, run
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score
from test_pipeline import weights

from dec.base.errors import DecError
from dec.clustering import assignments
from dec.clustering import kmeans as plain
from dec.clustering.kmeans import kmeans
from dec.clustering.within import kmeans_within
from dec.scores.clusters import accuracy

WORDS = "not made by one InnerProduct layer"


def long_clusters(n=3000, d=5, seed=0):
    """Four clusters in a square, all stretched along one direction of no meaning."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    rows = rng.normal(size=(n, d)) * [1, 12, 1, 1, 1]
    rows[:, 0] += 6 * (labels % 2)
    rows[:, 2] += 6 * (labels // 2)
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return rows @ turn, labels


def test_finds_what_plain_kmeans_cuts_across():
    rows, labels = long_clusters()
    assert accuracy(labels, kmeans(rows, 4, seed=1)[1], 4) < 0.6
    assert accuracy(labels, kmeans_within(rows, 4, seed=1).assigned, 4) > 0.99


def test_is_the_same_in_every_basis():
    rows, _ = long_clusters(10_000)
    found = kmeans_within(rows, 4, seed=1)
    map_ = np.random.default_rng(1).normal(size=(5, 5))
    other = kmeans_within(rows @ map_ + 100, 4, seed=1)
    assert adjusted_rand_score(found.assigned, other.assigned) > 0.999
    shift = 2 * np.linalg.slogdet(map_)[1]
    assert other.log_det - found.log_det == pytest.approx(shift, abs=0.01)


def test_the_basis_and_the_determinant_are_those_of_scikit_learns_covariance():
    """Its linear discriminant analysis pools the covariance of given classes."""
    rows, _ = long_clusters(20_000)
    found = kmeans_within(rows, 4, seed=1)
    judge = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True)
    judge.fit(rows, found.assigned)
    within = judge.covariance_
    assert found.log_det == pytest.approx(np.linalg.slogdet(within)[1], abs=0.01)
    assert found.basis @ within @ found.basis == pytest.approx(np.eye(5), abs=0.01)
    assert found.basis == pytest.approx(found.basis.T, abs=1e-12)
    # What the basis leaves, with few rows, is (d / n)^2 of the spread of all.
    few, _ = long_clusters(200)
    found = kmeans_within(few, 4, seed=1)
    covariance = judge.fit(few, found.assigned).covariance_
    covariance += (5 / 200) ** 2 * np.var(few, axis=0).mean() * np.eye(5)
    assert found.basis @ covariance @ found.basis == pytest.approx(np.eye(5), abs=1e-9)
    # Centres are the means of the clusters, in the basis of the rows.
    assert found.centres == pytest.approx(judge.means_, abs=1e-9)


def test_no_restart_is_better_than_the_chosen_one():
    rows = np.random.default_rng(4).normal(size=(2000, 3))
    found = [kmeans_within(rows, 5, seed=1, restarts=i).log_det for i in range(1, 7)]
    assert found == sorted(found, reverse=True) and found[0] > found[-1]
    judge = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True)
    before = judge.fit(rows, kmeans(rows, 5, seed=1)[1]).covariance_
    assert found[-1] < np.linalg.slogdet(before)[1]


def test_many_threads_make_the_same_bits_as_two():
    program = (
        "import sys; import numpy as np\n"
        "from dec.clustering.within import kmeans_within\n"
        "x = np.random.default_rng(0).normal(size=(5000, 10)).astype(np.float32)\n"
        "found = kmeans_within(x, 10, 1, restarts=3)\n"
        "sys.stdout.buffer.write(found.centres.tobytes() + found.basis.tobytes())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("2", "8", "8")
    ]
    assert outputs[0] == outputs[1] == outputs[2]


def test_above_a_size_restarts_see_a_part_and_the_best_goes_on_on_all(monkeypatch):
    rows, labels = long_clusters()
    whole = kmeans_within(rows, 4, seed=1)
    said = []
    monkeypatch.setattr(plain, "say", said.append)
    monkeypatch.setattr(plain, "LARGE", 2999)
    monkeypatch.setattr(plain, "SAMPLE", 1000)
    before = rows.copy()
    found = kmeans_within(rows, 4, seed=1)
    assert len(said) == 1 and "restarts on 1,000 of the 3,000 rows" in said[0]
    assert np.array_equal(rows, before)
    assert found.log_det == pytest.approx(whole.log_det, abs=1e-4)
    assert len(found.assigned) == 3000 and accuracy(labels, found.assigned, 4) > 0.99


def test_rows_in_which_nothing_varies_along_a_direction():
    rows, labels = long_clusters()
    rows = np.hstack([rows, np.full((3000, 2), 7.0)])
    found = kmeans_within(rows, 4, seed=1)
    assert accuracy(labels, found.assigned, 4) > 0.99
    assert np.isfinite(found.basis).all()


def test_few_rows_of_many_numbers():
    rows = np.random.default_rng(2).normal(size=(12, 10))
    found = kmeans_within(rows, 3, seed=1)
    assert np.isfinite(found.basis).all()
    assert set(found.assigned) == {0, 1, 2}


def test_rows_that_are_their_clusters_centres():
    rows = np.repeat(np.eye(3) * 5, 20, axis=0)
    found = kmeans_within(rows, 3, seed=1)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 20), found.assigned) == 1
    assert np.abs(found.centres @ found.basis).max() < 1e9


def test_one_cluster_is_the_mean():
    rows, _ = blobs()
    found = kmeans_within(rows, 1, seed=1)
    assert found.centres[0] == pytest.approx(rows.mean(axis=0), abs=1e-5)


def test_bad_input_is_named():
    with pytest.raises(DecError, match="2 rows cannot make 3 clusters"):
        kmeans_within(np.zeros((2, 4)), 3, seed=1)
    same = np.repeat(np.arange(2.0), 20)[:, None]
    with pytest.raises(DecError, match="40 rows of which 2 differ cannot make 3"):
        kmeans_within(same, 3, seed=1)
    rows, _ = blobs()
    rows[41, 2] = np.inf
    with pytest.raises(DecError, match="row 41 has NaN or infinity"):
        kmeans_within(rows, 2, seed=1)


# As the start of phase 2


def code(rows, theta):
    """The encoder of the small experiment, in float64."""
    for name, width in (("inner1", 8), ("inner2", 8), ("inner3", 16), ("output", 2)):
        w = theta[name][0].reshape(width, -1).astype(np.float64)
        rows = rows @ w.T + theta[name][1]
        rows = rows if name == "output" else np.maximum(rows, 0)
    return rows


def began(finished):
    """First weights of phase 2, and those that phase 1 ended with."""
    folder = finished / "runs/blobs"
    (stack,) = folder.glob("stack_iter_*.caffemodel")
    return weights(folder / "init.caffemodel"), weights(stack)


def test_a_run_begins_in_the_new_basis(finished):
    """By float64: same encoder but for the basis, in which W is the identity."""
    init, stack = began(finished)
    for name in ("inner1", "inner2", "inner3"):
        assert np.array_equal(init[name][0], stack[name][0])
    rows, _ = blobs()
    old, new = code(rows, stack), code(rows, init)
    found = kmeans_within(old, CLUSTERS, seed=1)
    assert new == pytest.approx(old @ found.basis, abs=1e-3)
    centres = init["loss"][0].reshape(2, CLUSTERS).T
    order, wanted = np.lexsort(centres.T), found.centres @ found.basis
    assert centres[order] == pytest.approx(wanted[np.lexsort(wanted.T)], abs=1e-2)
    nearest = ((new[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    away = new - centres[nearest]
    assert away.T @ away / len(away) == pytest.approx(np.eye(2), abs=0.1)


def test_plain_leaves_the_code_as_it_is(finished, pretrained):
    folder = pretrained
    result = cluster(folder, "--kmeans", "plain")
    assert result.returncode == 0, result.stderr
    init, stack = weights(folder / "runs/blobs/init.caffemodel"), began(finished)[1]
    assert np.array_equal(init["output"][0], stack["output"][0])
    assert np.array_equal(init["output"][1], stack["output"][1])
    rows, _ = blobs()
    wanted, _ = kmeans(code(rows, stack), CLUSTERS, seed=1)
    centres = init["loss"][0].reshape(2, CLUSTERS).T
    assert centres[np.lexsort(centres.T)] == pytest.approx(
        wanted[np.lexsort(wanted.T)], abs=1e-3
    )
    metrics = json.loads((folder / "runs/blobs/metrics.json").read_text())
    assert metrics["start"] == "plain"
    table = run([DEC, "table", "runs/blobs"], folder).stdout
    assert "| blobs | DEC from plain k-means | 1 |" in table
    assert "| autoencoder + plain k-means | 1 |" in table
    # The other start is another run, not "up to date".
    result = cluster(folder)
    assert result.returncode == 0 and "up to date" not in result.stderr
    again = weights(folder / "runs/blobs/init.caffemodel")
    assert not np.array_equal(again["output"][0], stack["output"][0])


def test_the_size_of_the_code_means_nothing(finished, pretrained):
    """The kernel's width is one: a code much smaller would tell it nothing."""
    file = pretrained / "stack.caffemodel"
    net = caffe_pb2.NetParameter.FromString(file.read_bytes())
    (output,) = (layer for layer in net.layer if layer.name == "output")
    for blob in output.blobs:
        blob.data[:] = np.array(blob.data) * 1e-4
    file.write_bytes(net.SerializeToString())
    result = cluster(pretrained)
    assert result.returncode == 0, result.stderr
    folders = finished / "runs/blobs", pretrained / "runs/blobs"
    codes = [np.load(folder / "codes/round_0.npz")["code"] for folder in folders]
    assert codes[1] == pytest.approx(codes[0], abs=1e-3)
    ends = [assignments.read(folder / "assignments.csv") for folder in folders]
    assert np.array_equal(ends[0]["cluster"], ends[1]["cluster"])


def test_a_code_of_next_to_nothing_is_not_blown_up(pretrained):
    """SGD's steps would be huge; and it is said."""
    file = pretrained / "stack.caffemodel"
    net = caffe_pb2.NetParameter.FromString(file.read_bytes())
    for layer in net.layer:
        for blob in layer.blobs:
            blob.data[:] = np.array(blob.data) * 0.02
    file.write_bytes(net.SerializeToString())
    result = cluster(pretrained, "--tol", "0", "--max-rounds", "5")
    assert result.returncode == 0, result.stderr
    assert "phase 1 has learned little" in result.stderr
    start = np.load(pretrained / "runs/blobs/codes/round_0.npz")["code"]
    end = np.load(pretrained / "runs/blobs/codes/end.npz")["code"]
    assert np.abs(end - start).max() < 1


def test_a_code_that_has_no_free_basis(pretrained):
    net = pretrained / "prototxt/dec/blobs/dec.prototxt"
    relu = 'layer { name: "r" type: "ReLU" bottom: "output" top: "output" }\n'
    text = net.read_text()
    at = text.index("layer {", text.index('name: "output"'))
    net.write_text(text[:at] + relu + text[at:])
    assert_clear_error(cluster(pretrained), WORDS, "--kmeans plain")
    result = cluster(pretrained, "--kmeans", "plain")
    assert result.returncode == 0, result.stderr
