"""What a net says of photos before its last layer, kept in a file.

Where all layers but the last keep the weights that they start with, as in
squeezenet-linear, photos need to pass through them only once, however often the last
layer is trained anew. A loop and a list of experiments keep such rows in their folder.
"""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.digest import digest
from dec.base.errors import DecError
from dec.base.files import printable
from dec.data.labelled.prepare import PhotoInput
from dec.nets import prototxt
from dec.nets.forward import Deployed, Tag

FILE = "features.sqlite"

_TABLE = """
create table if not exists kept (  -- float32
    photo text, how text, row blob, primary key (photo, how)
)
"""


class Kept:
    """The rows of a net's last layer's input, of photos that are JPEGs of its size.

    In Caffe's process. file: an SQLite file, made where there is none; rows of several
    nets may be in it. A row belongs to the bytes of a photo and to all that decides it:
    the layers before the last and their weights, size, mean, crop and scale.
    """

    def __init__(
        self, file: Path, net: Deployed, deploy: Path, preparation: PhotoInput
    ):
        self._file, self._net, self._preparation = file, net, preparation
        last = list(net.net.params)[-1]
        self._blob = net.net.bottom_names[last][0]
        self._how = _how(net, deploy, last, preparation)
        self._db = _opened(file)

    def rows(self, photos: Iterable[tuple[Tag, bytes]]) -> Iterator[tuple]:
        """Tag and row (float32) of every photo, in order."""
        photos = iter(photos)
        while batch := list(itertools.islice(photos, self._net.batch)):
            tags, jpegs = zip(*batch, strict=True)
            yield from zip(tags, self._batch(jpegs), strict=True)

    def proba(self, photos: Iterable[tuple[Tag, bytes]]) -> Iterator[tuple]:
        """Tag and the net's output of every photo, in order."""
        rows = self.rows(photos)
        while batch := list(itertools.islice(rows, self._net.batch)):
            tags, inner = zip(*batch, strict=True)
            found = self._net.behind(np.stack(inner), self._blob)
            yield from zip(tags, found, strict=True)

    def _batch(self, jpegs: tuple[bytes, ...]) -> list[np.ndarray]:
        keys = [hashlib.sha256(jpeg).hexdigest() for jpeg in jpegs]
        try:
            found = {key: self._get(key) for key in keys}
            new = {k: j for k, j in zip(keys, jpegs, strict=True) if found[k] is None}
            if new:
                inputs = np.stack([self._preparation.row(j) for j in new.values()])
                made = self._net.block(inputs, self._blob)
                found |= zip(new, made, strict=True)
                with self._db:
                    self._db.executemany(
                        "insert or replace into kept values (?, ?, ?)",
                        [(key, self._how, found[key].tobytes()) for key in new],
                    )
        except sqlite3.Error as error:
            raise DecError(
                f"{printable(self._file)}: cannot be used ({error}); remove it, and it "
                "is made anew"
            ) from error
        return [found[key] for key in keys]

    def _get(self, key: str) -> np.ndarray | None:
        query = "select row from kept where photo = ? and how = ?"
        row = self._db.execute(query, (key, self._how)).fetchone()
        return row and np.frombuffer(row[0], np.float32)


def _how(net: Deployed, deploy: Path, last: str, preparation: PhotoInput) -> str:
    """A digest of all that decides a row."""
    layers = itertools.takewhile(
        lambda layer: layer.name != last, prototxt.read_net(deploy).layer
    )
    weights = (blob.data.tobytes() for n, p in net.net.params.items() if n != last
               for blob in p)  # fmt: skip
    prepared = (preparation.size, preparation.crop, preparation.scale)
    mean = preparation.mean.tobytes()
    return digest(*map(str, layers), *weights, repr(prepared), mean)


def _opened(file: Path) -> sqlite3.Connection:
    try:
        return _connected(file)
    except sqlite3.OperationalError as error:
        raise DecError(f"{printable(file)}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError:
        progress.say(f"{printable(file)}: damaged; features of photos are made anew")
        file.unlink()
        return _connected(file)


def _connected(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=60)
    db.execute(_TABLE)
    db.commit()
    return db
