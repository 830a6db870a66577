"""Fine-tuning: it learns, as Caffe's own tool does, and its numbers are right."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from finetune_samples import (
    CLASSES,
    FINETUNE,
    ROOT,
    fresh,
    metrics_of,
    run,
    trained,
    weights,
)

from dec.classify.validate import cross_entropy
from dec.data import leveldb

CAFFE = ROOT / ".venv/bin/caffe"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """Not to be changed."""
    return trained(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(tuned, tmp_path) -> Path:
    return fresh(tuned, tmp_path / "project")


def test_it_learns_and_says_so(tuned):
    metrics = metrics_of(tuned)
    assert metrics["classes"] == sorted(CLASSES)
    assert metrics["counts"] == {"train": [16] * 3, "val": [2] * 3, "test": [2] * 3}
    assert metrics["train"]["accuracy"] > 0.8
    assert metrics["iteration"] == metrics["iterations"] == 90
    assert [v["iteration"] for v in metrics["validations"]] == [18, 36, 54, 72, 90]
    losses = [v["loss"] for v in metrics["validations"]]
    assert losses[0] > 2 * losses[-1]
    assert [at for at, _ in metrics["training_loss"]] == list(range(5, 91, 5))
    out = (tuned / "stdout.txt").read_text()
    low, high = metrics["test"]["interval"]
    accuracy = (
        f"{metrics['test']['accuracy']:.1%} ({100 * low:.1f} to {100 * high:.1f})"
    )
    assert accuracy in out and "recall" in out and "dec classify runs/tiny" in out
    left = {p.name for p in (tuned / "runs/tiny").iterdir()}
    assert not [name for name in left if "iter" in name]


def test_scores_are_those_of_the_predictions(tuned):
    metrics = metrics_of(tuned)
    with open(tuned / "runs/tiny/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    for which in ("train", "val", "test"):
        mine = [r for r in rows if r["set"] == which]
        right = sum(r["class"] == r["predicted"] for r in mine)
        assert metrics[which]["right"] == right
        assert metrics[which]["accuracy"] == right / len(mine)
    for r in rows:
        assert r["file"].split("/")[0] == r["class"]
        assert float(r["probability"]) >= float(r["second_probability"])


def test_caffes_own_tool_trains_the_same_weights(project):
    """`caffe train` by hand on the copies: not a bit differs."""
    assert run(project, *FINETUNE).returncode == 0
    solver = project / "runs/tiny/prototxt/solver.prototxt"
    ours = (project / "runs/tiny/final.caffemodel").read_bytes()
    text = solver.read_text().replace("runs/tiny/snapshot", "runs/tiny/byhand")
    solver.write_text(text)
    subprocess.run([CAFFE, "train", f"--solver={solver.relative_to(project)}"],
                   cwd=project, check=True, capture_output=True)  # fmt: skip
    theirs = project / "runs/tiny/byhand_iter_90.caffemodel"
    assert weights(theirs.read_bytes()) == weights(ours)


def test_caffes_own_tool_finds_the_same_accuracy(tuned, tmp_path):
    """`caffe test` on the net and weights as left: the test set's accuracy and loss."""
    shutil.copytree(tuned, tmp_path / "copy", ignore=shutil.ignore_patterns("photos"))
    batch = 6  # all of the test set
    net = tmp_path / "copy/runs/tiny/prototxt/test.prototxt"
    text = net.read_text()
    assert '/test"' in text
    net.write_text(text.replace("batch_size: 8", f"batch_size: {batch}"))
    done = subprocess.run(
        [CAFFE, "test", "--model=runs/tiny/prototxt/test.prototxt", "--iterations=1",
         "--weights=runs/tiny/final.caffemodel"],
        cwd=tmp_path / "copy", check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = dict(re.findall(r"\] (accuracy|loss) = ([\d.e-]+)", done.stderr))
    test = metrics_of(tuned)["test"]
    assert float(found["accuracy"]) == pytest.approx(test["accuracy"], abs=1e-5)
    assert float(found["loss"]) == pytest.approx(test["loss"], rel=1e-4)


def test_a_second_call_does_nothing_and_a_change_trains_anew(project):
    assert run(project, *FINETUNE).returncode == 0
    before = (project / "runs/tiny/final.caffemodel").stat().st_mtime_ns
    again = run(project, *FINETUNE)
    assert "runs/tiny: up to date" in again.stderr and "of each class" in again.stdout
    assert (project / "runs/tiny/final.caffemodel").stat().st_mtime_ns == before
    assert run(project, *FINETUNE, "--set", "max_iter: 8").returncode == 0
    assert metrics_of(project)["iterations"] == 8


def test_copies_are_trained_on_and_not_scored(project):
    net = project / "prototxt/tiny/train_val.prototxt"
    net.write_text(net.read_text().replace("-36x36", "-36x36-copies2"))
    result = run(project, *FINETUNE, "--set", "max_iter: 8")
    assert result.returncode == 0, result.stderr
    data = project / "data/labelled-36x36-copies2"
    assert len(leveldb.read_names(data / "train")) == 3 * 48
    metrics = metrics_of(project)
    assert metrics["counts"]["train"] == [16] * 3 and metrics["train"]["n"] == 48
    with open(project / "runs/tiny/predictions.csv", newline="") as file:
        names = [r["file"] for r in csv.DictReader(file) if r["set"] == "train"]
    assert len(set(names)) == len(names) == 48


def test_with_patience_it_stops_and_keeps_the_best_weights(project):
    # A rate of nothing: no validation after the first is better.
    result = run(
        project, *FINETUNE, "--patience", "2", "--set", "base_lr: 1e-12 snapshot: 0"
    )
    assert result.returncode == 0, result.stderr
    metrics = metrics_of(project)
    assert metrics["iterations"] == 54 and metrics["iteration"] == 18
    assert metrics["stopped_early"]
    assert len(metrics["validations"]) == 3


def test_the_best_weights_are_those_of_the_best_validation(project):
    result = run(project, *FINETUNE, "--patience", "9")
    assert result.returncode == 0, result.stderr
    metrics = metrics_of(project)
    best = max(metrics["validations"], key=lambda v: (v["accuracy"], -v["loss"]))
    assert metrics["iteration"] == best["iteration"]
    assert metrics["val"]["accuracy"] == best["accuracy"]
    assert metrics["val"]["loss"] == pytest.approx(best["loss"], abs=1e-4)


def test_weighted_classes_count_the_same(project):
    """With many photos of a class, the weighted loss is the classes' own mean."""
    for i, path in enumerate(sorted((project / "photos/down").iterdir())):
        if i >= 6:
            path.unlink()
    result = run(project, *FINETUNE, "--weighted", "--set", "max_iter: 1 display: 1 "
                 "test_interval: 0 snapshot: 0")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'times as many photos as "down"' in result.stderr
    metrics = metrics_of(project)
    assert metrics["weighted"] and metrics["counts"]["train"] == [16, 4, 16]
    # The first batch, by the untrained net: the loss is weighted as it should be.
    net = caffe_pb2.NetParameter()
    from google.protobuf import text_format

    text = (project / "runs/tiny/prototxt/train_val.prototxt").read_text()
    text_format.Parse(text, net)
    kinds = [layer.type for layer in net.layer if layer.name == "loss"]
    assert kinds == ["SoftmaxWithLoss", "InfogainLoss"]
    out = subprocess.run(
        [ROOT / ".venv/bin/python", "-c", _FIRST_BATCH], cwd=project, check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = json.loads(out)
    scores, labels = np.array(found["scores"]), np.array(found["labels"])
    weight = np.array([36 / (3 * n) for n in (16, 4, 16)])[labels]
    expected = (weight * cross_entropy(scores, labels)).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert len(set(labels)) > 1 and weight.std() > 0


_FIRST_BATCH = """
import os; os.environ["GLOG_minloglevel"] = "3"
import caffe, json
solver = caffe.get_solver("runs/tiny/prototxt/solver.prototxt")
solver.net.forward()
blobs = {name: blob.data.tolist() for name, blob in solver.net.blobs.items()
         if name in ("fc5_photos", "label", "loss")}
print(json.dumps({"scores": blobs["fc5_photos"], "loss": blobs["loss"],
                  "labels": [int(x) for x in blobs["label"]]}))
"""
