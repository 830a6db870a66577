"""Write and read LevelDBs of Caffe's Datum messages, many rows at a time.

Row i has the key ``"%08d" % i``; its value is a Datum with the row's shape
(channels, height, width), an integer label, and the numbers: bytes in `data`
(images), anything else as float32 in `float_data`. A vector of d numbers has the
shape (d, 1, 1).
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import plyvel

from dec.base.atomic import partial_path, replace_dir, sync_dir
from dec.base.errors import DecError
from dec.base.files import refuse_to_replace
from dec.base.progress import bar
from dec.data.leveldb.database import (
    DatabaseInUse,
    new_database,
    open_database,
    refuse_if_in_use,
    remedy,
    words_of,
)
from dec.data.leveldb.datum import decode_datum, encode_rows

FORMAT = 1  # of the rows and of dec.json; raise it to have databases written anew
MAX_ROWS = 100_000_000  # what keys of eight digits can count
META_NAME = "dec.json"  # LevelDB leaves files alone whose names it does not know
NAMES_NAME = "names.txt"

_BATCH_BYTES = 4 << 20
OWN_FILES = re.compile(
    r"CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(ldb|sst|log|dbtmp)|dec\.json"
    r"|names\.txt"
)


def write_rows(
    path: str | Path,
    rows: np.ndarray | Iterable[np.ndarray],
    labels: Sequence[int] | np.ndarray | None = None,
    meta: dict | None = None,
    names: Iterable[str] | None = None,
) -> int:
    """Writes `rows` to a new LevelDB at `path`; returns how many they are.

    rows: an array of shape (n, d) or (n, channels, height, width), or an iterable
        of such arrays (blocks of rows) or of single rows, all of one shape. Bytes
        (uint8) become Datum.data, other numbers float32 in Datum.float_data.
    labels: n integers (of 32 bits), or None to leave the labels out.
    meta: what else to keep in dec.json, beside `format`, `rows` and `shape`.
    names: n names of the rows, such as file names, kept in names.txt.

    The database is built next to `path` and swapped in when it is complete and on
    disk, so that a kill at any moment leaves the old one or the new one.

    Raises DecError, with `path` as it was, for rows that are NaN, infinite, of
    different shapes, too many or none; for labels or names that do not fit; when
    `path` is a folder of other things or a database in use; when the disk is full or
    may not be written to.
    """
    path = Path(path)
    _refuse_to_replace(path)
    if labels is not None:
        labels = _checked_labels(labels)
    partial = partial_path(path)
    try:
        # LevelDB would make the folder too, but not say why when it cannot.
        partial.mkdir(parents=True)
        known = (rows if isinstance(rows, np.ndarray) else None, labels, names)
        total = next((len(x) for x in known if hasattr(x, "__len__")), None)
        count, shape = _fill(partial, path.name, rows, labels, total)
        if names is not None:
            written = _write_names(partial / NAMES_NAME, names)
            if written != count:
                raise DecError(f"{path}: {written} names for {count} rows")
        facts = {**(meta or {}), "format": FORMAT, "rows": count, "shape": shape}
        _write_synced(partial / META_NAME, json.dumps(facts, indent=1) + "\n")
        sync_dir(partial)
        _refuse_to_replace(path)
        replace_dir(partial, path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, plyvel.Error):
            raise DecError(f"{path}: cannot be written: {words_of(error)}") from error
        if isinstance(error, OSError):
            raise DecError(f"{path}: cannot be written: {error.strerror}") from error
        raise
    return count


def read_meta(path: str | Path) -> dict | None:
    """The contents of dec.json in the LevelDB at `path`, or None without (or bad)."""
    try:
        meta = json.loads((Path(path) / META_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) else None


def is_current(path: str | Path, facts: dict) -> bool:
    """Whether the LevelDB at `path` is whole and its dec.json has these facts."""
    meta = read_meta(path)
    if meta is None or meta.get("format") != FORMAT:
        return False
    if any(meta.get(name) != value for name, value in facts.items()):
        return False
    try:
        open_reader(path).close()
    except DatabaseInUse:
        return True
    except DecError:
        return False
    return True


def read_names(path: str | Path) -> list[str] | None:
    """The names of the rows of the LevelDB at `path`, or None if they have none."""
    path = Path(path) / NAMES_NAME
    try:
        with open(path, encoding="ascii") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DecError(f"{path}: cannot be read: {error}") from None


def open_reader(path: str | Path) -> "Reader":
    """A `Reader` of the LevelDB at `path`; use it as a context manager.

    Raises DecError when it is missing, no LevelDB, half-written, damaged or empty,
    and DatabaseInUse when somebody has it open: LevelDB lets in one at a time.
    """
    return Reader(path)


class Reader:
    """The rows of one LevelDB.

    rows: how many; shape: (channels, height, width) of each; width: their product;
    meta: what `read_meta` gives.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.meta = read_meta(path)
        self._db = open_database(self.path)
        try:
            self.rows = self._count()
            _, first = next(self._items(0, 1), (None, None))
            if first is None:
                raise self._damaged("row 0 is missing")
            self.shape, _, _ = self._decode(first, 0)
        except BaseException:
            self.close()
            raise
        self.width = int(np.prod(self.shape))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def close(self) -> None:
        self._db.close()

    def batches(
        self, start: int = 0, stop: int | None = None, size: int = 1024
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (x, labels) of up to `size` rows each, for the rows [start, stop).

        x: float32, (n, width), new in each batch. labels: int32, (n,), -1 where the
        row has none. Raises DecError at rows that are missing, damaged or of
        another shape than the first.
        """
        stop = self.rows if stop is None else stop
        if not 0 <= start <= stop <= self.rows:
            raise DecError(
                f"{self.path}: rows {start} to {stop} asked for; it has {self.rows}"
            )
        items = self._items(start, stop)
        for begin in range(start, stop, size):
            n = min(size, stop - begin)
            x = np.empty((n, self.width), np.float32)
            labels = np.empty(n, np.int32)
            for i in range(n):
                key, value = next(items, (None, None))
                if key != b"%08d" % (begin + i):
                    raise self._damaged(f"row {begin + i} is missing")
                shape, label, x[i] = self._decode(value, begin + i)
                labels[i] = label
                if shape != self.shape:
                    raise self._damaged(
                        f"row {begin + i} has the shape {shape}, row 0 {self.shape}"
                    )
            yield x, labels

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows [start, stop) at once: float32 (n, width) and int32 (n,)."""
        stop = self.rows if stop is None else stop
        nothing = np.empty((0, self.width), np.float32), np.empty(0, np.int32)
        return next(self.batches(start, stop, max(1, stop - start)), nothing)

    def _items(self, start, stop):
        keys = b"%08d" % start, b"%08d" % stop
        try:
            # Each row is read once: no reason to push others out of the cache.
            yield from self._db.iterator(
                start=keys[0], stop=keys[1], verify_checksums=True, fill_cache=False
            )
        except plyvel.Error as error:
            raise self._damaged(words_of(error)) from error

    def _count(self):
        try:
            last = next(self._db.iterator(reverse=True, include_value=False), None)
        except plyvel.Error as error:
            raise self._damaged(words_of(error)) from error
        if last is None:
            said = (self.meta or {}).get("rows")
            lost = f"; its {META_NAME} says {said}: corrupt" if said else ""
            raise self._damaged(f"it holds no rows{lost}")
        if not re.fullmatch(rb"\d{8}", last):
            raise DecError(
                f"{self.path}: its keys are not row numbers of eight digits "
                f"(the last is {last[:40]!r}): not written by dec"
            )
        count = int(last) + 1
        if self.meta is not None and self.meta.get("rows") != count:
            raise self._damaged(
                f"it holds {count} rows, its {META_NAME} says {self.meta.get('rows')}"
            )
        return count

    def _decode(self, value, row):
        try:
            return decode_datum(value)
        except ValueError as error:
            raise self._damaged(f"row {row}: {error}") from error

    def _damaged(self, what):
        return DecError(f"{self.path}: {what}. {remedy(self.path)}")


def _fill(folder, name, rows, labels, total):
    """Writes all rows to a new database in `folder`; returns their count and shape.

    total: how many there will be, as far as it is known.
    """
    count, shape = 0, None
    with (
        new_database(folder, create_if_missing=True, error_if_exists=True) as db,
        bar(total, f"writing {name}", " rows") as shown,
    ):
        for piece in _blocks(rows):
            block = _checked_block(piece, shape, count)
            shape = block.shape[1:]
            if count + len(block) > MAX_ROWS:
                raise DecError(f"{name}: more than {MAX_ROWS} rows")
            part = None
            if labels is not None:
                part = labels[count : count + len(block)].tolist()
                if len(part) < len(block):
                    raise DecError(f"{name}: {len(labels)} labels for more rows")
            batch, filled = db.write_batch(), 0
            for value in encode_rows(block, part):
                batch.put(b"%08d" % count, value)
                count += 1
                filled += len(value)
                if filled > _BATCH_BYTES:
                    batch.write()
                    batch, filled = db.write_batch(), 0
            batch.write()
            shown.update(len(block))
        if count == 0:
            raise DecError(f"{name}: there are no rows to write")
        if labels is not None and len(labels) != count:
            raise DecError(f"{name}: {len(labels)} labels for {count} rows")
        db.put(b"%08d" % (count - 1), value, sync=True)
    # Opening it once more moves the rows that are still in LevelDB's log into its
    # tables, which the first reader would have to do otherwise, and shows an error
    # of the background writer that came too late for us to see.
    with new_database(folder) as db:
        last = next(db.iterator(reverse=True, include_value=False), None)
    if last != b"%08d" % (count - 1):
        raise DecError(f"{name}: LevelDB has lost rows while writing (last: {last})")
    return count, list(shape) if len(shape) == 3 else [shape[0], 1, 1]


def _blocks(rows):
    """Pieces of `rows` small enough to be converted one at a time."""
    if not isinstance(rows, np.ndarray):
        yield from rows
        return
    if rows.ndim not in (2, 4):
        raise DecError(
            "rows must be an array of the shape (n, d) or (n, channels, height, "
            f"width), not {rows.shape}"
        )
    step = max(1, _BATCH_BYTES // max(1, rows[:1].nbytes))
    for at in range(0, len(rows), step):
        yield rows[at : at + step]


def _checked_block(block, shape, first_row):
    """`block` as contiguous rows of uint8 or float32, like the rows before it."""
    try:
        block = np.asarray(block)
    except ValueError as error:
        raise DecError(f"row {first_row}: rows of different lengths") from error
    if block.dtype.kind not in "fiub":
        raise DecError(f"row {first_row}: {block.dtype} is not a type of numbers")
    if block.ndim in (1, 3):
        block = block[None]
    if block.ndim not in (2, 4) or 0 in block.shape[1:]:
        raise DecError(
            f"row {first_row}: rows must be vectors or channels x height x width, "
            f"not empty; this block has the shape {block.shape}"
        )
    if shape is not None and block.shape[1:] != shape:
        raise DecError(
            f"row {first_row} has the shape {block.shape[1:]}, those before {shape}"
        )
    if block.dtype == np.uint8:
        return block
    with np.errstate(over="ignore"):
        block = block.astype("<f4", copy=False)
    if not np.isfinite(block).all():
        row, *where = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
        raise DecError(
            f"row {first_row + row} holds NaN or a number beyond float32's range "
            f"(at {', '.join(map(str, where))}, counted from 0)"
        )
    return block


def _checked_labels(labels):
    labels = np.asarray(labels)
    limits = np.iinfo(np.int32)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise DecError("labels must be a list of integers, one a row")
    if labels.size and not limits.min <= labels.min() <= labels.max() <= limits.max:
        raise DecError("labels must fit into 32 bits")
    return labels


def _refuse_to_replace(path):
    """DecError unless `path` is free, or a LevelDB that nobody has open."""
    refuse_to_replace(path, "a LevelDB", OWN_FILES)
    if path.exists():
        refuse_if_in_use(path)


def _write_names(path, names):
    # As JSON, in ASCII: file names may hold line ends, and bytes that are not UTF-8.
    written = 0
    with open(path, "w", encoding="ascii") as file:
        for name in names:
            file.write(json.dumps(name) + "\n")
            written += 1
        file.flush()
        os.fsync(file.fileno())
    return written


def _write_synced(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
