"""assignments.csv: the cluster of every row of a run."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dec.base.atomic import write_text_atomic


def write(
    path: Path,
    assigned: np.ndarray,
    confidence: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str] | None,
) -> None:
    """Writes row, cluster and probability, and label and name where there are any."""
    columns: list[Iterable] = [range(len(assigned)), assigned]
    columns.append(f"{p:.6f}" for p in confidence)
    head = ["row", "cluster", "probability"]
    if labels is not None:
        head.append("label")
        columns.append(labels)
    if names is not None:
        head.append("name")
        columns.append(map(word, names))
    lines = (",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))
    write_text_atomic(path, itertools.chain([",".join(head) + "\n"], lines))


def read(path: Path) -> dict[str, np.ndarray]:
    """Its columns of numbers by name: row, cluster, probability and, maybe, label.

    Raises ValueError for a damaged table, OSError when it cannot be read.
    """
    with open(path, encoding="utf-8", newline="") as file:
        head = file.readline().rstrip("\n").split(",")
        head = [name for name in head if name != "name"]
        numbers = range(len(head))
        table = np.loadtxt(
            file, delimiter=",", comments=None, quotechar='"', usecols=numbers, ndmin=2
        )
    columns = dict(zip(head, table.T, strict=True))
    for name in ("row", "cluster", "label"):
        if name in columns:
            columns[name] = columns[name].astype(int)
    return columns


def word(name: str) -> str:
    """A name as a word of CSV; bytes that are not UTF-8 are written as \\udcXX."""
    name = name.encode("utf-8", "backslashreplace").decode()
    if any(c in name for c in ',"\n\r'):
        name = '"' + name.replace('"', '""') + '"'
    return name
