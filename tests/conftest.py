"""What the tests share: a small experiment, whose nets are MNIST's made small."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import warm

# Whoever starts the tests in the background may have Ctrl-C ignored, and what they
# start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What an earlier command has fetched on this machine is nothing to the tests, and they
# fetch nothing.
if "DEC_TESTS_CACHE" not in os.environ:  # nor is this a process of xdist's
    own = os.environ.get("DEC_CACHE") or str(Path.home() / ".cache/dec-caffe")
    os.environ["DEC_TESTS_CACHE"] = own
    os.environ["DEC_CACHE"] = tempfile.mkdtemp(prefix="dec-tests-")
    atexit.register(shutil.rmtree, os.environ["DEC_CACHE"], ignore_errors=True)
BUILD_CACHE = Path(os.environ["DEC_TESTS_CACHE"])
os.environ["DEC_OFFLINE"] = "1"
os.environ.pop("DEC_WEIGHTS", None)

ROOT = Path(__file__).parent.parent
DEC = ROOT / ".venv/bin/dec"
CAFFE = ROOT / ".venv/bin/caffe"

# Three blobs in 6 dimensions; d-8-8-16-2 instead of d-500-500-2000-10.
ROWS, WIDTH, CLUSTERS = 600, 6, 3
_SMALLER = {
    "num_output: 2000": "num_output: 16",
    "num_output: 500": "num_output: 8",
    "num_output: 784": f"num_output: {WIDTH}",
    "num_output: 10\n": "num_output: 2\n",
    "num_center: 10": f"num_center: {CLUSTERS}",
    "dim: 256 dim: 10": f"dim: 64 dim: {CLUSTERS}",
    "dim: 1 dim: 784": f"dim: 1 dim: {WIDTH}",
    "batch_size: 256": "batch_size: 64",
    "batch_size: 128": "batch_size: 32",
    "batch_size: 1000": "batch_size: 250",
    "max_iter: 50000": "max_iter: 40",
    "max_iter: 100000": "max_iter: 200",
    "max_iter: 160": "max_iter: 7",
    "_iter_50000": "_iter_40",
    "stepsize: 20000": "stepsize: 150",
    "momentum_burnin: 1000": "momentum_burnin: 10",
    "test_interval: 10000": "test_interval: 40",
    "display: 1000": "display: 20",
    "snapshot: 1000": "snapshot: 25",
    "test_iter: 100": "test_iter: 2",
    "std: 0.01": "std: 0.3",
    "min: -0.035714 max: 0.035714": "min: -0.41 max: 0.41",
    "min: -0.044721 max: 0.044721": "min: -0.35 max: 0.35",
    "min: -0.022361 max: 0.022361": "min: -0.25 max: 0.25",
    "min: -0.316228 max: 0.316228": "min: -0.71 max: 0.71",
    "base_lr: 0.1\n": "base_lr: 0.02\n",
    "loss_weight: 0.001275510204": f"loss_weight: {1 / WIDTH}",
    "/mnist": "/blobs",
}


_OF_OWN_ALONE = {"batch_size: 128"}  # in prototxt/dec/own, not in MNIST's


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Rows (n x 6, float32) and labels of three Gaussian blobs, shuffled."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLUSTERS, ROWS)
    centres = rng.normal(size=(CLUSTERS, WIDTH)) * 1.5
    rows = centres[labels] + rng.normal(size=(ROWS, WIDTH)) * 0.3
    return rows.astype(np.float32), labels


def write_smaller(path: Path, to: Path) -> set[str]:
    """Writes a prototxt of MNIST with the small experiment's numbers.

    Returns those of MNIST's that it has replaced.
    """
    text = path.read_text()
    found = {old for old in _SMALLER if old in text}
    for old, new in _SMALLER.items():
        text = text.replace(old, new)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text)
    return found


def make_project(folder: Path) -> Path:
    """A folder with data/ and prototxt/dec/blobs/ in which dec and caffe can be run."""
    from dec.data.leveldb import write_rows

    to, found = folder / "prototxt/dec/blobs", set()
    for path in (ROOT / "prototxt/dec/mnist").glob("*.prototxt"):
        found |= write_smaller(path, to / path.name)
    # The default schedule, too, has every stage here.
    for path in (ROOT / "prototxt/dec/mnist/paper").glob("*.prototxt"):
        for schedule in ("paper", "short"):
            found |= write_smaller(path, to / schedule / path.name)
    # An edited experiment is no small one by these patterns any more.
    wanted = set(_SMALLER) - _OF_OWN_ALONE
    assert found == wanted, f"not in MNIST's prototxts: {wanted - found}"
    rows, labels = blobs()
    write_rows(folder / "data/blobs_total", rows, labels)
    write_rows(folder / "data/blobs_train", rows[:500], labels[:500])
    write_rows(folder / "data/blobs_test", rows[500:], labels[500:])
    return folder


def run(command: list, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Runs a command in a folder and returns its exit code and output (text)."""
    words = [str(word) for word in command]
    whole = {**os.environ, **environment}
    if words[0] == str(DEC) and warm.can_run(environment):
        return warm.run_dec(words, folder, whole, timeout=600)
    return subprocess.run(
        words,
        cwd=folder,
        env=whole,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def cluster(folder: Path, *more: str) -> subprocess.CompletedProcess:
    """Phase 2 of a `pretrained` project."""
    return run(
        [DEC, "cluster", "blobs", "--pretrain", "stack.caffemodel", *more], folder
    )


def assert_clear_error(result: subprocess.CompletedProcess, *words: str) -> None:
    """dec has ended with one message, and all words in it."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "    @ " not in result.stderr  # glog's stack trace
    errors = [line for line in result.stderr.splitlines() if "dec: error:" in line]
    assert len(errors) == 1
    message = result.stderr[result.stderr.index("dec: error:") :]
    for word in words:
        assert word in message


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, nothing run in it yet."""
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `dec run blobs` has been run; not to be changed."""
    folder = make_project(tmp_path_factory.mktemp("finished"))
    result = run([DEC, "run", "blobs"], folder)
    assert result.returncode == 0, result.stderr
    (folder / "stdout.txt").write_text(result.stdout)
    (folder / "stderr.txt").write_text(result.stderr)
    return folder


@pytest.fixture
def pretrained(finished: Path, tmp_path: Path) -> Path:
    """A project whose autoencoder, stack.caffemodel, is trained; nothing clustered."""
    folder = tmp_path / "project"
    for part in ("data", "prototxt"):
        shutil.copytree(finished / part, folder / part)
    (weights,) = (finished / "runs/blobs").glob("stack_iter_*.caffemodel")
    shutil.copy(weights, folder / "stack.caffemodel")
    return folder
