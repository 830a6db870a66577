"""A round of `dec loop` on rows that are no photos: digits, texts, a net's features.

There is no photo to fine-tune a net on, so a multinomial logistic regression
(dec.classify.linear) learns the classes from the rows themselves. It is kept as a Caffe
net of one InnerProduct layer.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import write_bytes_atomic, write_text_atomic
from dec.base.digest import digest
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.machine import machine
from dec.base.tables import write_table
from dec.data import leveldb
from dec.data.leveldb.database import DatabaseInUse

LINEAR = "linear"  # what an experiment is called that learns from rows
MOST = 5_000  # rows that are learned from; of more, those reviewed and a random part
_TEST = 0.1  # of the rows that have a class, kept out of training
_BLOCK = 1024
_PATIENCE = 30.0  # seconds, while the page reads a picture from the same LevelDB
_DEPLOY = """\
# A linear classifier of rows, by dec loop.
name: "linear"
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: {batch} dim: {width} }} }} }}
layer {{ name: "classes" type: "InnerProduct" bottom: "data" top: "classes"
  inner_product_param {{ num_output: {classes} }} }}
layer {{ name: "proba" type: "Softmax" bottom: "classes" top: "proba" }}
"""


@dataclass(frozen=True)
class Rows:
    """Rows of a LevelDB or of an .npy file of n x d numbers, read in blocks."""

    source: Path

    def blocks(self, title: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first row, rows x d float32), with a progress bar."""
        if self.source.is_dir():
            with opened(self.source) as reader:
                yield from self._shown(title, reader.rows, reader.batches(size=_BLOCK))
            return
        try:
            rows = np.load(self.source, mmap_mode="r")
        except (OSError, ValueError) as error:
            words = f"{printable(self.source)}: cannot be read: {error}"
            raise DecError(words) from None
        parts = ((rows[i : i + _BLOCK], None) for i in range(0, len(rows), _BLOCK))
        yield from self._shown(title, len(rows), parts)

    def _shown(self, title: str, count: int, parts) -> Iterator:
        at = 0
        with progress.bar(count, title, " rows") as bar:
            for rows, _ in parts:
                yield at, np.asarray(rows, np.float32).reshape(len(rows), -1)
                at += len(rows)
                bar.update(len(rows))


@contextmanager
def opened(database: Path) -> Iterator:
    """A reader of a LevelDB, waiting where another process reads it for a moment."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            reader = leveldb.open_reader(database)
            break
        except DatabaseInUse:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with reader:
        yield reader


def learn(
    at: Path, rows: Rows, names: list[str], labels: dict[str, str], seen: set[str],
    seed: int,
) -> None:  # fmt: skip
    """Learns from the rows that have a class; labels all of them in at/labels.csv.

    names: of all rows, in their order. labels: classes by name. seen: those that
    somebody has looked at, which are learned from first where there are more than MOST.
    Writes the classifier and metrics.json into at/run. Raises DecError for rows that
    are not those of the names, and where a class has no row to learn from.
    """
    from dec.classify import linear

    began = time.monotonic()
    classes = sorted(set(labels.values()))
    number = {name: i for i, name in enumerate(classes)}
    train, test = _parts(labels, seen, seed)
    wanted = {name: number[labels[name]] for name in (*train, *test)}
    found = _read(rows, names, wanted)
    x = np.stack([found[name] for name in train])
    y = np.array([wanted[name] for name in train])
    progress.say(
        f"a linear classifier learns {len(classes)} classes from {len(train):,} of "
        f"{len(labels) - len(test):,} rows; {len(test):,} are held out"
    )
    fitted = linear.fit(x, y, classes, seed=seed)
    run = at / "run"
    run.mkdir(parents=True, exist_ok=True)
    _write_net(run, fitted, classes)
    proba = _label(at / "labels.csv", rows, names, classes, fitted)
    metrics = {
        "kind": "rows",
        "rows": str(rows.source),
        "n": len(names),
        "seed": seed,
        "classes": classes,
        "counts": {
            "train": np.bincount(y, minlength=len(classes)).tolist(),
            "unused": [len(labels) - len(train) - len(test)],
            "test": np.bincount(
                [wanted[name] for name in test], minlength=len(classes)
            ).tolist(),
        },
        "C": fitted.c,
        "losses": [[c, round(loss, 5)] for c, loss in fitted.losses.items()],
        "seconds": round(time.monotonic() - began, 1),
        "machine": machine(),
    }
    if test:
        from dec.scores.classes import measure

        place = {name: i for i, name in enumerate(names)}
        picked = proba[[place[name] for name in test]]
        metrics["test"] = measure(picked, np.array([wanted[name] for name in test]))
        words = f"{metrics['test']['right']:,} of {len(test):,} held out are right"
        progress.say(words)
    write_text_atomic(run / "metrics.json", json.dumps(metrics, indent=1) + "\n")


def _parts(labels: dict[str, str], seen: set[str], seed: int) -> tuple[list, list]:
    """Names to learn from, and names held out: a random tenth, the same each round.

    No class is left without a row to learn from.
    """
    order = sorted(labels, key=lambda n: digest(str(seed), _bytes(n)))
    most = round(_TEST * len(order))
    kept: dict[str, int] = {}
    for name in order:
        kept[labels[name]] = kept.get(labels[name], 0) + 1
    test = []
    for name in order:
        if len(test) < most and kept[labels[name]] > 1:
            kept[labels[name]] -= 1
            test.append(name)
    out = set(test)
    left = [name for name in order if name not in out]
    # One of each class before all others, then what somebody has looked at.
    first = {labels[name]: name for name in reversed(left)}
    head = set(first.values())
    left.sort(key=lambda n: (n not in head, n not in seen))
    return left[:MOST], test


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _read(rows: Rows, names: list[str], wanted: dict) -> dict[str, np.ndarray]:
    found = {}
    count = 0
    for at, block in rows.blocks("reading"):
        count = at + len(block)
        for i, name in enumerate(names[at:count]):
            if name in wanted:
                found[name] = block[i]
    if count != len(names):
        raise DecError(
            f"{printable(rows.source)}: {count:,} rows now; the review is of "
            f"{len(names):,}. Put the run's own rows back, or review the new run"
        )
    return found


def _label(
    out: Path, rows: Rows, names: list[str], classes: list[str], fitted
) -> np.ndarray:
    """Writes the two most probable classes of every row; returns n x classes."""
    proba = np.empty((len(names), len(classes)), np.float32)
    for at, block in rows.blocks("labelling"):
        scores = block.astype(np.float64) @ fitted.weight.T + fitted.bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        proba[at : at + len(block)] = scores / scores.sum(axis=1, keepdims=True)
    best = np.argsort(-proba, axis=1, kind="stable")[:, :2]
    head = ("file", "class", "probability", "second", "second_probability")

    def lines():
        yield head
        for name, p, (one, two) in zip(names, proba, best.tolist(), strict=True):
            yield name, classes[one], f"{p[one]:.6f}", classes[two], f"{p[two]:.6f}"

    write_table(out, lines())
    return proba


def _write_net(run: Path, fitted, classes: list[str]) -> None:
    """The classifier as Caffe has it; classes.txt names its outputs."""
    from caffe.proto import caffe_pb2

    count, width = fitted.weight.shape
    text = _DEPLOY.format(batch=1, width=width, classes=count)
    write_text_atomic(run / "deploy.prototxt", text)
    net = caffe_pb2.NetParameter(name="linear")
    layer = net.layer.add(name="classes", type="InnerProduct")
    for values in (fitted.weight, fitted.bias):
        blob = layer.blobs.add()
        blob.shape.dim.extend(values.shape)
        blob.data.extend(values.astype(np.float32).ravel().tolist())
    write_bytes_atomic(run / "final.caffemodel", net.SerializeToString())
    words = "".join(f"{printable(name)}\n" for name in classes)
    write_text_atomic(run / "classes.txt", words)
