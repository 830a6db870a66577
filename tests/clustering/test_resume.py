"""Runs that are killed at random moments end as if nothing had happened."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

from conftest import DEC, ROOT, make_project, run
from test_pipeline import assert_same_weights

KILLS = 2  # in each phase


def make_longer_project(folder):
    """Some seconds of training in each phase, a snapshot every fraction of one."""
    make_project(folder)
    for path in (folder / "prototxt/dec/blobs/short").iterdir():
        text = path.read_text().replace("max_iter: 40", "max_iter: 1000")
        text = text.replace("max_iter: 200", "max_iter: 2000")
        text = text.replace("snapshot: 25", "snapshot: 100").replace("_40.", "_1000.")
        path.write_text(text)
    path = folder / "prototxt/dec/blobs/dec_solver.prototxt"
    path.write_text(path.read_text().replace("max_iter: 7", "max_iter: 60"))
    return folder


COMMAND = [DEC, "run", "blobs", "--tol", "0", "--max-rounds", "15"]


def start(folder):
    with open(folder / "errors.txt", "a") as errors:
        return subprocess.Popen(
            COMMAND,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def comparable(folder):
    """The run's numbers without the times."""
    metrics = json.loads((folder / "runs/blobs/metrics.json").read_text())
    for entry in (metrics["kmeans"], *metrics["history"]):
        del entry["seconds"]
    return {name: x for name, x in metrics.items() if "seconds" not in name}


# What each phase leaves as it goes on: Caffe's snapshots, the state of a round.
_LEFT_BEHIND = ("*.solverstate", "dec_state.npz")


def kill(folder, left: str, rng: random.Random) -> None:
    """Starts a run, and kills it some time after it has left such a file anew."""
    begun = time.time()
    process = start(folder)
    there = folder / "runs/blobs"
    while process.poll() is None:
        files = [path for path in there.glob(left) if path.exists()]
        if any(path.stat().st_mtime > begun for path in files):
            break
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.4))
    how = rng.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait()


def test_killed_runs_end_bit_for_bit_the_same(tmp_path):
    whole = make_longer_project(tmp_path / "whole")
    assert start(whole).wait(timeout=300) == 0
    killed = make_longer_project(tmp_path / "killed")
    rng = random.Random(5)
    for left in _LEFT_BEHIND:
        for _ in range(KILLS):
            kill(killed, left, rng)
    said = killed / "errors.txt"
    assert start(killed).wait(timeout=300) == 0, said.read_text()
    assert "goes on from iteration" in said.read_text(), "no kill in phase 1"
    assert "goes on after round" in said.read_text(), "no kill in phase 2"
    name = "runs/blobs"
    assert_same_weights(
        whole / name / "final.caffemodel", killed / name / "final.caffemodel"
    )
    same = [
        (folder / name / "assignments.csv").read_bytes() for folder in (whole, killed)
    ]
    assert same[0] == same[1]
    assert comparable(whole) == comparable(killed)
    assert not list((killed / name).glob("*.solverstate"))


# Ctrl-C while a step computes, at the first one that ends behind an iteration.
_STOP_BEHIND = """
import os, signal, sys, caffe
from dec.cli import main
class Stopped:
    def __init__(self, solver):
        self.solver = solver
    def __getattr__(self, name):
        return getattr(self.solver, name)
    def step(self, count):
        self.solver.step(count)
        if "stack" in file and self.solver.iter > 110:
            os.kill(os.getpid(), signal.SIGINT)
def stopped(name):
    global file
    file = name
    return Stopped(get_solver(name))
get_solver, caffe.get_solver = caffe.get_solver, stopped
sys.exit(main())
"""


def test_ctrl_c_in_phase_1_keeps_the_place(finished, project):
    """Not at a snapshot: the last one is of iteration 100."""
    python = ROOT / ".venv/bin/python"
    command = [DEC, "run", "blobs"]
    stopped = run([python, "-c", _STOP_BEHIND, *command[1:]], project)
    assert stopped.returncode == 130, stopped.stderr
    (state,) = (project / "runs/blobs").glob("stack_iter_1[12]*.solverstate")
    last = run(command, project)
    assert last.returncode == 0, last.stderr
    place = state.stem.rsplit("_", 1)[1]
    assert place != "125" and f"stack: goes on from iteration {place}" in last.stderr
    name = "runs/blobs/stack_iter_200.caffemodel"
    assert_same_weights(finished / name, project / name)
    curves = [
        json.loads((folder / "runs/blobs/stack_history.json").read_text())["loss"]
        for folder in (finished, project)
    ]
    assert curves[0] == curves[1] and [at for at, _ in curves[0]][-1] == 200


def test_more_rounds_go_on_from_a_shorter_run(project):
    def call(rounds, name):
        options = ["--tol", "0", "--max-rounds", rounds, "--run", f"runs/{name}"]
        result = run([DEC, "run", "blobs", *options], project)
        assert result.returncode == 0, result.stderr
        return result.stderr

    call("2", "one")
    assert "goes on after round 2" in call("4", "one")
    call("4", "two")
    assert_same_weights(
        project / "runs/one/final.caffemodel", project / "runs/two/final.caffemodel"
    )
