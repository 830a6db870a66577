"""Weights, prototxts and calls of dec finetune that do not fit: one clear error."""

import re
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2
from finetune_samples import FINETUNE, fresh, make_project, metrics_of, run, weights

from dec.base.errors import DecError
from dec.classify.experiment import Experiment, Files
from dec.classify.train import finetune
from dec.data.labelled.dataset import DataSet, Options, build_labelled
from dec.engine.runs import Run
from dec.nets.weights import read_weights, say_match


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A project with its data set, nothing trained in it; not to be changed."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    options = Options(size=(36, 36), jobs=1)
    build_labelled(folder / "photos", folder / "data/labelled-36x36", options)
    return folder


@pytest.fixture
def project(built, tmp_path, monkeypatch) -> Path:
    """The working folder."""
    folder = fresh(built, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def tune(**options) -> dict:
    """Fine-tunes in the working folder; what fails early needs no Caffe."""
    experiment = Experiment.find("tiny")
    data = DataSet.read(experiment.data())
    return finetune(experiment, Run(Path("runs/tiny")), data, **options)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "solver",
            "tiny/train_val",
            "gone/train_val",
            r'"net" names prototxt/gone/tra',
        ),
        ("solver", "net:", "nett:", r"solver\.prototxt:1:"),
        ("solver", "net:", "# net:", r'the field "net" is missing'),
        ("solver", "max_iter: 90", "max_iter: 0", r'"max_iter" must be positive'),
        ("train_val", 'name: "fc5_photos"', 'name: "fc9"', r'deploy.*no layer\s+"fc9"'),
        (
            "train_val",
            "crop_size: 32",
            "crop_size: 64",
            r"crop_size 64 of photos of 36",
        ),
        ("train_val", "mean_value: 117", "", r"a mean of the shape \(2, 1, 1\)"),
        ("train_val", "SoftmaxWithLoss", "HingeLoss", r"has no loss over classes"),
        (
            "train_val",
            'type: "Data"',
            'type: "DummyData"',
            r"0 Data layers in phase TR",
        ),
        (
            "deploy",
            "num_output: 8",
            "num_output: 9",
            r'"conv2" has 9 outputs, the train',
        ),
        (
            "deploy",
            'name: "conv3"',
            'name: "conv33"',
            r'"conv33" is not in the trained',
        ),
        (
            "deploy",
            "dim: 32 dim: 32",
            "dim: 24 dim: 24",
            r"its input is 3 x 24 x 24, th",
        ),
    ],
)
def test_prototxts_that_cannot_be(project, file, old, new, words):
    path = project / f"prototxt/tiny/{file}.prototxt"
    text = path.read_text()
    assert old in text
    text = text.replace(old, new)
    path.write_text(
        text.replace('"InfogainLoss"', '"HingeLoss"') if "Hinge" in new else text
    )
    with pytest.raises(DecError) as found:
        tune()
    assert re.search(words, str(found.value)), found.value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"changes": "gama: 1"}, r'"gama: 1": not fields of a solver'),
        ({"patience": 2, "changes": "test_interval: 0"}, r"there is no validation"),
    ],
)
def test_options_that_cannot_be(project, options, words):
    with pytest.raises(DecError, match=words):
        tune(**options)


def test_a_power_layer_in_place_has_no_right_gradient(project):
    """Caffe computes another one for it, and says nothing."""
    path = project / "prototxt/tiny/train_val.prototxt"
    parts = re.split(r'(?=layer \{\s*name: "loss")', path.read_text())
    layer = 'layer {{ name: "p" type: "Power" bottom: "fc5_photos" top: "{}" }}\n'
    path.write_text(parts[0] + layer.format("fc5_photos") + "".join(parts[1:]))
    with pytest.raises(DecError, match=r'layer "p" \(Power\) overwrites its input'):
        tune()
    path.write_text(parts[0] + layer.format("p") + "".join(parts[1:]))
    experiment = Experiment.find("tiny")
    Files(experiment, Run(Path("runs/own")), DataSet.read(experiment.data()))
    # Before all layers that learn there is no gradient that could be wrong.
    first = re.sub('"fc5_photos"', '"data"', layer.format("data"))
    parts = re.split(r'(?=layer \{\s*name: "conv1")', "".join(parts))
    path.write_text(parts[0] + first + parts[1])
    Files(experiment, Run(Path("runs/own")), DataSet.read(experiment.data()))


def test_a_net_without_a_weighted_loss_is_not_weighted(project):
    path = project / "prototxt/tiny/train_val.prototxt"
    text = path.read_text()
    path.write_text(text.replace('"InfogainLoss"', '"SoftmaxWithLoss"'))
    with pytest.raises(DecError, match='no InfogainLoss of the stage "weighted"'):
        tune(weighted=True)


def test_experiments_and_data_that_are_not_there(project):
    with pytest.raises(DecError, match=r"nothing: there is no such experiment .* tiny"):
        Experiment.find("nothing")
    with pytest.raises(DecError, match="there is no data set of labelled photos"):
        DataSet.read("data/none")
    path = project / "prototxt/tiny/train_val.prototxt"
    path.write_text(path.read_text().replace("-36x36/train", "/train"))
    with pytest.raises(DecError, match="does not end with a size"):
        Experiment.find("tiny").options()


def model(path: Path, name: str = "other", shape=(1,)) -> Path:
    """A caffemodel of one layer."""
    net = caffe_pb2.NetParameter()
    blob = net.layer.add(name=name).blobs.add()
    blob.shape.dim.extend(shape)
    blob.data.extend([0.5] * (shape[0] * shape[-1]))
    path.write_bytes(net.SerializeToString())
    return path


def test_weights_that_cannot_be_read(tmp_path):
    path = tmp_path / "w.caffemodel"
    with pytest.raises(DecError, match="cannot be read: No such file"):
        read_weights(path)
    path.write_bytes(b"no model")
    with pytest.raises(DecError, match="is no caffemodel, or cut short"):
        read_weights(path)
    path.write_bytes(b"")
    with pytest.raises(DecError, match="holds no weights"):
        read_weights(path)


def test_weights_are_checked_by_their_sum(tmp_path):
    path = model(tmp_path / "w.caffemodel")
    found = read_weights(path).sha256
    assert read_weights(path, found.upper()).shapes == {"other": [(1,)]}
    with pytest.raises(DecError, match="not 00: cut short, damaged, or another model"):
        read_weights(path, "00")
    path = model(tmp_path / "bvlc_reference_caffenet.caffemodel")
    words = "not 472d4a06.* another model under the reference model's name"
    with pytest.raises(DecError, match=words):
        read_weights(path)
    assert read_weights(path, found).sha256 == found


def test_weights_of_another_net(tmp_path):
    ours = {"conv1": [(8, 3, 5, 5), (8,)], "fc": [(3, 10), (3,)]}
    other = read_weights(model(tmp_path / "a"))
    with pytest.raises(
        DecError, match=r"another net: none of its layers \(other\) has"
    ):
        say_match(other, ours)
    shape = read_weights(model(tmp_path / "b", "fc", (4, 10)))
    with pytest.raises(DecError, match=r'"fc" has weights of 4 x 10, the net\'s has 3'):
        say_match(shape, ours)


def test_old_files_have_four_dimensions(tmp_path):
    net = caffe_pb2.NetParameter()
    layer = net.layers.add(name="fc")
    layer.blobs.add(num=1, channels=1, height=3, width=10, data=[0] * 30)
    layer.blobs.add(num=1, channels=1, height=1, width=3, data=[0] * 3)
    path = tmp_path / "v1"
    path.write_bytes(net.SerializeToString())
    record = say_match(read_weights(path), {"fc": [(3, 10), (3,)], "new": [(2,)]})
    assert (record["taken"], record["random"], record["left"]) == (["fc"], ["new"], [])


def test_it_starts_from_weights_and_says_which_layers_take_them(project):
    small = "max_iter: 2 display: 1 momentum: 0 test_interval: 0 snapshot: 0"
    first = run(project, *FINETUNE, "--set", small)
    assert first.returncode == 0, first.stderr
    before = (project / "runs/tiny/final.caffemodel").read_bytes()
    for path in (project / "prototxt/tiny").glob("*.prototxt"):
        path.write_text(path.read_text().replace("fc5_photos", "fc5_new"))
    result = run(
        project, "finetune", "tiny", "--run", "runs/second", "--weights",
        "runs/tiny/final.caffemodel", "--set", small + " base_lr: 0",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "taken           conv1, bn_conv1, scale_conv1, conv2, " in result.stderr
    assert "random          fc5_new" in result.stderr
    assert "left            fc5_photos" in result.stderr
    old, new = (
        weights(before),
        weights((project / "runs/second/final.caffemodel").read_bytes()),
    )
    assert all(new[name] == old[name] for name in ("conv1", "conv4", "scale_conv4"))
    assert "fc5_new" in new and "fc5_photos" not in new
    assert metrics_of(project, "second")["weights"]["taken"][0] == "conv1"


def test_training_that_diverges(project):
    result = run(project, *FINETUNE, "--set", "base_lr: 1e30")
    assert result.returncode == 1
    assert "training diverged. Try a smaller base_lr in prototxt/tiny" in result.stderr
    assert "Traceback" not in result.stderr
