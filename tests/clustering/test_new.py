"""`dec new`: an experiment is copied once, fitted, and is the user's from then on."""

import re

import numpy as np
import pytest
from conftest import CLUSTERS, DEC, ROOT, assert_clear_error, make_project, run

from dec.data.leveldb import write_rows
from dec.engine.experiment import clusters_of
from dec.nets import prototxt


def files(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.proto*")}


def test_only_what_differs_is_changed(tmp_path):
    words = ["--like", "mnist", "--width", "12", "--clusters", "5"]
    result = run([DEC, "new", "shells", *words], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "rows of 12 numbers" in result.stderr
    new, old = tmp_path / "prototxt/dec/shells", ROOT / "prototxt/dec/mnist"
    assert files(new).keys() == files(old).keys()
    assert not list(new.rglob("*.caffemodel"))
    for name, text in files(new).items():
        before = files(old)[name].splitlines()
        for line, was in zip(text.splitlines(), before, strict=True):
            if line != was:  # of names, of the width, and of the clusters
                assert re.search(r"mnist|784|0\.0012755|0\.035714|: 10\b", was), was
        assert "784" not in text and "/mnist" not in text and "data/mnist" not in text
    stack = prototxt.read_net(new / "stack.prototxt")
    (layer,) = (x for x in stack.layer if x.name == "d_data")
    assert layer.inner_product_param.num_output == 12
    (loss,) = (x for x in stack.layer if x.type == "EuclideanLoss")
    assert loss.loss_weight[0] == pytest.approx(1 / 12)
    assert clusters_of(prototxt.read_net(new / "dec.prototxt"), "") == 5
    (first,) = (x for x in stack.layer if x.name == "inner1")
    assert first.inner_product_param.weight_filler.max == pytest.approx(12**-0.5, 1e-4)


def test_from_data_to_clusters(tmp_path):
    """The width is that of the LevelDBs of its name; an edit changes the run."""
    project = make_project(tmp_path)
    for part in ("total", "train", "test"):
        (project / f"data/blobs_{part}").rename(project / f"data/shells_{part}")
    result = run([DEC, "new", "shells", "--like", "blobs"], project)
    assert result.returncode == 0, result.stderr
    result = run([DEC, "run", "shells", "--max-rounds", "2"], project)
    assert result.returncode == 0, result.stderr
    assert "fitted" not in result.stderr
    solver = project / "prototxt/dec/shells/dec_solver.prototxt"
    solver.write_text(solver.read_text().replace("max_iter: 7", "max_iter: 3"))
    result = run([DEC, "run", "shells", "--max-rounds", "2"], project)
    assert "dec: up to date" not in result.stderr
    assert "stack: up to date" in result.stderr


def test_nothing_is_overwritten(tmp_path):
    run([DEC, "new", "mine"], tmp_path)
    solver = tmp_path / "prototxt/dec/mine/dec_solver.prototxt"
    solver.write_text("edited")
    result = run([DEC, "new", "mine"], tmp_path)
    assert_clear_error(result, "prototxt/dec/mine", "is there already")
    assert solver.read_text() == "edited"


@pytest.mark.parametrize("like,interval", [("photos", 160), ("text", 20), ("own", 160)])
def test_own_datas_kinds_have_one_solver_each(tmp_path, like, interval):
    result = run([DEC, "new", "mine", "--like", like], tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "prototxt/dec/mine"
    names = {p.name for p in folder.glob("*_solver.prototxt")}
    few = {"few_dec_solver.prototxt"} if like != "text" else set()
    assert names == {"dec_solver.prototxt", "frozen_solver.prototxt", *few}
    solver = prototxt.read_solver(folder / "dec_solver.prototxt")
    assert solver.max_iter == interval


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a b"])
def test_names_that_are_no_folders(tmp_path, name):
    result = run([DEC, "new", name], tmp_path)
    assert_clear_error(result, "name")
    assert not any(tmp_path.iterdir())


def test_data_without_an_experiment(tmp_path):
    """LevelDBs of any name are run with own's nets, made small here."""
    project = make_project(tmp_path)
    (project / "prototxt/dec/blobs").rename(project / "prototxt/dec/own")
    for file in (project / "prototxt/dec/own").rglob("*.prototxt"):
        file.write_text(file.read_text().replace("/blobs", "/own"))
    rng = np.random.default_rng(1)
    labels = np.arange(120) % 4
    rows = (rng.normal(size=(4, 9))[labels] * 2).astype(np.float32)
    rows += rng.normal(size=rows.shape).astype(np.float32) * 0.1
    for part in ("total", "train", "test"):
        write_rows(project / f"data/mine_{part}", rows, labels)
    result = run([DEC, "run", "mine", "--clusters", "4", "--report"], project)
    assert result.returncode == 0, result.stderr
    assert "9 numbers a row" in result.stderr and "4 clusters" in result.stderr
    page = (project / "runs/mine/report.html").read_text()
    assert "dec run mine --run runs/mine" in page
    assert CLUSTERS != 4
    # `caffe train` on the copies does what `dec` did, from the run's own files.
    net = prototxt.read_net(project / "runs/mine/prototxt/dec.prototxt")
    sources = {layer.data_param.source for layer in net.layer}
    assert sources == {"", "data/mine_total", "runs/mine/train_weight"}
