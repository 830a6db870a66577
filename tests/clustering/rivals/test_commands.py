"""`dec kmeans`, `ldmgi`, `sec`: on rows, on a code, on arrays."""

import json

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, ROWS, assert_clear_error, blobs, run

from dec.base.tables import read_table
from dec.scores.clusters import scores

METHODS = {"kmeans": "k-means", "ldmgi": "LDMGI", "sec": "SEC"}


def read(folder):
    """metrics.json, and the clusters of assignments.csv."""
    metrics = json.loads((folder / "metrics.json").read_text())
    (_, head), *rows = read_table(folder / "assignments.csv", ours=True)
    return metrics, head, np.array([int(cells[1]) for _, cells in rows])


@pytest.mark.parametrize("method", METHODS)
def test_rows(project, method):
    result = run([DEC, method, "blobs"], project)
    assert result.returncode == 0, result.stderr
    metrics, head, assigned = read(project / f"runs/blobs-{method}")
    assert head == ["row", "cluster", "label"]
    _, labels = blobs()
    wanted = scores(labels, assigned, CLUSTERS)
    assert {name: metrics[name] for name in wanted} == wanted and wanted["acc"] > 0.95
    assert (metrics["n"], metrics["k"], metrics["seed"]) == (ROWS, CLUSTERS, 1)
    assert metrics["method"] == METHODS[method]
    assert f"| blobs-{method} | {METHODS[method]} | 1 | {wanted['acc']:.2%}" in (
        result.stdout
    )
    # What is finished is not run again; another seed is.
    again = run([DEC, method, "blobs"], project)
    assert again.stdout == result.stdout and "up to date" in again.stderr
    other = run([DEC, method, "blobs", "--seed", "2"], project)
    assert "up to date" not in other.stderr


@pytest.mark.parametrize("method", METHODS)
def test_code(finished, tmp_path, method):
    command = [DEC, method, "blobs", "--code", "runs/blobs", "--run", tmp_path / "code"]
    result = run(command, finished)
    assert result.returncode == 0, result.stderr
    metrics, _, assigned = read(tmp_path / "code")
    assert metrics["method"] == f"autoencoder + {METHODS[method]}"
    assert "runs/blobs/stack_iter_200.caffemodel" in metrics["rows"]
    assert metrics["acc"] > 0.5 and "code" in metrics["seconds"]
    # A file of weights is as good as its run.
    weights = finished / "runs/blobs/stack_iter_200.caffemodel"
    command[4:5] = [weights]
    command[-1] = tmp_path / "file"
    assert run(command, finished).returncode == 0
    assert np.array_equal(read(tmp_path / "file")[2], assigned)


def test_the_code_is_the_autoencoders(finished):
    """As float64 NumPy has it, by the weights that phase 2 starts from."""
    from caffe.proto import caffe_pb2

    from dec.clustering.rivals.code import code_of
    from dec.engine.experiment import Experiment

    weights = finished / "runs/blobs/stack_iter_200.caffemodel"
    experiment = Experiment("blobs", finished / "prototxt/dec/blobs", finished)
    database = finished / "data/blobs_total"
    code = code_of(database, experiment, finished / "runs/blobs")
    net = caffe_pb2.NetParameter.FromString(weights.read_bytes())
    wanted, _ = blobs()
    wanted = wanted.astype(np.float64)
    for name in ("inner1", "inner2", "inner3", "output"):
        (layer,) = (x for x in net.layer if x.name == name)
        factor, bias = (np.array(b.data).reshape(b.shape.dim) for b in layer.blobs)
        wanted = wanted @ factor.T + bias
        wanted = wanted if name == "output" else np.maximum(wanted, 0)
    assert code == pytest.approx(wanted, abs=1e-4)


def test_several_values_are_a_run_each(project):
    # More clusters than parts: else the objective is 0.
    words = ["--lambda", "0.01", "1", "100", "--clusters", "5", "--run", "runs/sweep"]
    result = run([DEC, "ldmgi", "blobs", *words], project)
    assert result.returncode == 0, result.stderr
    found = {}
    for value in ("0.01", "1", "100"):
        metrics, _, _ = read(project / f"runs/sweep-{value}")
        assert metrics["lambda"] == float(value)
        found[value] = metrics["objective"]
    assert found["0.01"] > found["1"] > found["100"] > 0
    assert "| LDMGI | 3 |" in result.stdout  # the medians


def test_an_array_without_labels(project):
    rows, labels = blobs()
    np.save(project / "rows.npy", rows)
    words = ["npy", "--from", "rows.npy", "--clusters", "3"]
    result = run([DEC, "sec", *words], project)
    assert result.returncode == 0, result.stderr
    metrics, head, assigned = read(project / "runs/npy-sec")
    assert "acc" not in metrics and head == ["row", "cluster"]
    assert scores(labels, assigned, 3)["acc"] > 0.95
    assert "| npy-sec | SEC | 1 | 600 | 3 |" in result.stdout


def test_what_is_told_of_the_graph_is_kept(project):
    rows, labels = blobs()
    np.save(project / "rows.npy", rows + 100 * labels[:, None])
    words = ["npy", "--from", "rows.npy", "--clusters", "3"]
    result = run([DEC, "ldmgi", *words], project)
    assert "note: the neighbour graph falls into 3 parts" in result.stderr
    metrics, _, _ = read(project / "runs/npy-ldmgi")
    assert "falls into 3 parts" in metrics["notes"][0]


def test_no_autoencoder(project):
    (project / "runs/empty").mkdir(parents=True)
    result = run([DEC, "sec", "blobs", "--code", "runs/empty"], project)
    assert_clear_error(result, "runs/empty", "no autoencoder", "dec pretrain")
    result = run([DEC, "sec", "blobs", "--code", "runs/none"], project)
    assert_clear_error(result, "runs/none", "no such run")


def test_more_clusters_than_rows(project):
    for method in METHODS:
        result = run([DEC, method, "blobs", "--clusters", "601"], project)
        assert_clear_error(result, "600 rows cannot make 601 clusters")


def test_values_that_are_none(project):
    for value in ("0", "-1", "nan", "inf"):
        result = run([DEC, "ldmgi", "blobs", "--lambda", value], project)
        assert result.returncode == 2 and "not a positive number" in result.stderr


def test_reports_and_summaries_say_that_they_are_not_for_these(project):
    run([DEC, "kmeans", "blobs"], project)
    for command in ("report", "export"):
        result = run([DEC, command, "runs/blobs-kmeans"], project)
        assert_clear_error(result, "runs/blobs-kmeans", "a run of k-means")
    result = run([DEC, "summary", "runs/blobs-kmeans"], project)
    assert result.returncode == 0 and "| k-means | 1 |" in result.stdout
