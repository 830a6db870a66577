"""Every experiment's prototxts: they load, agree with each other, and say the truth."""

import re
from pathlib import Path

import caffe
import pytest
from conftest import ROOT
from google.protobuf import text_format

from dec.base.errors import DecError
from dec.engine import experiment as experiments
from dec.engine.experiment import Experiment
from dec.nets import prototxt

DEC = sorted((ROOT / "prototxt/dec").iterdir())
CAFFENET = sorted((ROOT / "prototxt/caffenet").iterdir())
NETS = sorted(
    path
    for path in (ROOT / "prototxt").rglob("*.prototxt")
    if "solver" not in path.name
)
SOLVERS = sorted((ROOT / "prototxt").rglob("*solver.prototxt"))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT / "prototxt"))


def tops(layer, width: int, crop: int) -> list[list[int]]:
    """Shapes of what a Data layer would give."""
    batch = layer.data_param.batch_size
    if len(layer.top) == 2:
        return [[batch, 3, crop, crop], [batch]]
    return [[batch, width, 1, 1]]


def load(path: Path, folder: Path, phase: str) -> caffe.Net:
    """A net of the project in Caffe, with made-up numbers for those of LevelDBs."""
    net = prototxt.read_net(path)
    deploy = prototxt.read_net(path.parent / "deploy.prototxt")
    shape = deploy.layer[0].input_param.shape[0].dim
    for layer in net.layer:
        if layer.type != "Data":
            continue
        width = shape[1]
        if layer.top[0] == "label":
            width = experiments.clusters_of(net, str(path))
        shapes = tops(layer, width, shape[2])
        layer.type = "DummyData"
        for one in shapes:
            layer.dummy_data_param.shape.add().dim.extend(one)
        layer.ClearField("data_param")
        layer.ClearField("transform_param")
    file = folder / "net.prototxt"
    file.write_text(text_format.MessageToString(net))
    return caffe.Net(str(file), getattr(caffe, phase))


@pytest.mark.parametrize("path", NETS, ids=short)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_every_net_loads_in_caffe_and_runs(path, phase, tmp_path):
    if path.parts[-3] == "caffenet" and path.parent.name == "photos":
        net = prototxt.read_net(path)
        for layer in net.layer:  # a batch of one is enough of 227 x 227 pixels
            layer.data_param.batch_size = 1
    load(path, tmp_path, phase).forward()


@pytest.mark.parametrize("folder", DEC, ids=lambda path: path.name)
def test_deploy_and_training_nets_agree(folder, tmp_path):
    shapes = {
        name: {
            layer: [blob.data.shape for blob in blobs]
            for layer, blobs in load(
                folder / f"{name}.prototxt", tmp_path, "TEST"
            ).params.items()
        }
        for name in ("stack", "dec", "frozen", "deploy")
    }
    assert shapes["dec"] == shapes["frozen"] == shapes["deploy"]
    encoder = {k: v for k, v in shapes["stack"].items() if not k.startswith("d_")}
    # The rows' mean is of the autoencoder for few rows alone; without it, it is 0.
    others = {"loss", "centre"} if folder.name == "own" else {"loss"}
    assert encoder == {k: v for k, v in shapes["dec"].items() if k not in others}
    layers = [load(folder / f"layer{i}.prototxt", tmp_path, "TRAIN") for i in (1, 2, 3)]
    for i, net in enumerate(layers, 1):
        own = [blob.data.shape for blob in net.params[f"inner{i}"]]
        assert own == encoder[f"inner{i}"]


@pytest.mark.parametrize("folder", CAFFENET, ids=lambda path: path.name)
def test_deploy_and_training_caffenets_agree(folder, tmp_path):
    trained, deploy = (
        load(folder / f"{name}.prototxt", tmp_path, "TEST").params
        for name in ("train_val", "deploy")
    )
    assert {k: [b.data.shape for b in v] for k, v in trained.items()} == {
        k: [b.data.shape for b in v] for k, v in deploy.items()
    }


@pytest.mark.parametrize("path", SOLVERS, ids=short)
def test_every_solver_names_a_net_of_its_own_folder(path):
    solver = prototxt.read_solver(path)
    net = ROOT / solver.net
    assert net.exists() and net.parent in (path.parent, path.parent.parent)
    if solver.type == "LogisticRegression":  # not Caffe's: there are no snapshots
        assert not solver.HasField("snapshot_prefix")
        return
    run = re.match(r"runs/([^/]+)/", solver.snapshot_prefix)
    method, name = net.parent.parts[-2:]
    assert run[1] == (name if method == "dec" else f"{method}-{name}")


@pytest.mark.parametrize("path", NETS, ids=short)
def test_every_net_reads_its_own_leveldbs(path):
    for layer in prototxt.read_net(path).layer:
        source = layer.data_param.source
        if source and "dec" in path.relative_to(ROOT).parts:
            name = path.parent.name
            assert source.startswith((f"data/{name}_", f"runs/{name}/")), source


@pytest.mark.parametrize("folder", [*DEC, *CAFFENET], ids=lambda path: path.name)
def test_every_experiment_is_complete(folder):
    readme = (folder / "README.md").read_text()
    assert "deploy.prototxt" in readme or "../" in readme
    assert (folder / "deploy.prototxt").exists()


def test_where_experiments_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Experiment.find("mnist").folder == ROOT / "prototxt/dec/mnist"
    assert Experiment.find("caffenet-small", "caffenet", "solver.prototxt").name == (
        "caffenet-small"
    )
    mine = tmp_path / "prototxt/dec/mnist"
    mine.mkdir(parents=True)
    (mine / "dec.prototxt").touch()
    found = Experiment.find("mnist")
    assert found.folder == Path("prototxt/dec/mnist") and found.root == Path()
    assert Experiment.find("prototxt/dec/mnist") == found
    with pytest.raises(DecError, match=r"none: there is no such .* mnist, "):
        Experiment.find("none")


def test_data_without_an_experiment_are_fitted_to_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Experiment.find("photos")
    assert (found.name, found.folder.name) == ("photos", "own")
    net = found.read_net("prototxt/dec/own/dec.prototxt")
    (layer,) = prototxt.data_layers(net, "TEST")
    assert layer.data_param.source == "data/photos_total"
    assert Experiment.find("reuters10k").folder.name == "reuters"
    (tmp_path / "data/shells_total").mkdir(parents=True)
    assert Experiment.find("shells").folder.name == "own"


def test_dec_home_is_where_data_and_runs_are(tmp_path, monkeypatch):
    monkeypatch.setenv("DEC_HOME", str(tmp_path))
    found = Experiment.find("mnist")
    (layer,) = prototxt.data_layers(
        found.read_net("prototxt/dec/mnist/dec.prototxt"), "TEST"
    )
    assert layer.data_param.source == str(tmp_path / "data/mnist_total")
