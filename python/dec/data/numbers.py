"""Files of numbers, some rows at a time: .npy arrays and tables of text.

What the first line of a table is, and what its columns mean: docs/tables.md.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import read_table

BLOCK = 1024  # rows
TABLES = (".csv", ".tsv", ".txt")

_FEW = 3  # columns: a row of so many whole numbers may well be 1, 2, 3
_NAMED = 12  # columns that a message names
# What Python's float() takes and a table does not mean: 3_7, digits of other scripts.
_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)",
    re.ASCII | re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)

# Rows (n x anything) and, with a label column, their labels as words.
Block = tuple[np.ndarray, list[str]]


class Array:
    """The rows of a .npy file, n x anything, of any type of real numbers.

    rows: how many. titles: what to call its columns, None for their numbers. Raises
    DecError for any other file. Not read into memory as a whole.
    """

    titles = None

    def __init__(self, path: Path):
        self._array = array = load_npy(path)
        if array.ndim < 2:
            raise DecError(
                f"{path}: holds {array.ndim}-dimensional data; rows are needed, n x d"
            )
        if 0 in array.shape:
            raise DecError(f"{path}: has no rows, or rows of no numbers: {array.shape}")
        if array.dtype.kind not in "fiu":
            raise DecError(f"{path}: holds {array.dtype}, not real numbers")
        self.rows = len(array)

    def blocks(self) -> Iterator[Block]:
        for at in range(0, self.rows, BLOCK):
            yield np.asarray(self._array[at : at + BLOCK]), []


class Table:
    """The rows of a table of numbers: text, separated as `read_table` tells.

    names: of the columns of numbers, in their order; None where the first line is a
    row. label: the place (from 0) of the column of labels, or None; label_name: its
    name. titles: what to call the columns of numbers in messages. rows: unknown (None).
    """

    rows = None

    def __init__(self, path: Path, header: str = "auto", label: str | None = None):
        """header: "yes", "no" or "auto": whether the first line names the columns.
        label: name or number (from 1; -1 is the last) of the column of labels.
        """
        self._open(path)
        named = self._is_header(header, label)
        self.label = None if label is None else self._find(label, named)
        self._settle(named)

    @classmethod
    def like(cls, path: Path, facts: dict, width: int) -> "Table":
        """A table whose columns are to be those that a run was trained on.

        facts: the run's, as `facts` gave them; none for runs on other data. width: of
        a row. Columns are matched by name where both have names (another order is
        said), else by place; the column of labels is left out if it is there. Raises
        DecError, with both lists, where the names are others.
        """
        self = cls.__new__(cls)
        self._open(path)
        wanted, first = facts.get("columns"), self._first
        place = facts.get("label_column") if len(first) == width + 1 else None
        others = [word for i, word in enumerate(first) if i != place]
        if wanted and set(wanted) <= set(first):
            named = True
        elif "columns" in facts and wanted is None and all(map(_is_number, others)):
            named = False  # as in the run's table
        else:
            named = self._is_header("auto", None if place is None else str(place + 1))
        self.label = place
        if named and wanted:
            name = facts.get("label")
            self.label = first.index(name) if first.count(name) == 1 else None
        self._settle(named)
        if named and wanted and self.names != wanted:
            self._reorder(wanted)
        return self

    def facts(self) -> dict:
        """What `like` needs of a table that is trained on (JSON)."""
        found: dict = {"columns": self.names}
        if self.label is not None:
            found["label_column"] = self.label
        if self.label_name is not None:
            found["label"] = self.label_name
        return found

    def tell(self) -> None:
        """Says what the first line was taken for."""
        where = f"{printable(self.path)}:{self._line}"
        if self.names is None:
            say(f"{where}: the first line is taken for a row, not for a header")
        else:
            say(f"{where}: the first line is taken for a header: {listed(self._first)}")

    def blocks(self) -> Iterator[Block]:
        """Raises DecError, with the line, for what is no row of numbers."""
        rows, labels, seen = [], [], False
        for line, cells in read_table(self.path):
            if line == self._line and self.names is not None:
                continue
            where = f"{printable(self.path)}:{line}"
            if len(cells) != len(self._first):
                raise DecError(
                    f"{where}: {len(cells)} columns, {len(self._first)} in line "
                    f"{self._line}"
                )
            if self.label is not None:
                labels.append(cells[self.label].strip())
                if not labels[-1]:
                    raise DecError(f"{where}: the label is empty")
            rows.append(_numbers(where, [cells[i] for i in self._places], self.titles))
            seen = True
            if len(rows) == BLOCK:
                yield np.stack(rows), labels
                rows, labels = [], []
        if not seen:
            raise DecError(f"{printable(self.path)}: has no rows")
        if rows:
            yield np.stack(rows), labels

    def _open(self, path):
        self.path = path
        rows = read_table(path)
        line, first = next(rows, (0, []))
        if not line:
            raise DecError(f"{printable(path)}: has no rows")
        self._line, self._first = line, [cell.strip() for cell in first]
        self._second = next(rows, (0, []))[1]

    def _settle(self, named):
        first = self._first
        self._places = [i for i in range(len(first)) if i != self.label]
        if not self._places:
            raise DecError(f"{printable(self.path)}: has no column of numbers")
        self.names = [first[i] for i in self._places] if named else None
        self.label_name = (
            first[self.label] if named and self.label is not None else None
        )
        self._entitle()

    def _entitle(self):
        names = self.names or [None] * len(self._places)
        self.titles = [
            f"column {place + 1}" + ("" if name is None else f" ({name or 'no name'})")
            for place, name in zip(self._places, names, strict=True)
        ]

    def _is_header(self, header, label):
        """Whether the first line names columns; DecError where it may be either."""
        if header != "auto":
            return header == "yes"
        words = self._first
        if label is not None and _whole(label) is None and label in words:
            return True
        place = _place(label, len(words))
        others = [word for i, word in enumerate(words) if i != place]
        numbers = [_is_number(word) for word in others]
        if not any(numbers):
            return True
        where = f"{printable(self.path)}:{self._line}"
        counts = _counts([word for word in others if word])
        if not all(numbers):
            if counts and others[0] == "" and all(others[1:]):
                return True  # as pandas names an index and columns without names
            word = others[numbers.index(False)]
            raise DecError(
                f"{where}: {word[:40]!r} is not a number, others in the line are: is "
                f"it a header, or a row?{_hint(word)} {_SAY}"
            )
        if counts and self._stands_out(len(others)):
            raise DecError(
                f"{where}: {listed(words)}: numbers that count up: is it a header, or "
                f"a row? {_SAY}"
            )
        return False

    def _stands_out(self, columns):
        """Whether a first line that counts up is unlike the second."""
        second = self._second
        if not second or _counts(second):
            return False
        return columns > _FEW or any(_whole(word) is None for word in second)

    def _find(self, wanted, named):
        words = self._first
        if named and words.count(wanted) == 1:
            return words.index(wanted)
        place = _place(wanted, len(words))
        if place is None:
            raise DecError(
                f"{printable(self.path)}: has no column {wanted!r} for labels; it has "
                f"{len(words)}: {listed(words)}"
            )
        return place

    def _reorder(self, wanted):
        if sorted(self.names) != sorted(wanted) or len(set(wanted)) < len(wanted):
            missing = [name for name in wanted if name not in self.names]
            more = [name for name in self.names if name not in wanted]
            differ = [
                f"{words}: {listed(some)}"
                for words, some in (("missing", missing), ("not in the run", more))
                if some
            ]
            raise DecError(
                f"{printable(self.path)}:{self._line}: its columns are "
                f"{listed(self.names)}; the run was trained on {listed(wanted)}"
                + "".join(f"; {words}" for words in differ)
            )
        by_name = dict(zip(self.names, self._places, strict=True))
        self._places = [by_name[name] for name in wanted]
        self.names = wanted
        self._entitle()
        say(
            f"{printable(self.path)}: its columns are in another order than the run's; "
            "they are matched by their names"
        )


_SAY = (
    "`dec data csv FILE --header yes` or `--header no` says it; elsewhere name the "
    "columns by words, or take the line out."
)


def load_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, mapped into memory. DecError for any other file."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DecError(f"{path}: no readable .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise DecError(f"{path}: an .npz archive; save the one array in it as .npy")
    return array


def _numbers(where, words, titles):
    try:
        row = np.array(words, np.float64)
    except ValueError:
        row = None
    text = "".join(words)
    if row is None or "_" in text or not text.isascii():
        for title, word in zip(titles, words, strict=True):
            if not _is_number(word):
                raise DecError(
                    f"{where}: {word[:40]!r} is not a number, in {title}{_hint(word)}"
                )
    if row is None or not np.isfinite(row).all():
        raise DecError(
            f"{where}: has NaN or infinity in it; fill such numbers in or leave such "
            "lines out"
        )
    return row


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word.strip()) is not None


def _hint(word: str) -> str:
    word = word.strip()
    if not word:
        return ": the cell is empty; fill it in, or leave the line out"
    if ";" in word:
        return (
            ": semicolons between columns, and decimal commas? Numbers need a point "
            "(1.5), columns then commas, semicolons or tabs"
        )
    if _DECIMAL_COMMA.fullmatch(word):
        return ": a comma in a number? It needs a point (1.5), and none for thousands"
    if len(word.split()) > 1 and all(map(_is_number, word.split())):
        return ": blanks between columns? Commas, semicolons or tabs are read"
    return ""


def _counts(words: list[str]) -> bool:
    """Whether these are three or more whole numbers that go up by equal steps."""
    numbers = [_whole(word) for word in words]
    if len(numbers) < 3 or None in numbers:
        return False
    steps = {b - a for a, b in zip(numbers, numbers[1:], strict=False)}
    return len(steps) == 1 and steps.pop() > 0


def _whole(word: str) -> int | None:
    return int(word) if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", word) else None


def _place(wanted: str | None, columns: int) -> int | None:
    """The place, from 0, of a column by its number."""
    number = 0 if wanted is None else _whole(wanted) or 0
    if not 1 <= abs(number) <= columns:
        return None
    return number - 1 if number > 0 else number + columns


def listed(words: list[str]) -> str:
    """Names of columns, for a message."""
    more = ", ..." if len(words) > _NAMED else ""
    return ", ".join(printable(word) or '""' for word in words[:_NAMED]) + more
