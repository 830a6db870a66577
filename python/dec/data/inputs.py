"""New rows for a trained net, from the kinds of files that a user has."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dec.base.errors import DecError
from dec.data import leveldb
from dec.data.images.idx import read_idx
from dec.data.registry import Block, Reader

_BLOCK = 1024
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
    """Rows of numbers and grey images: what was done to those of a run.

    shape: of a row in its LevelDB, (channels, height, width). scale: by which raw
    numbers were multiplied. image: (height, width) where rows are grey images.
    """

    def __init__(self, facts: dict):
        self.shape = tuple(facts["shape"])
        self.scale = float(facts.get("scale") or 1)
        self.image = tuple(facts["image"]) if facts.get("image") else None
        self.width = int(np.prod(self.shape))
        self._table = (np.arange(256) * self.scale).astype(np.float32)

    def rows(self, raw: np.ndarray, name: str) -> np.ndarray:
        """Raw numbers, n x anything of the right width, as rows: float32, n x width."""
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
        if not np.issubdtype(flat.dtype, np.number):
            raise DecError(f"{name}: holds {flat.dtype}, not numbers")
        rows = (flat * self.scale).astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise DecError(f"{name}: row {bad[0]} has NaN or infinity in it")
        return rows

    def read(self, path: Path) -> Iterator[Block]:
        """Blocks of names and rows of an image, idx, npy or csv."""
        kind = _kind(path)
        raw = _READERS[kind](path, self)
        rows = self.rows(raw, str(path))
        names = [f"{path}:{i}" for i in range(len(rows))]
        if kind == "image":
            names = [str(path)]
        for at in range(0, len(rows), _BLOCK):
            yield names[at : at + _BLOCK], rows[at : at + _BLOCK]


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if path.name.endswith(_IDX_SUFFIXES) or start[:2] == b"\0\0":
        return "idx"
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return "csv"
    return "image"


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
        at = 0
        for rows, _ in database.batches(size=_BLOCK):
            end = at + len(rows)
            names = all_names and all_names[at:end]
            yield names or [f"{path}:{i}" for i in range(at, end)], rows
            at = end


def _read_npy(path: Path, _: Preparation) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DecError(f"{path}: no readable NumPy array: {error}") from None


def _read_idx(path: Path, _: Preparation) -> np.ndarray:
    return read_idx(path)


def _read_csv(path: Path, _: Preparation) -> np.ndarray:
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            dialect = "excel-tab" if path.suffix == ".tsv" else "excel"
            for number, words in enumerate(csv.reader(file, dialect), 1):
                try:
                    rows.append(np.array(words, dtype=np.float64))
                except ValueError:
                    if number > 1:  # the first line may be a header
                        raise DecError(f"{path}:{number}: not all numbers") from None
                    continue
                if len(rows[-1]) != len(rows[0]):
                    raise DecError(
                        f"{path}:{number}: {len(rows[-1])} numbers, {len(rows[0])} in "
                        "the rows before"
                    )
    except UnicodeDecodeError:
        raise DecError(f"{path}: is not text") from None
    if not rows:
        raise DecError(f"{path}: has no rows")
    return np.stack(rows)


def _read_image(path: Path, preparation: Preparation) -> np.ndarray:
    if preparation.image is None:
        raise DecError(f"{path}: this run was not trained on images")
    height, width = preparation.image
    try:
        with Image.open(path) as image:
            grey = image.convert("L")
    except UnidentifiedImageError:
        raise DecError(
            f"{path}: neither an image, nor idx, npy, csv or a LevelDB"
        ) from None
    if grey.size != (width, height):
        grey = grey.resize((width, height), Image.Resampling.BOX)
    return np.asarray(grey)[None]


_READERS = {
    "npy": _read_npy,
    "idx": _read_idx,
    "csv": _read_csv,
    "image": _read_image,
}
