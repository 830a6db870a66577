"""The quick way: a linear classifier on a net's features, as a Caffe net."""

import json
import os
from pathlib import Path

import cv2
import feature_samples
import finetune_samples
import numpy as np
import pytest
from real_data import real
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dec.base.errors import DecError
from dec.base.tables import write_table
from dec.classify import linear
from dec.classify.experiment import Experiment
from dec.classify.report import report

CLASSES = list(finetune_samples.CLASSES)
DATA = """\
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: {phase} }}
  transform_param {{ crop_size: 40 mean_value: 104 mean_value: 117.5 mean_value: 123
    scale: 0.02 }}
  data_param {{ source: "data/labelled-48x48/{which}" backend: LEVELDB
    batch_size: 8 }} }}
"""
HEAD = """\
layer { name: "average" type: "Pooling" bottom: "pool" top: "average"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc_photos" type: "InnerProduct" bottom: "average" top: "fc_photos"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.01 } } }
"""
LOSS = """\
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc_photos" bottom: "label"
  top: "loss" }
"""
PROB = 'layer { name: "prob" type: "Softmax" bottom: "fc_photos" top: "prob" }\n'
SOLVERS = {
    "linear": 'type: "LogisticRegression" max_iter: 1000',
    "photos": 'base_lr: 0.01 lr_policy: "fixed" max_iter: 6 display: 2 momentum: 0.9 '
    "test_iter: 1 test_interval: 6",
}


def body() -> str:
    """The feature net's layers between its input and its fc, and without dropout."""
    lines = feature_samples.DEPLOY.split('layer { name: "conv1"')[1]
    return 'layer { name: "conv1"' + lines.split('layer { name: "drop"')[0]


def make_project(folder: Path) -> Path:
    """prototxt/little/linear and photos, which start from a small random net."""
    finetune_samples.make_photos(folder / "photos")
    feature_samples.write_net(folder, folder / "weights")
    frozen = body().replace(
        "  convolution_param", "  param { lr_mult: 0 } param { lr_mult: 0 }\n"
        "  convolution_param",
    )  # fmt: skip
    for name, solver in SOLVERS.items():
        to = folder / "prototxt/little" / name
        to.mkdir(parents=True)
        data = DATA.format(phase="TRAIN", which="train")
        data += DATA.format(phase="TEST", which="val")
        (to / "train_val.prototxt").write_text(data + frozen + HEAD + LOSS)
        shape = "input_param { shape { dim: 8 dim: 3 dim: 40 dim: 40 } }"
        entry = f'layer {{ name: "data" type: "Input" top: "data" {shape} }}\n'
        (to / "deploy.prototxt").write_text(entry + body() + HEAD + PROB)
        (to / "solver.prototxt").write_text(
            f'net: "prototxt/little/{name}/train_val.prototxt"\n'
            f'weights: "prototxt/features/small"\nrandom_seed: 1\n{solver}\n'
        )
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("linear"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_WEIGHTS", str(folder / "weights"))
        words = ("finetune", "little-linear", "--from", "photos", "--jobs", "1")
        result = finetune_samples.run(folder, *words)
    assert result.returncode == 0, result.stderr
    return folder


def prepared(project: Path, which: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a set, by OpenCV alone from the JPEGs of the data set."""
    from dec.data.leveldb import encoded

    rows, labels = [], []
    for jpeg, label in encoded.read_photos(project / "data/labelled-48x48" / which):
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        pixels = (pixels[4:44, 4:44].astype(np.float32) - [104, 117.5, 123]) * 0.02
        rows.append(pixels.transpose(2, 0, 1))
        labels.append(label)
    return np.stack(rows).astype(np.float32), np.array(labels)


def blobs(project: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
    import caffe

    run = project / "runs/little-linear"
    net = caffe.Net(
        str(run / "deploy.prototxt"), caffe.TEST, weights=str(run / "final.caffemodel")
    )
    net.blobs["data"].reshape(*inputs.shape)
    net.blobs["data"].data[...] = inputs
    net.forward()
    return {k: net.blobs[k].data.reshape(len(inputs), -1) for k in ("average", "prob")}


def test_the_nets_probabilities_are_scikit_learns(project):
    inputs, labels = prepared(project, "train")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    parts = StratifiedKFold(5, shuffle=True, random_state=1)
    grid = {"logisticregression__C": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]}
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=parts)
    search.fit(blobs(project, inputs)["average"].astype(np.float64), labels)
    test, _ = prepared(project, "test")
    found = blobs(project, test)
    wanted = search.predict_proba(found["average"].astype(np.float64))
    np.testing.assert_allclose(found["prob"], wanted, atol=1e-5)
    facts = finetune_samples.metrics_of(project, "little-linear")["regression"]
    assert facts["C"] == search.best_params_["logisticregression__C"]


def test_predictions_are_opencvs(project):
    run = project / "runs/little-linear"
    net = cv2.dnn.readNetFromCaffe(
        str(run / "deploy.prototxt"), str(run / "final.caffemodel")
    )
    inputs, _ = prepared(project, "test")
    net.setInput(inputs)
    theirs = net.forward().reshape(len(inputs), -1)
    np.testing.assert_allclose(theirs, blobs(project, inputs)["prob"], atol=1e-5)
    rows = (run / "predictions.csv").read_text().splitlines()
    said = [float(x.split(",")[4]) for x in rows if x.startswith("test,")]
    np.testing.assert_allclose(said, theirs.max(axis=1), atol=1e-5)


def test_a_run_like_any_other(project):
    run = project / "runs/little-linear"
    found = finetune_samples.metrics_of(project, "little-linear")
    assert found["train"]["accuracy"] > 0.8
    assert found["weights"]["taken"] == ["conv1", "squeeze", "expand1", "expand3"]
    result = finetune_samples.run(project, "classify", run, "photos/down/03.jpg")
    assert result.returncode == 0 and "photos/down/03.jpg: " in result.stdout
    report(run)
    page = (run / "report.html").read_text()
    assert "logistic regression" in page and "Loss by iteration" not in page
    assert "--run" in page and "--weights" not in page


def test_again_is_up_to_date_and_gives_the_same_bits(project):
    words = ("finetune", "little-linear", "--data", "data/labelled-48x48")
    file = "final.caffemodel"
    os.environ["DEC_WEIGHTS"] = str(project / "weights")
    try:
        again = finetune_samples.run(project, *words)
        other = finetune_samples.run(project, *words, "--run", "runs/other")
    finally:
        del os.environ["DEC_WEIGHTS"]
    assert "up to date" in again.stderr + again.stdout
    assert other.returncode == 0, other.stderr
    here, there = (project / "runs" / n / file for n in ("little-linear", "other"))
    assert here.read_bytes() == there.read_bytes()


def test_caffes_solver_starts_from_the_published_weights(project, monkeypatch):
    monkeypatch.setenv("DEC_WEIGHTS", str(project / "weights"))
    words = ("finetune", "little", "--data", "data/labelled-48x48")
    result = finetune_samples.run(project, *words)
    assert result.returncode == 0, result.stderr
    found = finetune_samples.metrics_of(project, "little-photos")
    assert found["weights"]["random"] == ["fc_photos"]
    content = (project / "runs/little-photos/final.caffemodel").read_bytes()
    ours = finetune_samples.weights(content)
    published = (project / "weights/small.caffemodel").read_bytes()
    theirs = finetune_samples.weights(published)
    assert all(ours[name] == theirs[name] for name in ("conv1", "expand3"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--patience", "2"), "has no validations for --patience"),
        (("--weights", "nowhere.caffemodel"), "nowhere.caffemodel: cannot be read"),
    ],
)
def test_what_cannot_be(project, monkeypatch, words, message):
    monkeypatch.setenv("DEC_WEIGHTS", str(project / "weights"))
    words = ("--data", "data/labelled-48x48", "--run", "runs/bad", *words)
    result = finetune_samples.run(project, "finetune", "little-linear", *words)
    assert result.returncode != 0 and message in result.stderr


def test_weights_not_to_be_had(project, monkeypatch, tmp_path):
    monkeypatch.setenv("DEC_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEC_OFFLINE", "1")
    words = ("--data", "data/labelled-48x48", "--run", tmp_path / "run")
    result = finetune_samples.run(project, "finetune", "little-linear", *words)
    assert result.returncode != 0
    assert "small.caffemodel is not there" in result.stderr
    assert "DEC_WEIGHTS=folder" in result.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("finetune {} --from photos", "little-linear"),
        ("finetune {} --from photos --weights no.caffemodel", "little-linear"),
        ("experiments {} photos --list list.toml --run runs/list", "little"),
        ("loop simulate photos clusters.csv --experiment {} --run runs/list", "little"),
    ],
)
def test_missing_weights_are_noticed_before_photos_are_read(
    project, monkeypatch, tmp_path, command, name
):
    monkeypatch.setenv("DEC_WEIGHTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for folder in ("prototxt", "photos"):
        (tmp_path / folder).symlink_to(project / folder)
    (tmp_path / "list.toml").write_text('[[experiment]]\nname = "all"\n')
    rows = [(f"{c}/{i:02}.jpg", c) for c in CLASSES for i in range(20)]
    write_table(tmp_path / "clusters.csv", [("file", "cluster"), *rows])
    words = command.format(name).split()
    result = finetune_samples.run(tmp_path, *words)
    assert result.returncode != 0
    assert "caffemodel is not there" in result.stderr or "cannot be read" in (
        result.stderr
    )
    assert not (tmp_path / "data").exists()
    assert not list(tmp_path.rglob("data-*")) and "looking" not in result.stderr


def test_two_classes_have_two_outputs():
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(60, 5)), np.arange(60) % 2
    rows[labels == 1, 0] += 2
    rows[:, 4] = 7  # a channel that never changes
    found = linear.fit(rows, labels, ["a", "b"])
    z = rows @ found.weight.T + found.bias
    proba = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=found.c))
    np.testing.assert_allclose(
        proba, model.fit(rows, labels).predict_proba(rows), atol=1e-5
    )


def test_classes_of_one_photo_have_no_cross_validation(monkeypatch):
    said = []
    monkeypatch.setattr(linear.progress, "say", said.append)
    rows, labels = np.random.default_rng(3).normal(size=(9, 4)), [0] * 8 + [1]
    found = linear.fit(rows, np.array(labels), ["a", "b"])
    assert (found.c, found.losses) == (linear.ALONE, {})
    assert 'class "b" has one photo in train' in said[0]


def test_bad_rows():
    rows, labels = np.zeros((8, 4)), np.arange(8) % 2
    with pytest.raises(DecError, match='"c" has 0 photos in train'):
        linear.fit(rows, labels, ["a", "b", "c"])
    with pytest.raises(DecError, match="two classes with photos are the least"):
        linear.fit(rows, labels * 0, ["a"])
    rows[3, 1] = np.nan
    with pytest.raises(DecError, match="NaN or infinity"):
        linear.fit(rows, labels, ["a", "b"])


def test_the_shipped_ones_are_found_by_their_names():
    for name, folder in (("squeezenet", "photos"), ("squeezenet-linear", "linear")):
        found = Experiment.find(name)
        assert found.folder.parts[-2:] == ("squeezenet", folder)
        assert found.options().size == (256, 256)
    with pytest.raises(DecError, match="squeezenet-linear, squeezenet-photos"):
        Experiment.find("squeeze")


@pytest.mark.real
def test_real_photos_few_of_them(tmp_path, monkeypatch):
    """24 photos of each of three classes, by SqueezeNet's published weights."""
    photos = real("data", "photos", "caltech_3class")
    monkeypatch.setenv("DEC_WEIGHTS", str(real("models", "squeezenet")))
    for folder in sorted(p for p in photos.iterdir() if p.is_dir()):
        (tmp_path / "photos" / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[::9][:24]:
            (tmp_path / "photos" / folder.name / file.name).symlink_to(file)
    words = ("finetune", "squeezenet-linear", "--from", "photos", "--jobs", "1")
    result = finetune_samples.run(tmp_path, *words, "--shares", "50/10/40")
    assert result.returncode == 0, result.stderr
    file = tmp_path / "runs/squeezenet-linear/metrics.json"
    assert json.loads(file.read_text())["test"]["accuracy"] > 0.8
