"""Some rows of a LevelDB as a LevelDB of their own, for what all rows take too long."""

from pathlib import Path

import numpy as np

from dec.data import leveldb

_BLOCK = 1000
# What dec.json says of all rows, or of files beside it.
_NOT_KEPT = ("format", "rows", "shape", "pictures", "files")


def drawn(n: int, count: int, seed: int) -> np.ndarray:
    """`count` of n row numbers, at random, rising; all where there are no more."""
    if count >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, count, replace=False))


def write_part(
    source: Path, rows: np.ndarray, target: Path, labelled: bool = True
) -> None:
    """Writes the rows of these numbers (m, rising) to a new LevelDB, in this order.

    labelled: with their labels, where all of them have one. They are held in memory.
    """
    blocks, labels = [], []
    with leveldb.open_reader(source) as reader:
        told = reader.meta or {}
        for at in range(0, reader.rows, _BLOCK):
            own = rows[(rows >= at) & (rows < at + _BLOCK)] - at
            if len(own):
                block, given = reader.read(at, min(at + _BLOCK, reader.rows))
                blocks.append(block[own].reshape(len(own), *reader.shape))
                labels.append(given[own])
    known = np.concatenate(labels)
    kept = {name: value for name, value in told.items() if name not in _NOT_KEPT}
    kept["part_of"] = {"database": str(source), "rows": len(rows)}
    with_labels = labelled and (known >= 0).all()
    leveldb.write_rows(target, iter(blocks), known if with_labels else None, kept)
