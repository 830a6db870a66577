"""New rows for a trained net, from the kinds of files that a user has."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base.errors import DecError
from dec.base.files import printable
from dec.data import leveldb
from dec.data.images.idx import is_idx, read_idx
from dec.data.numbers import BLOCK, TABLES, Array, Table, listed
from dec.data.registry import Block, Reader
from dec.photos import kinds
from dec.photos.load import load_rgb

_IDX_SUFFIXES = (".idx", ".gz", "-ubyte", ".idx3-ubyte")


def read_rows(path: Path, reader: Reader) -> Iterator[Block]:
    """Blocks of names and prepared rows of one file, folder or LevelDB.

    Raises DecError, with the file's name, for what cannot be read as rows.
    """
    if (path / "CURRENT").exists():
        yield from _from_leveldb(path, reader)
        return
    try:
        yield from reader.read(path)
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror or error}") from None


class Preparation:
    """Rows of numbers and images: what was done to those of a run.

    facts: of its LevelDB. shape: of a row there, (channels, height, width). scale: by
    which raw numbers were multiplied. image: (height, width), or (height, width, 3),
    where rows are images.
    """

    def __init__(self, facts: dict):
        self.shape = tuple(facts["shape"])
        self.scale = float(facts.get("scale") or 1)
        self.image = tuple(facts["image"]) if facts.get("image") else None
        self.width = int(np.prod(self.shape))
        self._columns = facts.get("matrix") or {}
        self._table = (np.arange(256) * self.scale).astype(np.float32)

    def rows(self, raw: np.ndarray, name: str, first: int = 0) -> np.ndarray:
        """Raw numbers, n x anything of the right width, as rows: float32, n x width.

        They are scaled in double, whatever their own type. first: the number of the
        first of them, for messages.
        """
        if raw.ndim < 2:
            raise DecError(
                f"{name}: holds {raw.ndim}-dimensional data; rows are needed, n x "
                f"{self.width}"
            )
        flat = raw.reshape(len(raw), -1)
        if flat.shape[1] != self.width:
            raise DecError(
                f"{name}: rows of {flat.shape[1]} numbers; this run was trained on "
                f"rows of {self.width}"
            )
        if flat.dtype == np.uint8:
            return self._table[flat]
        if flat.dtype.kind not in "fiu":
            raise DecError(f"{name}: holds {flat.dtype}, not real numbers")
        with np.errstate(over="ignore"):
            rows = (flat.astype(np.float64) * self.scale).astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise DecError(
                f"{name}: row {first + bad[0]} (from 0) has NaN or infinity in it"
            )
        return rows

    def refuse_others(self, path: Path, meta: dict) -> None:
        """Raises DecError for a LevelDB, by its dec.json, of other columns or scale."""
        columns = (meta.get("matrix") or {}).get("columns")
        wanted = self._columns.get("columns")
        if columns and wanted and columns != wanted:
            raise DecError(
                f"{path}: rows of the columns {listed(columns)}; the run was trained "
                f"on {listed(wanted)}, in this order. Name the table instead"
            )
        scale = meta.get("scale", self.scale)
        if scale != self.scale:
            raise DecError(
                f"{path}: its numbers were multiplied by {scale}, those of the run by "
                f"{self.scale}. Name the file that it was made from"
            )

    def read(self, path: Path) -> Iterator[Block]:
        """Blocks of names and rows of an image, idx, npy or table.

        Names are FILE:ROW, from 0; an image has the file's.
        """
        kind = _kind(path)
        if kind == "image":
            yield [str(path)], self.rows(self._pixels(path), str(path))
            return
        at = 0
        for raw in self._raw(path, kind):
            names = [f"{path}:{at + i}" for i in range(len(raw))]
            yield names, self.rows(raw, str(path), at)
            at += len(raw)

    def _raw(self, path: Path, kind: str) -> Iterator[np.ndarray]:
        if kind == "idx":
            array = read_idx(path)
            return (array[at : at + BLOCK] for at in range(0, len(array), BLOCK))
        if kind == "npy":
            source = Array(path)
        else:
            source = Table.like(path, self._columns, self.width)
            source.tell()
        return (raw for raw, _ in source.blocks())

    def _pixels(self, path: Path) -> np.ndarray:
        """An image as one row of bytes: as a viewer shows it, on white, upright."""
        if self.image is None:
            raise DecError(f"{printable(path)}: this run was not trained on images")
        height, width, *colours = self.image
        image = load_rgb(path)
        if not colours:
            image = image.convert("L")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BOX)
        return np.asarray(image)[None]


def _kind(path: Path) -> str:
    """What a file is, by its content; by its name only where that says nothing."""
    with open(path, "rb") as file:
        head = file.read(kinds.HEAD)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if is_idx(head):
        return "idx"
    if kinds.sniff(head):
        return "image"
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return "table"
    if suffix in (".npy", ".npz"):
        return "npy"
    if path.name.endswith(_IDX_SUFFIXES):
        return "idx"
    raise DecError(
        f"{printable(path)}: {kinds.describe(head)}: neither an image, nor idx, npy, a "
        f"table ({', '.join(TABLES)}) or a LevelDB"
    )


def _from_leveldb(path: Path, reader: Reader) -> Iterator[Block]:
    # Its rows have been prepared when it was written.
    width = int(np.prod(reader.shape))
    all_names = leveldb.read_names(path)
    with leveldb.open_reader(path) as database:
        if database.width != width:
            raise DecError(
                f"{path}: rows of {database.width} numbers; this run was trained on "
                f"rows of {width}"
            )
        if isinstance(reader, Preparation):
            reader.refuse_others(path, database.meta or {})
        at = 0
        for rows, _ in database.batches(size=BLOCK):
            end = at + len(rows)
            names = all_names and all_names[at:end]
            yield names or [f"{path}:{i}" for i in range(at, end)], rows
            at = end
