"""What the tests of dec.classify share: photos that a tiny net tells apart, and it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2
from PIL import Image

ROOT = Path(__file__).parent.parent
CLASSES = ("across", "down", "round")
PHOTOS = 20  # a class
_SMALLER = {
    "num_output: 32": "num_output: 6",
    "num_output: 64": "num_output: 8",
    "num_output: 128": "num_output: 8",
    "dropout_ratio: 0.3": "dropout_ratio: 0.1",
    "80x80-copies8": "36x36",
    "crop_size: 64": "crop_size: 32",
    "dim: 32 dim: 3 dim: 64 dim: 64": "dim: 8 dim: 3 dim: 32 dim: 32",
    "batch_size: 32": "batch_size: 8",
}
SOLVER = """net: "prototxt/tiny/train_val.prototxt"
test_iter: 1
test_interval: 18
test_initialization: false
base_lr: 0.02
lr_policy: "step"
gamma: 0.1
stepsize: 50
display: 5
max_iter: 90
momentum: 0.9
weight_decay: 0.0005
snapshot: 13
snapshot_prefix: "runs/tiny/snapshot"
random_seed: 1
"""
# `dec`, in a form that a test can put words before.
_MAIN = """
import sys
from dec.cli import main
sys.exit(main())
"""


def command(*words) -> list[str]:
    """The command line of `dec` with these words."""
    return [sys.executable, "-c", _MAIN, *map(str, words)]


def run(folder: Path, *words) -> subprocess.CompletedProcess:
    """Runs `dec` in a folder; returns its exit code and output (text)."""
    return subprocess.run(
        command(*words), cwd=folder, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


def picture(kind: str, rng: np.random.Generator, side: int = 48) -> np.ndarray:
    """Dark and light stripes across or down, or rings, in some colours, with noise."""
    y, x = np.mgrid[:side, :side] / side
    centre = rng.uniform(0.3, 0.7, 2)
    ways = {"across": y, "down": x, "round": np.hypot(y - centre[0], x - centre[1])}
    wave = np.sin(2 * np.pi * (ways[kind] * rng.uniform(3, 5) + rng.uniform()))
    colours = rng.uniform(0, 90, 3), rng.uniform(165, 255, 3)
    mix = (wave[..., None] + 1) / 2
    pixels = mix * colours[0] + (1 - mix) * colours[1]
    pixels += rng.normal(0, 12, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def make_photos(folder: Path, photos: int = PHOTOS, classes=CLASSES) -> Path:
    """Class folders of JPEGs. The classes may have other names, in that order."""
    rng = np.random.default_rng(5)
    for kind, name in zip(CLASSES, classes, strict=False):
        (folder / name).mkdir(parents=True)
        for i in range(photos):
            pixels = picture(kind, rng)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.jpg", quality=95)
    return folder


def make_project(folder: Path) -> Path:
    """A folder with photos/ and prototxt/tiny, in which dec and caffe can be run."""
    make_photos(folder / "photos")
    to = folder / "prototxt/tiny"
    to.mkdir(parents=True)
    for name in ("train_val", "deploy"):
        text = (ROOT / f"prototxt/caffenet/small/{name}.prototxt").read_text()
        for old, new in _SMALLER.items():
            text = text.replace(old, new)
        (to / f"{name}.prototxt").write_text(text)
    (to / "solver.prototxt").write_text(SOLVER)
    return folder


FINETUNE = ("finetune", "tiny", "--from", "photos", "--jobs", "1")


def trained(folder: Path, change: Callable = lambda project: None) -> Path:
    """A project in which the tiny net has been trained, after a change to its files."""
    change(make_project(folder))
    result = run(folder, *FINETUNE)
    assert result.returncode == 0, result.stderr
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


def fresh(tuned: Path, folder: Path) -> Path:
    """A copy of a trained project with its data, nothing trained in it yet."""
    shutil.copytree(tuned, folder, ignore=shutil.ignore_patterns("runs"))
    return folder


def metrics_of(folder: Path, name: str = "tiny") -> dict:
    """A run's metrics.json."""
    return json.loads((folder / "runs" / name / "metrics.json").read_text())


def weights(content: bytes) -> dict[str, list[bytes]]:
    """The bits of every layer's blobs in a caffemodel."""
    net = caffe_pb2.NetParameter.FromString(content)
    return {
        layer.name: [np.array(b.data, np.float32).tobytes() for b in layer.blobs]
        for layer in net.layer
        if layer.blobs
    }
