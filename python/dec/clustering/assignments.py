"""assignments.csv: the cluster of every row of a run."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dec.base.tables import read_table, write_table


def write(
    path: Path,
    assigned: np.ndarray,
    confidence: np.ndarray | None,
    labels: np.ndarray | None,
    names: Sequence[str] | None,
) -> None:
    """Writes row, cluster, and probability, label and name where there are any."""
    columns: list[Iterable] = [range(len(assigned)), assigned]
    head = ["row", "cluster"]
    if confidence is not None:
        head.append("probability")
        columns.append(f"{p:.6f}" for p in confidence)
    if labels is not None:
        head.append("label")
        columns.append(labels)
    if names is not None:
        head.append("name")
        columns.append(names)
    write_table(path, itertools.chain([head], zip(*columns, strict=True)))


def read(path: Path) -> dict[str, np.ndarray]:
    """Its columns of numbers by name: row, cluster and, maybe, probability and label.

    Raises ValueError or DecError for a damaged table, DecError when it cannot be read.
    """
    rows = read_table(path, ours=True)
    _, head = next(rows, (1, []))
    head = [name for name in head if name != "name"]
    numbers = (tuple(map(float, cells[: len(head)])) for _, cells in rows)
    table = np.fromiter(numbers, np.dtype((np.float64, len(head))))
    columns = dict(zip(head, table.T, strict=True))
    for name in ("row", "cluster", "label"):
        if name in columns:
            columns[name] = columns[name].astype(int)
    return columns
