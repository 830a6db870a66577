"""How long phase 1 of few rows trains, and by which solver."""

import json
import math
import shutil

import numpy as np
import pytest
from conftest import DEC, ROOT, WIDTH, assert_clear_error, blobs, run
from test_pipeline import assert_same_weights
from test_resume import _STOP_BEHIND

from dec.base.errors import DecError
from dec.clustering.length import Length
from dec.data.leveldb import write_rows
from dec.nets import prototxt

WORDS = 'train_state { stage: "120-passes" stage: "150-iterations" stage: "mine" }\n'
FEW = "prototxt/dec/blobs/short/few_stack_solver.prototxt"


@pytest.fixture
def few(project):
    """A project whose schedule trains the whole at once and has a solver for few."""
    short = project / "prototxt/dec/blobs/short"
    for layer in short.glob("layer*"):
        layer.unlink()
    solver = short / "stack_solver.prototxt"
    kept = [
        line
        for line in solver.read_text().splitlines()
        if not line.startswith(("weights", "momentum_burnin", "lr_policy", "stepsize"))
    ]
    text = "\n".join(kept).replace("base_lr: 0.02", "base_lr: 0.1")
    solver.write_text(text + '\nlr_policy: "fixed"\n')
    adam = text.replace("base_lr: 0.1", "base_lr: 0.01").replace("gamma: 0.1\n", "")
    adam = adam.replace("max_iter: 200", "max_iter: 900")
    adam += '\ntype: "Adam" momentum2: 0.999 lr_policy: "poly" power: 1\n' + WORDS
    (project / FEW).write_text(adam)
    return project


def set_rows(project, n):
    rows, labels = blobs()
    for part in ("total", "train", "test"):
        shutil.rmtree(project / f"data/blobs_{part}")
        write_rows(project / f"data/blobs_{part}", rows[:n], labels[:n])


def test_iterations_are_passes_over_the_rows():
    length = Length(passes=120, least=500, most=5000)
    assert length.iterations(300, 256) == 500
    assert length.iterations(2158, 256) == 1012  # 120 x 2158 / 256, rounded up
    assert length.iterations(10_666, 256) == 5000
    assert length.iterations(10_667, 256) is None
    assert length.iterations(70_000, 256) is None


def test_own_has_such_a_solver_and_the_other_experiments_none():
    there = [p.parts[-3] for p in ROOT.glob("prototxt/dec/*/*/few_*_solver.prototxt")]
    assert there == ["own"]
    (dec,) = ROOT.glob("prototxt/dec/*/few_*_solver.prototxt")
    assert dec == ROOT / "prototxt/dec/own/few_dec_solver.prototxt"
    assert Length.read(dec) == (1, 40, 160)
    file = ROOT / "prototxt/dec/own/short/few_stack_solver.prototxt"
    length = Length.read(file)
    assert length.iterations(782, 256) < 1500
    solver = prototxt.read_solver(file)
    assert solver.type == "Adam" and solver.net.endswith("own/few_stack.prototxt")


def test_its_net_is_the_other_one_from_other_weights_and_the_rows_mean():
    nets = [
        prototxt.read_net(ROOT / f"prototxt/dec/own/{name}.prototxt")
        for name in ("stack", "few_stack")
    ]
    (centre,) = (layer for layer in nets[1].layer if layer.name == "centre")
    nets[1].layer.remove(centre)
    for net in nets:
        net.ClearField("name")
        for layer in net.layer:
            layer.inner_product_param.ClearField("weight_filler")
            layer.data_param.ClearField("batch_size")
    assert nets[0] == nets[1]


@pytest.mark.parametrize("words", ["", 'train_state { stage: "120-passes" }'])
def test_a_solver_for_few_rows_that_does_not_say_how_long(few, words):
    file = few / FEW
    file.write_text(file.read_text().replace(WORDS, words))
    with pytest.raises(DecError, match="few_stack_solver.*120-passes"):
        Length.read(file)
    assert_clear_error(run([DEC, "run", "blobs"], few), FEW, "500-iterations")


def test_few_rows_are_trained_by_it_and_that_is_said(few):
    set_rows(few, 40)  # less than a batch of 64: 75 iterations of passes, 150 at least
    result = run([DEC, "run", "blobs", "--report"], few)
    assert result.returncode == 0, result.stderr
    assert f"stack: few rows, so {FEW}, 150 iterations" in result.stderr
    copy = prototxt.read_solver(few / "runs/blobs/prototxt/stack_solver.prototxt")
    assert copy.max_iter == 150 and copy.type == "Adam"
    assert list(copy.train_state.stage) == ["mine"]
    assert (few / "runs/blobs/stack_iter_150.caffemodel").exists()
    page = (few / "runs/blobs/report.html").read_text()
    assert "few_stack_solver.prototxt" in page and "train-short" in page
    again = run([DEC, "run", "blobs"], few)
    assert "stack: up to date" in again.stderr

    # The rows of data that are not few, in the same folder, by the other solver.
    set_rows(few, 600)
    result = run([DEC, "run", "blobs"], few)
    assert result.returncode == 0, result.stderr
    assert "few rows" not in result.stderr
    copy = prototxt.read_solver(few / "runs/blobs/prototxt/stack_solver.prototxt")
    assert copy.type == "SGD" and copy.max_iter == 200


def test_rounds_of_few_rows_are_shorter(pretrained):
    folder = pretrained / "prototxt/dec/blobs"
    solver = (folder / "dec_solver.prototxt").read_text()
    words = 'train_state { stage: "3-passes" stage: "5-iterations" }\n'
    few = solver.replace("max_iter: 7", "max_iter: 12") + words
    (folder / "few_dec_solver.prototxt").write_text(few)

    def interval(*options):
        command = [DEC, "cluster", "blobs", "--pretrain", "stack.caffemodel"]
        result = run([*command, "--max-rounds", "2", *options], pretrained)
        assert result.returncode == 0, result.stderr
        metrics = json.loads((pretrained / "runs/blobs/metrics.json").read_text())
        return metrics["interval"], "few_dec_solver.prototxt" in result.stderr

    batch = 64
    assert interval() == (7, False)  # 600 rows: 29 iterations are more than 12
    set_rows(pretrained, 200)
    assert interval() == (math.ceil(3 * 200 / batch), True)
    assert interval("--update-interval", "6") == (6, True)
    set_rows(pretrained, 60)
    assert interval() == (5, True)


def test_stopped_it_goes_on_to_the_same_bits(few, tmp_path):
    """Adam's moments and the falling rate are in the snapshot."""
    set_rows(few, 40)
    other = tmp_path / "stopped"
    shutil.copytree(few, other)
    assert run([DEC, "run", "blobs"], few).returncode == 0
    python = ROOT / ".venv/bin/python"
    stopped = run([python, "-c", _STOP_BEHIND, "run", "blobs"], other)
    assert stopped.returncode == 130, stopped.stderr
    last = run([DEC, "run", "blobs"], other)
    assert last.returncode == 0 and "goes on from iteration" in last.stderr
    for name in ("stack_iter_150.caffemodel", "final.caffemodel"):
        assert_same_weights(few / "runs/blobs" / name, other / "runs/blobs" / name)


def test_a_batch_of_more_rows_than_there_are_goes_round(tmp_path):
    import caffe

    rows = blobs()[0][:40]
    write_rows(tmp_path / "rows", rows)
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "data" type: "Data" top: "data" data_param { batch_size: 64 '
        f'backend: LEVELDB source: "{tmp_path / "rows"}" }} }}'
    )
    net = caffe.Net(str(net), caffe.TRAIN)
    for i in range(3):
        net.forward()
        wanted = rows[np.arange(64 * i, 64 * i + 64) % 40]
        assert np.array_equal(net.blobs["data"].data.reshape(-1, WIDTH), wanted)
