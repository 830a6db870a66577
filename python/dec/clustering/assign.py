"""Clusters for new rows, by the deploy net of a finished run."""

import sys
from collections.abc import Iterable
from pathlib import Path

from dec.base.errors import DecError
from dec.base.tables import table_line
from dec.data.inputs import read_rows
from dec.data.registry import Block, reader
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
    # Rows are made here, by processes of joblib or of a cluster (docs/scale.md).
    caffe_process.run(
        lambda blocks: _print_clusters(folder, blocks, rows.shape),
        folder / "assign.log",
        feed=(block for path in files for block in read_rows(path, rows)),
    )


def _print_clusters(
    folder: Path, blocks: Iterable[Block], shape: tuple[int, ...]
) -> None:
    net = deployed(folder, shape)
    print("name,cluster,probability")
    rows = (pair for names, rows in blocks for pair in zip(names, rows, strict=True))
    for name, proba in net.rows(rows, "proba"):
        cluster = proba.argmax()
        sys.stdout.write(table_line((name, cluster, f"{proba[cluster]:.6f}")))
    sys.stdout.flush()
