"""Clusters for new rows, by the deploy net of a finished run."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.clustering.assignments import word
from dec.data.inputs import read_rows
from dec.data.registry import Reader, reader
from dec.engine import caffe_process

# Always as many, the last ones filled up: so a row's numbers are the same bits
# whatever other rows come with it.
BATCH = 1000


class DeployNet:
    """A run's deploy net in this process, for up to BATCH rows at a time."""

    def __init__(self, folder: Path, shape: tuple[int, ...]):
        """folder: of the run. shape: of a row, (channels, height, width)."""
        import caffe

        self._net = caffe.Net(
            str(folder / "deploy.prototxt"),
            caffe.TEST,
            weights=str(folder / "final.caffemodel"),
        )
        self._shape = shape
        self._net.blobs[self._net.inputs[0]].reshape(BATCH, *shape)

    def blob(self, name: str, rows: np.ndarray) -> np.ndarray:
        """What a blob holds for prepared rows: "output", the code, or "proba"."""
        data = self._net.blobs[self._net.inputs[0]].data
        data[...] = 0
        data[: len(rows)] = rows.reshape(-1, *self._shape)
        self._net.forward()
        return self._net.blobs[name].data[: len(rows)]


def preparation(folder: Path) -> dict:
    """How a finished run's rows were made (input.json); DecError if there is none."""
    needed = ("deploy.prototxt", "final.caffemodel", "input.json")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise DecError(f"{folder}: there is no finished run here (no {missing[0]})")
    return json.loads((folder / "input.json").read_text())


def assign(folder: Path, files: list[Path]) -> None:
    """Prints name, cluster and probability of every row, as CSV.

    folder: of a run. files: what the run was trained on the like of (images,
    idx, npy, csv, texts, photos or folders of them), prepared as its own rows were
    (input.json); or LevelDBs. Raises DecError for files that are
    not there, of another width, or not finite.
    """
    rows = reader(preparation(folder))
    for path in files:
        if not path.exists():
            raise DecError(f"{path}: there is no such file")
    caffe_process.run(
        lambda: _print_clusters(folder, files, rows), folder / "assign.log"
    )


def _print_clusters(folder: Path, files: list[Path], reader: Reader) -> None:
    net = DeployNet(folder, reader.shape)
    print("name,cluster,probability")
    for names, rows in _batches(files, reader):
        proba = net.blob("proba", rows)
        clusters = proba.argmax(axis=1)
        for name, cluster, row in zip(names, clusters, proba, strict=True):
            print(f"{word(name)},{cluster},{row[cluster]:.6f}")
    sys.stdout.flush()


def _batches(
    files: list[Path], reader: Reader
) -> Iterator[tuple[list[str], np.ndarray]]:
    """The rows of all files, in batches over their borders."""
    names: list[str] = []
    rows: list[np.ndarray] = []
    for path in files:
        for more_names, more_rows in read_rows(path, reader):
            names += more_names
            rows.extend(more_rows)
            while len(rows) >= BATCH:
                yield names[:BATCH], np.stack(rows[:BATCH])
                names, rows = names[BATCH:], rows[BATCH:]
    if rows:
        yield names, np.stack(rows)
