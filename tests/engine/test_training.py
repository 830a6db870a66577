"""The training loop: stopped at any moment, it ends as if it had not been."""

import dataclasses
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from conftest import ROWS, blobs
from finetune_samples import weights
from google.protobuf import text_format

from dec.base.errors import DecError
from dec.data.leveldb import write_rows
from dec.engine import place, training
from dec.engine.experiment import Stage
from dec.engine.runs import Run
from dec.engine.training import Training

# Dropout draws from the generator that snapshots hold. 7 does not divide 600.
_NET = """
layer {{ name: "data" type: "Data" top: "data" include {{ phase: TRAIN }}
  data_param {{ source: "{rows}" batch_size: 7 backend: LEVELDB }} {transform} }}
layer {{ name: "data" type: "Data" top: "data" include {{ phase: TEST }}
  data_param {{ source: "{rows}" batch_size: 100 backend: LEVELDB }} }}
layer {{ name: "flat" type: "Flatten" bottom: "data" top: "flat" }}
layer {{ name: "drop" type: "Dropout" bottom: "flat" top: "drop" }}
layer {{ name: "code" type: "InnerProduct" bottom: "drop" top: "code"
  inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "code" top: "code" }}
layer {{ name: "back" type: "InnerProduct" bottom: "code" top: "back"
  inner_product_param {{ num_output: 6 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "back" bottom: "flat" top: "loss"
  loss_weight: 0.5 }}
"""
_SOLVER = """
base_lr: 0.01 momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 40 max_iter: 90
display: 5 snapshot: 25 test_interval: 18 test_iter: 1 test_initialization: false
random_seed: 3
"""
MIRROR = "transform_param { mirror: true }"


class Judge:
    """Scores by the loss on the test rows; an iteration it is interrupted in."""

    def __init__(self, scores=None, stop_in_call=0):
        self.scores, self.stop_in_call, self.calls = scores, stop_in_call, 0

    def measure(self, net) -> dict:
        self.calls += 1
        if self.calls == self.stop_in_call:
            os.kill(os.getpid(), signal.SIGINT)
        loss = 0.0
        for _ in range(ROWS // 100):
            net.forward()
            loss += float(net.blobs["loss"].data)
        found = round(loss, 3)  # the round begins at any row
        return {"score": self.scores[self.calls - 1] if self.scores else -found}

    def score(self, found: dict) -> float:
        return found["score"]

    def words(self, found: dict) -> str:
        return str(found["score"])


def make(folder: Path, changes="", transform="", judge=None, patience=None, key="k"):
    """A training of a tiny autoencoder; `changes` to its solver."""
    rows = folder / "rows"
    if not rows.exists():
        folder.mkdir(exist_ok=True)
        write_rows(rows, blobs()[0].reshape(ROWS, 1, 2, 3))
    net = caffe_pb2.NetParameter()
    text_format.Parse(_NET.format(rows=rows, transform=transform), net)
    solver = caffe_pb2.SolverParameter()
    text_format.Parse(_SOLVER, solver)
    text_format.Merge(changes, solver)
    source = "here/solver.prototxt"
    stage = Stage("tiny", Run(folder / "run"), solver, net, source)
    stage.fill_in("cpu", None)
    names = "final.caffemodel", "history.json", "tiny"
    return Training(stage, key, *names, judge=judge, patience=patience)


def result(folder: Path) -> tuple[dict, dict]:
    """Weights and history of a finished training, without the times."""
    history = json.loads((folder / "run/history.json").read_text())
    del history["seconds"]
    return weights((folder / "run/final.caffemodel").read_bytes()), history


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run").glob("*_iter_*"))


@pytest.fixture
def stop_after(monkeypatch):
    """Has Ctrl-C come while a step computes that ends with this iteration."""
    import caffe

    get_solver = caffe.get_solver

    class Stopped:
        def __init__(self, solver, iteration):
            self._solver, self._iteration = solver, iteration

        def __getattr__(self, name):
            return getattr(self._solver, name)

        def step(self, count):
            # The loop may do several in one go; Ctrl-C comes within them.
            count = min(count, max(1, self._iteration - self._solver.iter))
            self._solver.step(count)
            if self._solver.iter == self._iteration:
                os.kill(os.getpid(), signal.SIGINT)

    def at(iteration):
        monkeypatch.setattr(
            caffe,
            "get_solver",
            (lambda file: Stopped(get_solver(file), iteration))
            if iteration
            else get_solver,
        )

    return at


@pytest.mark.parametrize("transform", ["", MIRROR])
def test_ctrl_c_keeps_the_place(tmp_path, stop_after, capfd, transform):
    """At the first iteration; at one that is displayed, saved, validated; at others."""
    make(tmp_path / "whole", transform=transform, judge=Judge()).run()
    stopped = tmp_path / "stopped"
    for iteration in (1, 25, 36, 37, 89):
        stop_after(iteration)
        with pytest.raises(KeyboardInterrupt):
            make(stopped, transform=transform, judge=Judge()).run()
        files = {f"tiny_iter_{iteration}.{x}" for x in ("caffemodel", "solverstate")}
        assert files <= set(left(stopped)) and len(left(stopped)) <= 4
    stop_after(None)
    make(stopped, transform=transform, judge=Judge()).run()
    err = capfd.readouterr().err
    assert all(f"goes on from iteration {i}" in err for i in (1, 25, 36, 37, 89))
    assert ("finding the place" in err) == bool(transform)
    assert result(stopped) == result(tmp_path / "whole")
    assert left(stopped) == []


def test_dropout_and_mirrors_do_matter(tmp_path):
    """Else the test above would not see a generator that starts anew."""
    make(tmp_path / "plain").run()
    make(tmp_path / "mirror", transform=MIRROR).run()
    make(tmp_path / "seed", "random_seed: 4").run()
    found = {str(result(tmp_path / name)[0]) for name in ("plain", "mirror", "seed")}
    assert len(found) == 3


def test_killed_at_random_moments(tmp_path):
    """By Ctrl-C or outright, again and again."""
    longer = "max_iter: 8000 snapshot: 300 display: 100 test_interval: 1100"
    begun = time.monotonic()
    make(tmp_path / "whole", longer, judge=Judge()).run()
    seconds = time.monotonic() - begun
    rng, at = random.Random(2), tmp_path / "killed"
    make(at, longer)
    kills = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            os.setsid()
            try:
                make(at, longer, judge=Judge()).run()
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.05, 0.4) * seconds)
        how = rng.choice((signal.SIGKILL, signal.SIGINT))
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        os.killpg(child, how)
        os.waitpid(child, 0)
        kills.append(how)
    make(at, longer, judge=Judge()).run()
    assert len(kills) > 1
    assert result(at) == result(tmp_path / "whole")
    assert left(at) == []


def test_ctrl_c_in_a_validation(tmp_path, capfd):
    make(tmp_path / "whole", judge=Judge()).run()
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "stopped", judge=Judge(stop_in_call=3)).run()
    make(tmp_path / "stopped", judge=Judge()).run()
    assert "goes on from iteration 54" in capfd.readouterr().err
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


def test_ctrl_c_while_the_history_is_written(tmp_path, monkeypatch, capfd):
    make(tmp_path / "whole").run()
    write = training.write_text_atomic
    calls = []

    def interrupted(*words):
        calls.append(words)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        write(*words)

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_text_atomic", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "stopped").run()
    make(tmp_path / "stopped").run()
    assert "goes on from iteration 50" in capfd.readouterr().err
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


def test_snapshots_that_are_not_noted_are_none(tmp_path, stop_after, capfd):
    """A later one, as a kill leaves it; all of them, where the history is gone."""
    make(tmp_path / "whole").run()
    at = tmp_path / "stopped"
    stop_after(30)
    with pytest.raises(KeyboardInterrupt):
        make(at).run()
    for suffix in ("solverstate", "caffemodel"):
        (at / f"run/tiny_iter_50.{suffix}").write_bytes(b"later, and not noted")
    stop_after(60)
    with pytest.raises(KeyboardInterrupt):
        make(at).run()
    assert "goes on from iteration 30" in capfd.readouterr().err
    (at / "run/history.json").unlink()
    stop_after(None)
    make(at).run()
    assert "starts anew, as what belongs to its snapshots" in capfd.readouterr().err
    assert result(at) == result(tmp_path / "whole")


def test_the_snapshot_before_the_last_is_in_reserve(tmp_path, stop_after, capfd):
    make(tmp_path / "whole", judge=Judge()).run()
    at = tmp_path / "stopped"
    stop_after(60)
    with pytest.raises(KeyboardInterrupt):
        make(at, judge=Judge()).run()
    (at / "run/tiny_iter_60.solverstate").unlink()
    stop_after(None)
    make(at, judge=Judge()).run()
    assert "goes on from iteration 50" in capfd.readouterr().err
    assert result(at) == result(tmp_path / "whole")


def test_what_is_done_is_not_done_again_and_a_change_starts_anew(
    tmp_path, stop_after, capfd
):
    first = make(tmp_path).run()
    written = (tmp_path / "run/history.json").stat().st_mtime_ns
    assert make(tmp_path).run() == first
    assert (tmp_path / "run/history.json").stat().st_mtime_ns == written
    stop_after(40)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, "base_lr: 0.02", key="other").run()
    stop_after(None)
    make(tmp_path).run()
    assert "goes on" not in capfd.readouterr().err


def test_the_curve_is_the_loss_where_caffe_displays_it(tmp_path):
    make(tmp_path).run()
    _, history = result(tmp_path)
    assert [at for at, _ in history["loss"]] == list(range(5, 91, 5))
    assert history["iterations"] == 90 and history["machine"]["cores"] > 0
    assert history["loss"][0][1] > history["loss"][-1][1] > 0


def test_the_curve_is_weighted(tmp_path):
    """As the solver minimizes it: the first loss, by two weights of the loss layer."""
    points = []
    for weight in (0.5, 1.5):
        short = make(tmp_path / str(weight), "max_iter: 1 display: 1")
        short.stage.net.layer[-1].loss_weight[0] = weight
        short.run()
        points += result(tmp_path / str(weight))[1]["loss"]
    assert [at for at, _ in points] == [1, 1]
    assert points[1][1] == pytest.approx(3 * points[0][1], abs=1e-4)


def test_seconds_leave_out_what_lies_between_two_calls(tmp_path, stop_after):
    stop_after(40)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path).run()
    before = json.loads((tmp_path / "run/history.json").read_text())["seconds"]
    stop_after(None)
    time.sleep(1)
    begun = time.monotonic()
    seconds = make(tmp_path).run()["seconds"]
    assert 0 < before < seconds < before + time.monotonic() - begun
    stages = json.loads((tmp_path / "run/stages.json").read_text())
    assert stages["tiny"]["seconds"] == seconds


def test_divergence_names_the_file_to_edit(tmp_path):
    words = r"tiny: the loss is \w+ after \d+ iterations: training diverged.* "
    with pytest.raises(DecError, match=words + "base_lr in here/solver.prototxt"):
        make(tmp_path, "base_lr: 1e30").run()
    assert not (tmp_path / "run/final.caffemodel").exists()


def test_patience(tmp_path):
    """The best is the second validation, at 36; two more are not better."""
    judge = Judge(scores=[1, 3, 2, 3, 5])
    make(tmp_path / "patient", judge=judge, patience=2).run()
    found, history = result(tmp_path / "patient")
    assert [v["iteration"] for v in history["validations"]] == [18, 36, 54, 72]
    assert history["iterations"] == 72 and left(tmp_path / "patient") == []
    # Its weights are those that the same training has at 36.
    make(tmp_path / "short", "max_iter: 36").run()
    assert found == result(tmp_path / "short")[0]


def test_patience_is_not_lost_when_stopped(tmp_path, stop_after):
    judge = Judge()
    make(tmp_path / "whole", judge=judge, patience=9).run()
    for iteration in (20, 54, 71):
        stop_after(iteration)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "stopped", judge=judge, patience=9).run()
    stop_after(None)
    make(tmp_path / "stopped", judge=judge, patience=9).run()
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


def test_without_the_best_weights_it_starts_anew(tmp_path, stop_after, capfd):
    judge = Judge()
    make(tmp_path / "whole", judge=judge, patience=9).run()
    stop_after(54)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "stopped", judge=judge, patience=9).run()
    (best,) = (tmp_path / "stopped/run").glob("tiny_best_iter_*.caffemodel")
    best.unlink()
    stop_after(None)
    make(tmp_path / "stopped", judge=judge, patience=9).run()
    assert "starts anew" in capfd.readouterr().err
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


def test_ctrl_c_at_the_end_of_a_patient_training(tmp_path, monkeypatch, capfd):
    make(tmp_path / "whole", judge=Judge(), patience=9).run()
    stopped = tmp_path / "stopped"
    copy = training.shutil.copyfile

    def interrupted(*words):
        os.kill(os.getpid(), signal.SIGINT)
        copy(*words)

    with monkeypatch.context() as patch:
        patch.setattr(training.shutil, "copyfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(stopped, judge=Judge(), patience=9).run()
    make(stopped, judge=Judge(), patience=9).run()
    assert "goes on from iteration 90" in capfd.readouterr().err
    assert result(stopped) == result(tmp_path / "whole")


def test_refused(tmp_path):
    with pytest.raises(DecError, match="here/solver.prototxt: without test_interval"):
        make(tmp_path, "test_interval: 0", judge=Judge(), patience=1).run()
    solver = make(tmp_path, judge=Judge())
    del solver.stage.solver.test_iter[:]
    with pytest.raises(DecError, match="test_interval without test_iter"):
        solver.run()
    with pytest.raises(DecError, match="here/solver.prototxt: .* HDF5"):
        make(tmp_path, "snapshot_format: HDF5").run()


def test_begin_sees_the_new_net_and_is_noted(tmp_path):
    def begin(net) -> dict:
        for blob in net.params["code"]:
            blob.data[...] = 0
        return {"from": "zeros"}

    make(tmp_path / "plain", "base_lr: 0").run()
    dataclasses.replace(make(tmp_path / "zeros", "base_lr: 0"), begin=begin).run()
    found, history = result(tmp_path / "zeros")
    assert history["from"] == "zeros"
    assert not np.frombuffer(found["code"][0], np.float32).any()
    assert found["back"] == result(tmp_path / "plain")[0]["back"]


def test_seek_goes_round_and_from_the_row_that_was_given(tmp_path):
    net = make(tmp_path).stage.net
    assert place.seek(net, 10, ()) == {"data"}
    train = net.layer[0].data_param
    assert train.seek == "00000070" and not net.layer[1].data_param.seek
    place.seek(net, 80, ())
    assert train.seek == f"{(70 + 560) % ROWS:08d}"


def test_no_seek_where_it_would_be_wrong(tmp_path):
    """Where a layer draws numbers, or the database has other keys."""
    net = make(tmp_path, transform=MIRROR).stage.net
    assert place.seek(net, 10, ()) == set()
    net = make(tmp_path).stage.net
    net.layer[0].data_param.backend = caffe_pb2.DataParameter.LMDB
    assert place.seek(net, 10, ()) == set()
    assert not net.layer[0].data_param.seek
