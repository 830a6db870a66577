"""Any matrix as a data set: a .npy file, or a table of text (.csv, .tsv).

Rows are multiplied by one number, so that the mean of ||x||^2 / d is 1 (the paper's
section 4.1). Columns keep their sizes relative to each other: what would make them
comparable depends on what they are, so that is the user's to do beforehand.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dec.base.digest import sha256_of
from dec.base.errors import DecError
from dec.base.progress import bar, say
from dec.data import leveldb
from dec.data.inputs import Preparation
from dec.data.numbers import Array, Block, Table, load_npy

MAX_CLASSES = 1000  # more are no classes but, say, a column of measurements

_PARTS = ("total", "train", "test")
_SUFFIXES = (".csv", ".tsv")
_NAMED = 5  # columns of one fault that are named
_INDEX_ROWS = 5  # that must count up for a column to be called an index
_DOMINATES = 0.95  # of all squares


def build_npy_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    labels: Path | None = None,
    name: str = "npy",
) -> dict[str, Path]:
    """Writes NAME_total, NAME_train (all rows) and NAME_test (their last fifth).

    source: a .npy file, n x anything, of any type of real numbers; it is not read into
    memory as a whole. labels: a .npy file of n integers or words. Databases that are
    up to date are left alone. Returns their paths by name. Raises DecError for files
    that cannot be read, NaN, infinity, labels that do not fit.
    """
    source = _existing(name, source)
    sources = {source.name: sha256_of(source)}
    words = None
    if labels is not None:
        labels = _existing(name, labels)
        sources["labels"] = sha256_of(labels)
        words = _label_words(labels)
    return _build(name, Path(folder), Array, source, {"sources": sources}, words)


def build_csv_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    label_column: str | None = None,
    header: str = "auto",
    name: str = "csv",
) -> dict[str, Path]:
    """Writes NAME_total, NAME_train (all rows) and NAME_test (their last fifth).

    source: a table of numbers (.csv, .tsv), UTF-8, read line by line. header: "yes" or
    "no": whether the first line names the columns; "auto": it does where none of it is
    a number, and where that is not clear, it is an error. label_column: the name or
    the number (from 1; -1 is the last) of a column of labels, which may be words. For
    the rest see `build_npy_leveldbs`; errors name the line.
    """
    source = _existing(name, source)
    if source.suffix.lower() not in _SUFFIXES:
        raise DecError(f"{source}: its name ends neither with .csv nor with .tsv")
    label = None if label_column is None else str(label_column)
    table = Table(source, header, label)
    facts = {"sources": {source.name: sha256_of(source)}, **table.facts()}
    return _build(name, Path(folder), lambda _: table, source, facts, None)


def _existing(name, source):
    if source is None:
        raise DecError(f"{name}: name the file that holds the matrix")
    source = Path(source)
    if not source.is_file():
        raise DecError(f"{source}: there is no such file")
    if not os.access(source, os.R_OK):
        raise DecError(f"{source}: may not be read")
    return source


def _build(name, folder, opened, source, facts, words):
    """The three databases; `facts` is what decides them, beside this module.

    opened: makes an Array or a Table of `source`. words: the labels of an Array.
    """
    paths = {f"{name}_{part}": folder / f"{name}_{part}" for part in _PARTS}
    if all(leveldb.is_current(path, {"matrix": facts}) for path in paths.values()):
        for path in paths.values():
            say(f"{path}: up to date")
        return paths
    matrix = opened(source)
    if isinstance(matrix, Table):
        matrix.tell()
    survey = _Survey(source, matrix.titles)
    for rows, more in _shown(matrix, source):
        survey.add(rows, more)
    if facts.get("label_column") is not None:
        words = survey.words
    numbers, classes = _numbered(source, words, survey.rows)
    meta = {"kind": "matrix", "scale": survey.scale(), "matrix": facts}
    survey.tell()
    if classes is not None:
        meta["classes"] = classes
    shape = [survey.width, 1, 1]
    preparation = Preparation({"shape": shape, "scale": meta["scale"]})
    prepared = (preparation.rows(x, str(source)) for x, _ in _shown(matrix, source))
    total, train, test = paths.values()
    leveldb.write_rows(total, prepared, numbers, meta)
    last_fifth = survey.rows - max(1, survey.rows // 5)
    for path, start in ((train, 0), (test, last_fifth)):
        with leveldb.open_reader(total) as reader:
            rows = (x for x, _ in reader.batches(start))
            leveldb.write_rows(
                path, rows, None if numbers is None else numbers[start:], meta
            )
    for path, count in zip(
        paths.values(), (survey.rows,) * 2 + (survey.rows - last_fifth,), strict=True
    ):
        say(f"{path}: {count:,} rows of {survey.width:,} numbers written")
    return paths


def _shown(matrix: Array | Table, source: Path) -> Iterator[Block]:
    """The blocks of rows, with a bar."""
    with bar(matrix.rows, f"reading {source.name}", " rows") as shown:
        for block in matrix.blocks():
            yield block
            shown.update(len(block[0]))


class _Survey:
    """What has to be known of all rows before the first can be written.

    titles: what to call the columns in messages; None: by their numbers.
    """

    def __init__(self, source, titles):
        self.source, self.rows, self.width = source, 0, 0
        self.words: list[str] = []
        self._titles = titles
        self._squares = 0.0
        self._by_column = self._counting = 0.0
        self._least = self._most = self._last = None

    def add(self, raw, words):
        """A block: n x anything, and the words of its labels."""
        rows = raw.reshape(len(raw), -1).astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise DecError(
                f"{self.source}: row {self.rows + bad[0]} (from 0) has NaN or infinity "
                "in it; fill such numbers in or leave such rows out"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares += np.einsum("ij,ij->", rows, rows)
            self._by_column += np.einsum("ij,ij->j", rows, rows)
            before = rows if self._last is None else np.vstack([self._last, rows])
            self._counting += (np.diff(before, axis=0) == 1).sum(axis=0)
        ends = [rows.min(axis=0), rows.max(axis=0)]
        if self.rows:
            ends = [np.minimum(ends[0], self._least), np.maximum(ends[1], self._most)]
        self._least, self._most = ends
        self._last = rows[-1:]
        self.rows += len(rows)
        self.width = rows.shape[1]
        self.words += words

    def tell(self) -> None:
        """Says which columns would decide all, or nothing."""
        if self.rows < 2:
            return
        constant = np.flatnonzero(self._least == self._most)
        if len(constant):
            say(
                f"{self.source}: {len(constant)} of {self.width} columns hold one "
                f"number only ({self._named(constant)}); they tell nothing"
            )
        index = np.flatnonzero(self._counting == self.rows - 1)
        if len(index) and self.rows >= _INDEX_ROWS:
            say(
                f"{self.source}: {self._named(index)} counts the rows one by one, as "
                "an index does. It is taken for data: is it? Else leave it out"
            )
        share = self._by_column / self._squares
        if self.width > 1 and share.max() > _DOMINATES:
            say(
                f"{self.source}: {self._named([share.argmax()])} holds "
                f"{100 * share.max():.1f}% of all squares: next to it the other "
                f"{self.width - 1} hardly count. Bring the columns to like units first "
                "(docs/tables.md)"
            )

    def _named(self, columns) -> str:
        titles = self._titles or [f"column {i + 1}" for i in range(self.width)]
        more = ", ..." if len(columns) > _NAMED else ""
        return ", ".join(titles[i] for i in columns[:_NAMED]) + more

    def scale(self) -> float:
        """By which rows are multiplied, so that the mean of ||x||^2 / d is 1."""
        constant = np.flatnonzero(self._least == self._most)
        if len(constant) == self.width and self.rows > 1:
            raise DecError(f"{self.source}: all its rows are equal")
        mean = self._squares / (self.rows * self.width)
        if not np.isfinite(mean) or mean == 0:
            raise DecError(
                f"{self.source}: the mean of its squared numbers is {mean}: it cannot "
                "be scaled to 1"
            )
        return float(1 / np.sqrt(mean))


def _label_words(path: Path) -> list[str]:
    array = load_npy(path)
    if array.dtype.kind not in "iuUS" or array.size != len(array):
        raise DecError(
            f"{path}: labels must be n integers or words; these are {array.dtype} of "
            f"the shape {array.shape}"
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return [str(word) for word in array.ravel().tolist()]


def _numbered(
    source: Path, words: Iterable[str] | None, rows: int
) -> tuple[np.ndarray | None, list[str] | None]:
    """Labels as numbers 0, 1, 2, ... (int32) and the word of each.

    In the order of their values if all are integers, else of the alphabet; no words
    where they would say the same as the numbers.
    """
    if words is None:
        return None, None
    if len(words) != rows:
        raise DecError(f"{source}: {len(words)} labels for {rows} rows")
    try:
        classes = sorted(set(words), key=int)
    except ValueError:
        classes = sorted(set(words))
    if len(classes) > MAX_CLASSES:
        raise DecError(
            f"{source}: its labels have {len(classes):,} different values: too many to "
            f"be classes (at most {MAX_CLASSES:,})"
        )
    place = {word: i for i, word in enumerate(classes)}
    numbers = np.array([place[word] for word in words], np.int32)
    same = classes == [str(i) for i in range(len(classes))]
    return numbers, None if same else classes
