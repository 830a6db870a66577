"""The rows' mean, which a net of few rows takes off first."""

import json

import caffe
import numpy as np
import pytest
from conftest import DEC, assert_clear_error, blobs, run
from finetune_samples import weights
from small_own import make_small_own
from test_edge_cases import spoil

from dec.base.errors import DecError
from dec.clustering.centre import mean_of
from dec.data.leveldb import write_rows

CLUSTERS = ("--clusters", "3")


@pytest.fixture
def few(tmp_path):
    """A project of 600 rows that lie far from 0."""
    rows = (blobs()[0] + 40).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    return make_small_own(tmp_path), rows


def test_the_mean_travels_with_the_weights(few):
    folder, rows = few
    result = run([DEC, "run", "npy", "--from", "rows.npy", *CLUSTERS], folder)
    assert result.returncode == 0, result.stderr
    assert "few rows" in result.stderr
    scale = json.loads((folder / "data/npy_total/dec.json").read_text()).get("scale", 1)
    train = rows[: len(rows) * 4 // 5] * scale
    there = folder / "runs/npy"
    (stack,) = there.glob("stack_iter_*.caffemodel")
    for file in (stack, there / "init.caffemodel", there / "final.caffemodel"):
        (bias,) = weights(file.read_bytes())["centre"]
        bias = np.frombuffer(bias, np.float32)
        assert bias == pytest.approx(-mean_of(str(folder / "data/npy_train")), rel=1e-6)
    assert bias == pytest.approx(-train.mean(axis=0), rel=0.05)
    # New rows are taken as they are: the same clusters as the run's.
    assigned = run([DEC, "assign", "runs/npy", "rows.npy"], folder).stdout.splitlines()
    own = (there / "assignments.csv").read_text().splitlines()
    new = [line.split(",")[1] for line in assigned[1:]]
    assert new == [line.split(",")[1] for line in own[1:]]


def test_the_mean_in_float64(tmp_path):
    rows = np.random.default_rng(1).normal(1000, 1, (5000, 6)).astype(np.float32)
    write_rows(tmp_path / "rows", rows)
    wanted = rows.astype(np.float64).mean(axis=0)
    assert mean_of(str(tmp_path / "rows")) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('type: "Bias"', 'type: "ReLU"', ["centre", "ReLU", "another name"]),
        ("bias_param { axis: 1 num_axes: 1 }", "bias_param { axis: 0 num_axes: 1 }",
         ["centre", "num_axes: 1"]),
    ],
)  # fmt: skip
def test_another_layer_of_that_name(few, old, new, words):
    folder, _ = few
    net = folder / "prototxt/dec/own/few_stack.prototxt"
    text = net.read_text()
    assert old in text
    net.write_text(text.replace(old, new, 1))
    result = run([DEC, "run", "npy", "--from", "rows.npy", *CLUSTERS], folder)
    assert_clear_error(result, *words)


def test_a_row_with_nan(tmp_path):
    write_rows(tmp_path / "rows", np.ones((500, 6), np.float32))
    spoil(tmp_path / "rows", 417, np.nan)
    with pytest.raises(DecError, match="row 417 has NaN"):
        mean_of(str(tmp_path / "rows"))


def test_a_net_uses_it(few):
    """The first layer sees rows less their mean, by NumPy."""
    folder, _ = few
    run([DEC, "run", "npy", "--from", "rows.npy", *CLUSTERS], folder)
    there = folder / "runs/npy"
    net = caffe.Net(
        str(there / "deploy.prototxt"),
        caffe.TEST,
        weights=str(there / "final.caffemodel"),
    )
    row = np.arange(net.blobs["data"].data.size, dtype=np.float32)
    net.blobs["data"].data[...] = row.reshape(net.blobs["data"].shape)
    net.forward()
    matrix, bias = (blob.data for blob in net.params["inner1"])
    wanted = np.maximum(matrix @ (row + net.params["centre"][0].data) + bias, 0)
    assert net.blobs["inner1"].data.ravel() == pytest.approx(wanted, rel=1e-4, abs=1e-3)
