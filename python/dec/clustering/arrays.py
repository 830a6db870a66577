"""Arrays in memory as the rows of a run: a LevelDB beside it, an experiment on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from dec.base import places
from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.inputs import Preparation
from dec.data.numbers import BLOCK
from dec.engine.experiment import Experiment

ROWS = "rows"  # the LevelDB's name in the run folder


@dataclass(frozen=True)
class ArrayExperiment(Experiment):
    """The experiment of any matrix, on one LevelDB that lies where it may.

    database: which takes the place of the experiment's own ones. pretrain_iter:
    iterations of every stage of phase 1, instead of those of its solvers.
    """

    database: Path = Path()
    pretrain_iter: int | None = None

    def read_solver(self, file: Path) -> caffe_pb2.SolverParameter:
        solver = super().read_solver(file)
        phase1 = Path(file).name.startswith(("layer", "stack", "few_"))
        if self.pretrain_iter is not None and phase1:
            solver.max_iter = self.pretrain_iter
        return solver

    def read_net(self, file: str | Path) -> caffe_pb2.NetParameter:
        net = super().read_net(file)
        own = str(places.data() / f"{self.name}_")
        for layer in (*net.layer, *net.layers):
            if layer.data_param.source.startswith(own):
                layer.data_param.source = str(self.database)
        return net


def write(rows, folder: Path, scaled: bool) -> Path:
    """Writes an array or sparse matrix (n x d) as a LevelDB; returns its path.

    Some rows at a time. scaled: all are multiplied by one number, so that the mean of
    ||x||^2 / d is 1, as `dec data npy` does. dec.json holds that number for new rows.
    """
    facts = {"shape": [rows.shape[1], 1, 1], "scale": _scale(rows) if scaled else 1.0}
    path = folder / ROWS
    meta = {"kind": "matrix", "scale": facts["scale"], "matrix": {}}
    leveldb.write_rows(path, prepared(rows, Preparation(facts), BLOCK), meta=meta)
    return path


def prepared(rows, preparation: Preparation, size: int) -> Iterator[np.ndarray]:
    """Blocks of an array or sparse matrix as a net has them: float32, `size` x d."""
    for i, block in enumerate(blocks(rows, size)):
        yield preparation.rows(block, "X", first=i * size)


def blocks(rows, size: int) -> Iterator[np.ndarray]:
    """Blocks of an array or sparse matrix as arrays of numbers."""
    for at in range(0, rows.shape[0], size):
        block = rows[at : at + size]
        block = block if isinstance(block, np.ndarray) else block.toarray()
        yield block.astype(np.uint8) if block.dtype == bool else block


def _scale(rows) -> float:
    """In the steps of `dec.data.matrix`, so that one array has one scale."""
    squares = 0.0
    for block in blocks(rows, BLOCK):
        block = block.astype(np.float64)
        with np.errstate(over="ignore"):
            squares += np.einsum("ij,ij->", block, block)
    mean = squares / (rows.shape[0] * rows.shape[1])
    if not np.isfinite(mean) or mean == 0:
        raise DecError(
            f"X: the mean of its squared numbers is {mean}: it cannot be scaled to 1"
        )
    return float(1 / np.sqrt(mean))
