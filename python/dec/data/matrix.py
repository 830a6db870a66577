"""Any matrix as a data set: a .npy file, or a table of text (.csv, .tsv).

Rows are multiplied by one number, so that the mean of ||x||^2 / d is 1 (the paper's
section 4.1). Columns keep their sizes relative to each other: what would make them
comparable depends on what they are, so that is the user's to do beforehand.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from dec.base.download import sha256_of
from dec.base.errors import DecError
from dec.base.progress import bar, say
from dec.data import leveldb
from dec.data.inputs import Preparation

MAX_CLASSES = 1000  # more are no classes but, say, a column of measurements

_BLOCK = 1024  # rows
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

# Rows (n x anything) and, with a label column, their labels as words.
Block = tuple[np.ndarray, list[str]]


def build_npy_leveldbs(
    folder: str | Path, source: str | Path | None = None, labels: Path | None = None
) -> dict[str, Path]:
    """Writes npy_total, npy_train (all rows) and npy_test (their last fifth).

    source: a .npy file, n x anything, of any type of real numbers; it is not read into
    memory as a whole. labels: a .npy file of n integers or words. Databases that are
    up to date are left alone. Returns their paths by name. Raises DecError for files
    that cannot be read, NaN, infinity, labels that do not fit.
    """
    source = _existing("npy", source)
    sources = {source.name: sha256_of(source)}
    words = None
    if labels is not None:
        labels = _existing("npy", labels)
        sources["labels"] = sha256_of(labels)
        words = _label_words(labels)
    return _build("npy", Path(folder), source, {"sources": sources}, None, words)


def build_csv_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    label_column: str | None = None,
) -> dict[str, Path]:
    """Writes csv_total, csv_train (all rows) and csv_test (their last fifth).

    source: a table of numbers, .csv (commas) or .tsv (tabs), UTF-8, read line by line.
    A first line without any number is a header. label_column: the name or the number
    (from 1; -1 is the last) of a column of labels, which may be words. For the rest
    see `build_npy_leveldbs`; errors name the line.
    """
    source = _existing("csv", source)
    if source.suffix.lower() not in _DELIMITERS:
        raise DecError(f"{source}: its name ends neither with .csv nor with .tsv")
    facts = {"sources": {source.name: sha256_of(source)}}
    column = None
    if label_column is not None:
        _, first = next(_lines(source))
        column = facts["label_column"] = _find_column(source, first, str(label_column))
    return _build("csv", Path(folder), source, facts, column, None)


class MatrixRows:
    """Reads new matrices as the LevelDBs' rows were made.

    facts: those of the LevelDB. shape: of a row, (d, 1, 1).
    """

    def __init__(self, facts: dict):
        self._preparation = Preparation(facts)
        self._column = (facts.get("matrix") or {}).get("label_column")
        self.shape = self._preparation.shape

    def read(self, path: Path) -> Iterator[tuple[list[str], np.ndarray]]:
        """Blocks of names (FILE:ROW, from 0) and rows (float32, n x d) of one file.

        The label column of the training data, if the file has it too, is left out.
        Raises DecError for what cannot be read, or is of another width.
        """
        at = 0
        for raw, _ in _blocks(path, self._column_in(path)):
            names = [f"{path}:{at + i}" for i in range(len(raw))]
            yield names, self._preparation.rows(raw, str(path))
            at += len(raw)

    def _column_in(self, path):
        if self._column is None or path.suffix.lower() not in _DELIMITERS:
            return None
        _, first = next(_lines(path))
        return self._column if len(first) == self._preparation.width + 1 else None


def _existing(name, source):
    if source is None:
        raise DecError(f"{name}: name the file that holds the matrix")
    source = Path(source)
    if not source.is_file():
        raise DecError(f"{source}: there is no such file")
    if not os.access(source, os.R_OK):
        raise DecError(f"{source}: may not be read")
    return source


def _build(name, folder, source, facts, column, words):  # noqa: PLR0913
    """The three databases; `facts` is what decides them, beside this module."""
    paths = {f"{name}_{part}": folder / f"{name}_{part}" for part in _PARTS}
    if all(leveldb.is_current(path, {"matrix": facts}) for path in paths.values()):
        for path in paths.values():
            say(f"{path}: up to date")
        return paths
    survey = _Survey(source)
    for rows, more in _blocks(source, column):
        survey.add(rows, more)
    if column is not None:
        words = survey.words
    numbers, classes = _numbered(source, words, survey.rows)
    meta = {"kind": "matrix", "scale": survey.scale(), "matrix": facts}
    if classes is not None:
        meta["classes"] = classes
    shape = [survey.width, 1, 1]
    preparation = Preparation({"shape": shape, "scale": meta["scale"]})
    prepared = (
        preparation.rows(rows, str(source)) for rows, _ in _blocks(source, column)
    )
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


_PARTS = ("total", "train", "test")


class _Survey:
    """What has to be known of all rows before the first can be written."""

    def __init__(self, source):
        self.source, self.rows, self.width = source, 0, 0
        self.words: list[str] = []
        self._squares = 0.0
        self._least = self._most = None

    def add(self, raw, words):
        """A block: n x anything, and the words of its labels."""
        rows = raw.reshape(len(raw), -1).astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise DecError(
                f"{self.source}: row {self.rows + bad[0]} (from 0) has NaN or infinity "
                "in it; fill such numbers in or leave such rows out"
            )
        with np.errstate(over="ignore"):
            self._squares += np.einsum("ij,ij->", rows, rows)
        ends = [rows.min(axis=0), rows.max(axis=0)]
        if self.rows:
            ends = [np.minimum(ends[0], self._least), np.maximum(ends[1], self._most)]
        self._least, self._most = ends
        self.rows += len(rows)
        self.width = rows.shape[1]
        self.words += words

    def scale(self) -> float:
        """By which rows are multiplied, so that the mean of ||x||^2 / d is 1."""
        constant = np.flatnonzero(self._least == self._most)
        if len(constant) == self.width and self.rows > 1:
            raise DecError(f"{self.source}: all its rows are equal")
        if len(constant) and self.rows > 1:
            which = ", ".join(str(i + 1) for i in constant[:5])
            say(
                f"{self.source}: {len(constant)} of {self.width} columns hold one "
                f"number only (from 1: {which}{', ...' if len(constant) > 5 else ''}); "
                "they tell nothing"
            )
        mean = self._squares / (self.rows * self.width)
        if not np.isfinite(mean) or mean == 0:
            raise DecError(
                f"{self.source}: the mean of its squared numbers is {mean}: it cannot "
                "be scaled to 1"
            )
        return float(1 / np.sqrt(mean))


def _blocks(path: Path, column: int | None) -> Iterator[Block]:
    """The rows of a matrix file, some at a time, with a bar."""
    if path.suffix.lower() in _DELIMITERS:
        with bar(None, f"reading {path.name}", " rows") as shown:
            for block in _csv_blocks(path, column):
                yield block
                shown.update(len(block[0]))
        return
    array = _npy(path)
    if array.ndim < 2:
        raise DecError(
            f"{path}: holds {array.ndim}-dimensional data; rows are needed, n x d"
        )
    if 0 in array.shape:
        raise DecError(f"{path}: has no rows, or rows of no numbers: {array.shape}")
    if array.dtype.kind not in "fiu":
        raise DecError(f"{path}: holds {array.dtype}, not real numbers")
    with bar(len(array), f"reading {path.name}", " rows") as shown:
        for at in range(0, len(array), _BLOCK):
            part = np.asarray(array[at : at + _BLOCK])
            if part.dtype.itemsize < 4 and part.dtype.kind == "f":
                part = part.astype(np.float32)  # to be scaled without loss
            yield part, []
            shown.update(len(part))


def _npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DecError(f"{path}: no readable .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise DecError(f"{path}: an .npz archive; save the one array in it as .npy")
    return array


def _csv_blocks(path: Path, column: int | None) -> Iterator[Block]:
    lines = _lines(path)
    first = next(lines)
    width = len(first[1])
    if width == (column is not None):
        raise DecError(f"{path}: has no column of numbers")
    start = [] if _is_header(path, first[1], column) else [first]
    rows, labels, seen = [], [], False
    for number, words in chain(start, lines):
        if len(words) != width:
            raise DecError(
                f"{path}:{number}: {len(words)} columns, {width} in line {first[0]}"
            )
        if column is not None:
            labels.append(words.pop(column).strip())
            if not labels[-1]:
                raise DecError(f"{path}:{number}: the label is empty")
        rows.append(_numbers(path, number, words))
        seen = True
        if len(rows) == _BLOCK:
            yield np.stack(rows), labels
            rows, labels = [], []
    if not seen:
        raise DecError(f"{path}: has no rows")
    if rows:
        yield np.stack(rows), labels


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and words of each line that is not blank; at least one."""
    delimiter = _DELIMITERS[path.suffix.lower()]
    empty = True
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter)
            for words in reader:
                if any(word.strip() for word in words):
                    empty = False
                    yield reader.line_num, words
    except UnicodeDecodeError:
        raise DecError(f"{path}: is not text in UTF-8") from None
    except csv.Error as error:
        raise DecError(f"{path}:{reader.line_num}: {error}") from None
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from None
    if empty:
        raise DecError(f"{path}: has no rows")


def _numbers(path, number, words):
    try:
        row = np.array(words, np.float64)
    except ValueError:
        word = next(word for word in words if _number(word) is None)
        raise DecError(f"{path}:{number}: {word[:40]!r} is not a number") from None
    if not np.isfinite(row).all():
        raise DecError(
            f"{path}:{number}: has NaN or infinity in it; fill such numbers in or "
            "leave such lines out"
        )
    return row


def _number(word):
    try:
        return float(word)
    except ValueError:
        return None


def _is_header(path, words, column):
    """Whether the first line names columns; DecError where some are numbers."""
    others = [word for i, word in enumerate(words) if i != column]
    numbers = [_number(word) is not None for word in others]
    if not any(numbers):
        return True
    if not all(numbers):
        word = others[numbers.index(False)]
        raise DecError(
            f"{path}:1: {word[:40]!r} is not a number, others in the line are: is it a "
            "header, or a row?"
        )
    return False


def _find_column(path, words, wanted):
    """The place, from 0, of the column of this name or number."""
    words = [word.strip() for word in words]
    if words.count(wanted) == 1:
        return words.index(wanted)
    try:
        number = int(wanted)
    except ValueError:
        number = 0
    if not 1 <= abs(number) <= len(words):
        raise DecError(
            f"{path}: has no column {wanted!r} for labels; it has {len(words)}: "
            f"{', '.join(words[:8])}{', ...' if len(words) > 8 else ''}"
        )
    return number - 1 if number > 0 else number + len(words)


def _label_words(path: Path) -> list[str]:
    array = _npy(path)
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
