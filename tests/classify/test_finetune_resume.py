"""A fine-tuning that was stopped ends as if it had not been, bit for bit."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from finetune_samples import FINETUNE, command, fresh, metrics_of, run, trained


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """Not to be changed."""
    return trained(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(tuned, tmp_path) -> Path:
    return fresh(tuned, tmp_path / "project")


def results(folder: Path) -> dict:
    """All that must not depend on whether a run was stopped."""
    metrics = metrics_of(folder)
    for key in ("seconds", "train_seconds", "machine", "folder"):
        del metrics[key]
    at = folder / "runs/tiny"
    names = ("final.caffemodel", "predictions.csv", "deploy.prototxt", "input.json")
    return {name: (at / name).read_bytes() for name in names} | metrics


def test_killed_at_any_moment_it_ends_with_the_same_bits(tuned, project):
    """Kills in a row at random moments, by both signals, then to the end."""
    rng = random.Random(4)
    for i in range(5):
        log = project / f"err{i}.txt"
        with open(log, "w") as err:
            process = subprocess.Popen(
                command(*FINETUNE), cwd=project, stdout=subprocess.DEVNULL, stderr=err,
                start_new_session=True,
            )  # fmt: skip
            how = rng.choice([signal.SIGKILL, signal.SIGINT])
            try:
                process.wait(rng.uniform(1.0, 3.0))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, how)
                process.wait(60)
            else:
                assert process.returncode == 0
        if (project / "runs/tiny/metrics.json").exists():
            break
    last = run(project, *FINETUNE)
    assert last.returncode == 0, last.stderr
    assert results(project) == results(tuned)


# Ctrl-C as it comes: while a step computes. Python sees it when the step is over.
_STOP_IN = """
import os, signal, caffe
class Stopped:
    def __init__(self, solver):
        self.solver = solver
    def __getattr__(self, name):
        return getattr(self.solver, name)
    def step(self, count):
        self.solver.step(count)
        if self.solver.iter == {iteration}:
            os.kill(os.getpid(), signal.SIGINT)
get_solver = caffe.get_solver
caffe.get_solver = lambda file: Stopped(get_solver(file))
"""


@pytest.mark.parametrize("iteration", [25, 26, 36])
def test_a_stop_within_a_step_loses_nothing(tuned, project, iteration):
    """A point of the loss's curve; none; an iteration that validation comes after."""
    python, flag, code, *words = command(*FINETUNE)
    code = _STOP_IN.format(iteration=iteration) + code
    stopped = subprocess.run([python, flag, code, *words], cwd=project,
                             capture_output=True, text=True)  # fmt: skip
    assert stopped.returncode != 0
    last = run(project, *FINETUNE)
    assert last.returncode == 0, last.stderr
    assert f"goes on from iteration {iteration}" in last.stderr
    assert results(project) == results(tuned)


def test_it_goes_on_from_each_kind_of_stop(tuned, project):
    """Stopped on purpose after a snapshot, and with a snapshot of no history."""
    at = project / "runs/tiny"
    process = subprocess.Popen(command(*FINETUNE), cwd=project, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (at / "history.json").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stderr.close()
    # What a kill between a snapshot and the note of it leaves.
    history = json.loads((at / "history.json").read_text())
    for suffix in ("solverstate", "caffemodel"):
        (at / f"snapshot_iter_89.{suffix}").write_bytes(b"later, and not noted")
    last = run(project, *FINETUNE)
    assert last.returncode == 0, last.stderr
    assert f"goes on from iteration {history['iterations']}" in last.stderr
    assert results(project) == results(tuned)
