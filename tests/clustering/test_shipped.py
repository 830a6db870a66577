"""The encoders that ship: whole, of their experiment, and good on digits of others."""

import hashlib
import json

import caffe
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from sklearn.datasets import load_digits

from dec.clustering import encoder, pipeline
from dec.clustering.within import kmeans_within
from dec.engine.experiment import Experiment
from dec.scores.clusters import accuracy

ENCODERS = sorted((ROOT / "prototxt").rglob("encoder.caffemodel"))
# Of the 1,797 digits that scikit-learn has (UCI), which nobody here has trained on;
# k-means on their pixels comes to 73%.
FLOORS = {"paper": 0.82, "short": 0.82}


def named(path):
    return str(path.parent.relative_to(ROOT / "prototxt"))


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, 8 x 8, as MNIST has its own: rows of 784, and labels."""
    found = load_digits()
    rows = []
    for image in found.images:
        pixels = Image.fromarray((image * 255 / 16).astype(np.uint8))
        pixels = pixels.resize((20, 20), Image.Resampling.BICUBIC)
        ink = np.asarray(pixels, float)
        y, x = (ink.sum(axis) @ np.arange(20) / ink.sum() for axis in (1, 0))
        whole = Image.new("L", (28, 28))
        whole.paste(pixels, (round(13.5 - x), round(13.5 - y)))
        rows.append(np.asarray(whole).ravel() * 0.02)
    return np.array(rows, np.float32), found.target


def test_both_schedules_of_mnist_ship():
    assert [named(path) for path in ENCODERS] == ["dec/mnist/paper", "dec/mnist/short"]


@pytest.mark.parametrize("path", ENCODERS, ids=named)
def test_the_card_is_of_the_file(path):
    encoder.check(path)  # that is what a run does
    card = json.loads((path.parent / "card.json").read_text())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["sha256"] == {"encoder.caffemodel": found}
    assert card["command"].startswith("dec pretrain mnist")
    assert path.parent.name in card["command"]
    assert {"seed", "commit", "machine", "hours", "reconstruction_loss"} <= card.keys()


@pytest.mark.parametrize("path", ENCODERS, ids=named)
def test_it_clusters_digits_that_it_has_never_seen(path):
    rows, labels = digits()
    deploy = str(ROOT / "prototxt/dec/mnist/deploy.prototxt")
    net = caffe.Net(deploy, caffe.TEST, weights=str(path))
    net.blobs["data"].reshape(len(rows), 784, 1, 1)
    net.blobs["data"].data[...] = rows.reshape(net.blobs["data"].data.shape)
    net.forward(end="output")
    found = kmeans_within(net.blobs["output"].data.copy(), 10, seed=1)
    assert accuracy(labels, found.assigned, 10) >= FLOORS[path.parent.name]


def test_the_short_schedules_is_the_default():
    experiment = Experiment.find("mnist")
    short, paper = (encoder.shipped(experiment, name) for name in ("short", "paper"))
    of = pipeline.Pretraining.of
    assert of(experiment, None) == ("short", short, "")
    assert of(experiment, "paper") == ("paper", paper, "-paper")
    assert of(experiment, "train") == ("short", None, "-train")
    assert of(experiment, "train-paper") == ("paper", None, "-train-paper")
    # Data that the encoder was not trained on do not get it.
    assert of(Experiment.find("fashion-mnist"), None) == ("short", None, "")
