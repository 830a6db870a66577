"""The nets that come with dec: shapes of the reference model, agreement of files."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from finetune_samples import ROOT, make_photos, run
from google.protobuf import text_format

from dec.classify.experiment import Experiment, Files
from dec.data.labelled.dataset import DataSet, Options, build_labelled
from dec.engine.runs import Run
from dec.nets import prototxt

REFERENCE = ROOT / "build/caffe-source/models/bvlc_reference_caffenet/deploy.prototxt"
NETS = ("caffenet-small", "caffenet-photos")
_SHAPES = """
import os; os.environ["GLOG_minloglevel"] = "3"
import caffe, json, sys
net = caffe.Net(sys.argv[1], caffe.TEST)
print(json.dumps([{n: [list(b.data.shape) for b in bs] for n, bs in net.params.items()},
                  {n: list(b.data.shape) for n, b in net.blobs.items()}]))
"""


def shapes(deploy: Path) -> list[dict]:
    """Of the weights and of the blobs of a net."""
    python = ROOT / ".venv/bin/python"
    out = subprocess.run([python, "-c", _SHAPES, str(deploy)], check=True,
                         capture_output=True, text=True).stdout  # fmt: skip
    return json.loads(out)


@pytest.mark.skipif(not REFERENCE.exists(), reason="Caffe's source is not in build/")
def test_caffenet_takes_the_reference_models_weights():
    weights, blobs = shapes(ROOT / "prototxt/caffenet/photos/deploy.prototxt")
    known, theirs = shapes(REFERENCE)
    assert list(weights)[:-1] == list(known)[:-1]
    for name in list(known)[:-1]:
        assert weights[name] == known[name], name
    assert weights["fc8_photos"] == [[3, 4096], [3]]
    for name in ("data", "conv1", "pool1", "norm1", "pool2", "conv5", "pool5", "fc7"):
        assert blobs[name] == theirs[name], name
    # What the shapes do not tell.
    ours = prototxt.read_net(ROOT / "prototxt/caffenet/photos/deploy.prototxt")
    ref = prototxt.read_net(REFERENCE)
    settings = {layer.name: layer for layer in ref.layer}
    for layer in ours.layer:
        kind = layer.type
        if kind in ("Convolution", "Pooling", "LRN", "Dropout"):
            other = settings[layer.name.replace("drop_fc", "drop").replace("relu_", "")]
            field = {
                "Convolution": "convolution_param",
                "Pooling": "pooling_param",
                "LRN": "lrn_param",
                "Dropout": "dropout_param",
            }[kind]
            assert getattr(layer, field) == getattr(other, field), layer.name


@pytest.mark.parametrize("name", NETS)
def test_deploy_is_the_trained_net(name):
    """Layer by layer: but for data, loss, and how weights begin and learn."""
    folder = ROOT / "prototxt" / name.replace("-", "/")
    trained = prototxt.read_net(folder / "train_val.prototxt").layer
    deploy = prototxt.read_net(folder / "deploy.prototxt").layer
    inner = [x for x in trained if x.name not in ("data", "loss", "accuracy")]
    assert [x.name for x in deploy] == ["data", *(x.name for x in inner), "prob"]
    for a, b in zip(inner, deploy[1:-1], strict=True):
        del a.param[:]
        for field in ("convolution_param", "inner_product_param"):
            if a.HasField(field):
                getattr(a, field).ClearField("weight_filler")
                getattr(a, field).ClearField("bias_filler")
        a.ClearField("batch_norm_param")  # how fast the stored statistics follow
        assert text_format.MessageToString(a) == text_format.MessageToString(b)


@pytest.mark.parametrize("name", NETS)
def test_files_are_filled_in(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prototxt").symlink_to(ROOT / "prototxt")
    photos = make_photos(tmp_path / "photos", 5)
    experiment = Experiment.find(name)
    options = experiment.options()
    wanted = {
        "caffenet-small": Options((80, 80), copies=8),
        "caffenet-photos": Options((256, 256)),
    }
    assert options == wanted[name]
    built = build_labelled(photos, "data/mine", replace(options, jobs=1))
    files = Files(experiment, Run(Path("runs/x")), built, "gpu", 7, True, "gamma: 0.5")
    files.write()
    solver = prototxt.read_solver(Path("runs/x/prototxt/solver.prototxt"))
    assert (solver.random_seed, solver.gamma) == (7, 0.5)
    assert solver.solver_mode == solver.GPU and solver.train_state.stage == ["weighted"]
    assert solver.net == "runs/x/prototxt/train_val.prototxt"
    assert list(solver.test_iter) == [1]  # 3 photos of val
    net = prototxt.read_net(Path(solver.net))
    train, val = (prototxt.data_layers(net, p, ())[0] for p in ("TRAIN", "TEST"))
    assert train.data_param.source == "data/mine/train"
    assert val.data_param.source == "data/mine/val"
    mean = "data/mine/mean.binaryproto" if name == "caffenet-photos" else ""
    assert train.transform_param.mean_file == val.transform_param.mean_file == mean
    assert train.transform_param.mirror and not val.transform_param.mirror
    losses = {x.type: x for x in net.layer if x.name == "loss"}
    weights = losses["InfogainLoss"].infogain_loss_param.source
    assert weights == "data/mine/class_weights.binaryproto"
    assert DataSet.read("data/mine").classes == built.classes


def test_the_reports_settings_are_caffenets():
    solver = prototxt.read_solver(ROOT / "prototxt/caffenet/photos/solver.prototxt")
    assert solver.base_lr == pytest.approx(0.001) and solver.lr_policy == "step"
    assert solver.gamma == pytest.approx(0.1) and solver.stepsize == 500
    assert solver.momentum == pytest.approx(0.9) and solver.max_iter == 4000
    assert solver.weight_decay == pytest.approx(0.0005)


def test_the_full_caffenet_trains_and_classifies(tmp_path):
    """Two iterations of four photos, from 256 x 256 photos with a mean image."""
    make_photos(tmp_path / "photos", 4)
    to = tmp_path / "prototxt/caffenet/photos"
    to.mkdir(parents=True)
    for path in (ROOT / "prototxt/caffenet/photos").glob("*.prototxt"):
        text = path.read_text().replace("batch_size: 256", "batch_size: 4")
        text = text.replace("batch_size: 50", "batch_size: 3").replace(
            "dim: 10", "dim: 4"
        )
        # A fully connected layer of a tenth: a quarter of a gigabyte takes time.
        text = text.replace("num_output: 4096", "num_output: 400")
        text = text.replace("dim: 10", "dim: 4")
        (to / path.name).write_text(text)
    result = run(tmp_path, "finetune", "caffenet-photos", "--from", "photos", "--jobs",
                 "1", "--set", "max_iter: 2 display: 1 snapshot: 0")  # fmt: skip
    assert result.returncode == 0, result.stderr
    done = run(tmp_path, "classify", "runs/caffenet-photos", "photos/down/00.jpg")
    assert done.returncode == 0 and done.stdout.startswith("photos/down/00.jpg: ")
