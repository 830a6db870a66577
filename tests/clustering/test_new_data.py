"""Runs on data of other widths, with other numbers of clusters, names and classes."""

import csv
import json
import math

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import CLUSTERS, DEC, WIDTH, blobs, run

from dec.base.errors import DecError
from dec.data import leveldb
from dec.nets import prototxt

WIDE = 9
NAMES = ["plain", "with, comma", 'quo"te', "line\nend", "byte\udcff", "größe"]


def widen(project):
    """The blobs with three more numbers a row, names, and classes that have names."""
    rows, labels = blobs()
    rows = np.hstack([rows, rows[:, : WIDE - rows.shape[1]]])
    names = [f"{NAMES[i % len(NAMES)]}{i}" for i in range(len(rows))]
    meta = {"classes": ["ape", "boat", "crane"]}
    leveldb.write_rows(project / "data/blobs_total", rows, labels, meta, names)
    leveldb.write_rows(project / "data/blobs_train", rows, labels)
    leveldb.write_rows(project / "data/blobs_test", rows[:100], labels[:100])
    return rows, names


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    from conftest import make_project

    folder = make_project(tmp_path_factory.mktemp("wide"))
    rows, names = widen(folder)
    result = run([DEC, "run", "blobs", "--clusters", "4"], folder)
    assert result.returncode == 0, result.stderr
    return folder, rows, names, result


def test_nets_are_fitted_to_the_data_and_it_is_said(wide):
    folder, rows, _, result = wide
    assert f"{WIDE} numbers a row" in result.stderr and "4 clusters" in result.stderr
    layer1 = prototxt.read_net(folder / "runs/blobs/prototxt/layer1.prototxt")
    by_name = {layer.name: layer for layer in layer1.layer}
    assert by_name["d_data"].inner_product_param.num_output == WIDE
    assert by_name["loss"].loss_weight[0] == pytest.approx(1 / WIDE)
    first, second = (
        {layer.name: layer.inner_product_param.weight_filler for layer in net.layer}
        for net in (
            prototxt.read_net(folder / "prototxt/dec/blobs/stack.prototxt"),
            prototxt.read_net(folder / "runs/blobs/prototxt/stack.prototxt"),
        )
    )
    narrower = math.sqrt(WIDTH / WIDE)
    assert second["inner1"].max == pytest.approx(first["inner1"].max * narrower)
    assert second["inner1"].min == -second["inner1"].max
    assert second["inner2"] == first["inner2"]
    inner = prototxt.read_net(folder / "runs/blobs/prototxt/layer2.prototxt")
    original = prototxt.read_net(folder / "prototxt/dec/blobs/layer2.prototxt")
    assert inner.layer[-1].loss_weight == original.layer[-1].loss_weight
    net = caffe.Net(
        str(folder / "runs/blobs/deploy.prototxt"),
        caffe.TEST,
        weights=str(folder / "runs/blobs/final.caffemodel"),
    )
    net.blobs["data"].reshape(len(rows), WIDE, 1, 1)
    net.blobs["data"].data[...] = rows.reshape(-1, WIDE, 1, 1)
    proba = net.forward()["proba"]
    assert proba.shape == (len(rows), 4)
    with open(folder / "runs/blobs/assignments.csv", newline="") as file:
        assigned = [int(line["cluster"]) for line in csv.DictReader(file)]
    assert np.array_equal(proba.argmax(axis=1), assigned)


def test_names_and_classes_arrive(wide):
    folder, _, names, result = wide
    assert "ape |" in result.stdout and "crane |" in result.stdout
    with open(folder / "runs/blobs/assignments.csv", newline="") as file:
        found = [line["name"] for line in csv.DictReader(file)]
    assert found == [name.replace("\udcff", "\\udcff") for name in names]
    assert leveldb.read_names(folder / "data/blobs_total") == names
    assert leveldb.read_names(folder / "data/blobs_train") is None
    report = run([DEC, "report", "runs/blobs"], folder)
    assert report.returncode == 0, report.stderr
    page = (folder / "runs/blobs/report.html").read_text()
    assert "matched to class ape" in page


def test_as_many_names_as_rows(tmp_path):
    with pytest.raises(DecError, match="2 names for 3 rows"):
        leveldb.write_rows(tmp_path / "db", np.ones((3, 2)), names=["a", "b"])
    assert not any(tmp_path.iterdir())


def test_encoder_stays_without_backprop(finished, tmp_path):
    import shutil

    folder = tmp_path / "frozen"
    shutil.copytree(finished, folder)
    result = run(
        [
            DEC,
            "cluster",
            "blobs",
            "--solver",
            "prototxt/dec/blobs/frozen_solver.prototxt",
        ],
        folder,
    )
    assert result.returncode == 0, result.stderr
    assert "DEC without backprop" in result.stdout
    models = []
    for name in ("init", "final"):
        net = caffe_pb2.NetParameter()
        net.ParseFromString((folder / f"runs/blobs/{name}.caffemodel").read_bytes())
        models.append({layer.name: layer.blobs for layer in net.layer if layer.blobs})
    before, after = models
    for name in ("inner1", "inner2", "inner3", "output"):
        assert before[name][0].data == after[name][0].data
    assert before["loss"][0].data != after["loss"][0].data


def test_encoder_with_a_card_takes_the_place_of_phase_1(finished, tmp_path):
    import shutil

    folder = tmp_path / "shipped"
    shutil.copytree(finished, folder)
    result = run([DEC, "pretrain", "blobs"], folder)
    assert result.returncode == 0, result.stderr
    card = json.loads((folder / "runs/blobs/model/card.json").read_text())
    assert card["command"] == "dec pretrain blobs short"
    assert card["seed"] == 1 and card["hours"] >= 0
    assert 0 < card["reconstruction_loss"]["test"] < 1
    again = run([DEC, "pretrain", "blobs"], folder)
    assert "model: up to date" in again.stderr

    short = folder / "prototxt/dec/blobs/short"
    shutil.copytree(folder / "runs/blobs/model", short, dirs_exist_ok=True)
    result = run([DEC, "cluster", "blobs", "--run", "runs/other"], folder)
    assert result.returncode == 0, result.stderr
    assert "starts from prototxt/dec/blobs/short/encoder.caffemodel" in result.stderr
    same = [
        (folder / f"runs/{name}/assignments.csv").read_bytes()
        for name in ("blobs", "other")
    ]
    assert same[0] == same[1]

    weights = short / "encoder.caffemodel"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    result = run([DEC, "cluster", "blobs"], folder)
    assert result.returncode == 1
    assert "not what its card says" in result.stderr
    # A schedule that is named is trained, in a folder of its own.
    result = run([DEC, "pretrain", "blobs", "paper"], folder)
    assert "runs/blobs-paper" in result.stderr


def test_kmeans_on_the_rows(project):
    result = run([DEC, "kmeans", "blobs"], project)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((project / "runs/blobs-kmeans/metrics.json").read_text())
    assert metrics["method"] == "k-means" and metrics["acc"] > 0.95
    assert metrics["k"] == CLUSTERS
    assert "| blobs-kmeans | k-means | 1 |" in result.stdout
