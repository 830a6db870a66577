"""A small DeepCluster: gratings of four directions, CIFAR-10's nets made small."""

from pathlib import Path

import numpy as np
from conftest import ROOT

SIDE, BATCH, CLUSTERS = 16, 20, 8
NAMES = ["across", "down", "rising", "falling"]
_SMALLER = {
    "dim: 250": f"dim: {BATCH}",
    "dim: 100": f"dim: {BATCH}",
    "dim: 32 dim: 32": f"dim: {SIDE} dim: {SIDE}",
    "num_output: 32\n": "num_output: 8\n",
    "num_output: 64\n": "num_output: 8\n",
    "num_output: 96\n": "num_output: 8\n",
    "num_output: 256\n": "num_output: 16\n",
    "num_output: 300\n": f"num_output: {CLUSTERS}\n",
    "cifar10": "gratings",
    "epochs = 8": "epochs = 3",
    "pca = 64": "pca = 6",
    "resize = 32": f"resize = {SIDE}",
    "display: 10\n": "display: 1\n",
}


def gratings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, n x 3 x 16 x 16 bytes (RGB), of stripes with noise; their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(NAMES)
    y, x = np.mgrid[:SIDE, :SIDE] * (2 * np.pi / 6)
    ways = np.array([x, y, (x + y) / 2**0.5, (x - y) / 2**0.5])
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    grey = 128 + 70 * np.sin(ways[labels] + phase)
    pixels = grey[:, None] + rng.normal(0, 25, (count, 3, SIDE, SIDE))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def make_experiment(folder: Path, **changes: str) -> Path:
    """prototxt/deepcluster/gratings in a folder. changes: lines of deepcluster.toml."""
    to, found = folder / "prototxt/deepcluster/gratings", set()
    to.mkdir(parents=True)
    for path in sorted((ROOT / "prototxt/deepcluster/cifar10").iterdir()):
        if path.suffix not in (".prototxt", ".toml"):
            continue
        text = path.read_text()
        found |= {old for old in _SMALLER if old in text}
        for old, new in _SMALLER.items():
            text = text.replace(old, new)
        for name, value in changes.items() if path.suffix == ".toml" else ():
            lines = text.splitlines()
            (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name} ="))
            lines[at] = f"{name} = {value}"
            text = "\n".join(lines) + "\n"
        (to / path.name).write_text(text)
    assert found == set(_SMALLER), f"not in the files: {set(_SMALLER) - found}"
    return to


def make_project(folder: Path, count: int = 120, **changes: str) -> Path:
    """A folder in which `dec deepcluster gratings --train …` can be run."""
    from dec.data.leveldb import write_rows

    make_experiment(folder, **changes)
    for part, n, seed in (("train", count, 1), ("test", 40, 2)):
        images, labels = gratings(n, seed)
        meta = {"classes": NAMES, "colours": "RGB"}
        write_rows(folder / f"data/gratings_{part}", images, labels, meta)
    return folder


def params(file):
    """The blobs of a caffemodel by layer."""
    from caffe.proto import caffe_pb2

    net = caffe_pb2.NetParameter.FromString(file.read_bytes())
    return {
        layer.name: [
            np.array(b.data, np.float32).reshape(b.shape.dim) for b in layer.blobs
        ]
        for layer in net.layer
        if layer.blobs
    }
