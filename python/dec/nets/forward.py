"""Forward passes: over the database that a net reads, and over rows from memory.

Both in batches of one size, the last of which is filled up: so the numbers of a row
are the same bits whatever other rows are in its batch, and how many. (Its place in the
batch may change the last bit: BLAS adds up the rows at the end otherwise.)
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

Tag = TypeVar("Tag")


def over_database(
    net, rows: int, tops: Sequence[str], end: str | None = None
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Blobs for the next `rows` rows of the database that a pycaffe net reads.

    Yields how many rows were before, and the part of each blob of `tops` that belongs
    to the rows: n x its widths, which the next batch overwrites. The last batch may run
    on with the first rows of the database, which are left out. end: the layer up to
    which the net is run.
    """
    at = 0
    while at < rows:
        net.forward(end=end)
        parts = [net.blobs[top].data[: rows - at] for top in tops]
        yield at, parts
        at += len(parts[0])


class Deployed:
    """A deploy net with its weights: rows in, numbers out.

    One Input layer is needed. batch: how many rows are computed at once, if not as many
    as the prototxt says. Use it in a process that Caffe may end
    (dec.nets.caffe_process).
    """

    def __init__(
        self,
        deploy: Path,
        weights: Path | None,
        device: str = "cpu",
        batch: int | None = None,
        shape: Sequence[int] | None = None,
    ):
        """weights: None for those of a net that it will share them with. shape: of a
        row, instead of the prototxt's.
        """
        import caffe

        if device == "gpu":
            caffe.set_mode_gpu()
        given = {"weights": str(weights)} if weights else {}
        self.net = caffe.Net(str(deploy), caffe.TEST, **given)
        self._input = self.net.inputs[0]
        there = self.net.blobs[self._input].shape
        self.batch = batch or there[0]
        self.shape = tuple(shape or there[1:])
        self.net.blobs[self._input].reshape(self.batch, *self.shape)
        # The last layer that writes a blob: what is behind it need not be computed.
        self._ends = {
            top: layer for layer, tops in self.net.top_names.items() for top in tops
        }

    def rows(
        self, rows: Iterable[tuple[Tag, np.ndarray]], top: str | None = None
    ) -> Iterator[tuple[Tag, np.ndarray]]:
        """The numbers of an output for every row, in order, with the row's tag.

        rows: tag and values of each, as many as the net's input has. top: which output;
        the net's first by default. Each is flat, float32, and the caller's own.
        """
        top = top or self.net.outputs[0]
        block: list[tuple[Tag, np.ndarray]] = []
        for pair in rows:
            block.append(pair)
            if len(block) == self.batch:
                yield from self._forward(block, top)
                block = []
        if block:
            yield from self._forward(block, top)

    def block(self, rows: np.ndarray, top: str) -> np.ndarray:
        """A blob for up to `batch` rows (n x ...) at once: n x its width, a copy."""
        n = len(rows)
        # Asked for each time: on a GPU that is what makes it be copied there.
        data = self.net.blobs[self._input].data
        data[n:] = 0
        data[:n] = rows.reshape(n, *self.shape)
        self.net.forward(end=self._ends.get(top))
        return self.net.blobs[top].data[:n].reshape(n, -1).copy()

    def behind(self, rows: np.ndarray, blob: str) -> np.ndarray:
        """The net's first output for up to `batch` rows of a blob inside of it.

        rows: n x what `block` gives for that blob; only the layers behind it compute.
        """
        n = len(rows)
        data = self.net.blobs[blob].data
        data[n:] = 0
        data[:n] = rows.reshape(n, *data.shape[1:])
        names = list(self.net.bottom_names)
        at = names.index(self._ends[blob])
        start = next(x for x in names[at + 1 :] if blob in self.net.bottom_names[x])
        self.net.forward(start=start)
        return self.net.blobs[self.net.outputs[0]].data[:n].reshape(n, -1).copy()

    def _forward(self, block, top) -> Iterator[tuple[Tag, np.ndarray]]:
        tags, rows = zip(*block, strict=True)
        yield from zip(tags, self.block(np.stack(rows), top), strict=True)


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Without the log that Caffe writes to standard error when it sets up a net."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
