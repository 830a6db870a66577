"""Clusters for new rows, by the deploy net of a finished run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.tables import table_line
from dec.data.inputs import read_rows
from dec.data.registry import Reader, reader
from dec.engine.runs import preparation
from dec.nets import caffe_process
from dec.nets.forward import Deployed

_BATCH = 1000  # another size would give other bits


def deployed(folder: Path, shape: tuple[int, ...]) -> Deployed:
    """The deploy net of a run. shape: of a row, (channels, height, width)."""
    deploy, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
    return Deployed(deploy, weights, batch=_BATCH, shape=shape)


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
    net = deployed(folder, reader.shape)
    print("name,cluster,probability")
    for name, proba in net.rows(_rows(files, reader), "proba"):
        cluster = proba.argmax()
        sys.stdout.write(table_line((name, cluster, f"{proba[cluster]:.6f}")))
    sys.stdout.flush()


def _rows(files: list[Path], reader: Reader) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every row of all files."""
    for path in files:
        for names, rows in read_rows(path, reader):
            yield from zip(names, rows, strict=True)
