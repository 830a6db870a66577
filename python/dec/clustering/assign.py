"""Clusters for new rows, by the deploy net of a finished run."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.tables import table_line
from dec.data.inputs import read_rows
from dec.data.registry import Reader, reader
from dec.engine import caffe_process

# Always as many, the last ones filled up: so a row's numbers are the same bits
# whatever other rows come with it.
_BATCH = 1000


def assign(folder: Path, files: list[Path]) -> None:
    """Prints name, cluster and probability of every row, as CSV.

    folder: of a run. files: what the run was trained on the like of (images,
    idx, npy, csv, texts, photos or folders of them), prepared as its own rows were
    (input.json); or LevelDBs. Raises DecError for files that are
    not there, of another width, or not finite.
    """
    needed = ("deploy.prototxt", "final.caffemodel", "input.json")
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise DecError(f"{folder}: there is no finished run here (no {missing[0]})")
    rows = reader(json.loads((folder / "input.json").read_text()))
    for path in files:
        if not path.exists():
            raise DecError(f"{path}: there is no such file")
    caffe_process.run(
        lambda: _print_clusters(folder, files, rows), folder / "assign.log"
    )


def _print_clusters(folder: Path, files: list[Path], reader: Reader) -> None:
    import caffe

    net = caffe.Net(
        str(folder / "deploy.prototxt"),
        caffe.TEST,
        weights=str(folder / "final.caffemodel"),
    )
    data = net.blobs[net.inputs[0]]
    data.reshape(_BATCH, *reader.shape)
    print("name,cluster,probability")
    for names, rows in _batches(files, reader):
        data.data[...] = 0
        data.data[: len(rows)] = rows.reshape(-1, *reader.shape)
        proba = net.forward()["proba"][: len(rows)]
        clusters = proba.argmax(axis=1)
        for name, cluster, row in zip(names, clusters, proba, strict=True):
            line = table_line((name, cluster, f"{row[cluster]:.6f}"))
            sys.stdout.write(line)
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
            while len(rows) >= _BATCH:
                yield names[:_BATCH], np.stack(rows[:_BATCH])
                names, rows = names[_BATCH:], rows[_BATCH:]
    if rows:
        yield names, np.stack(rows)
