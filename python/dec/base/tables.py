r"""CSV: tables that people edit are read as they come, ours hold any name of a file.

What we write is UTF-8 always. A file's name may be any bytes; those that are not UTF-8
(surrogates, as os.fsdecode makes them) are written as the text \udcXX. Backslashes
before such a text, or before what looks like one, are doubled, so that every name
comes back as it was; all others are written as they are.
"""

import csv
import io
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.files import printable

# A cell may be as long as it likes. The limit is the process's: there is no other.
csv.field_size_limit(sys.maxsize)

_LONGEST_ROW = 1 << 16  # bytes, of our own rows
_BYTES = re.compile("[\udc80-\udcff]")
_TO_ESCAPE = re.compile("(\\\\*)([\udc80-\udcff])|(\\\\+)(?=udc[89a-f][0-9a-f])")
_ESCAPED = re.compile(r"(\\+)(udc[89a-f][0-9a-f])")
_QUOTED = re.compile(r'"[^"]*(?:"|$)')


def read_table(
    path: str | Path, *, ours: bool = False
) -> Iterator[tuple[int, list[str]]]:
    r"""Line number, from 1, and cells of every row that is not blank.

    The file may come from a spreadsheet: UTF-8 with or without a byte order mark; line
    ends of any kind; separated by commas, by tabs (always in a .tsv), or by semicolons.
    Where the first line has no comma, its semicolons or else its tabs are the
    separators. A row of several lines has the number of its first.

    ours: a file that only we write. Bytes in it that are not UTF-8 are a name's, as
    versions before \udcXX wrote them. Raises DecError, with the line, for such bytes in
    any other file and for quotes that do not close, and when it cannot be read.
    """
    at = 1
    try:
        with open(
            path, encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            lines = _lines(path, file, ours)
            head = []
            while not "".join(head).strip() and (line := next(lines, "")):
                head.append(line)
            separator = _separator(path, head[-1] if head else "")
            reader = csv.reader(
                itertools.chain(head, lines), delimiter=separator, strict=True
            )
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield at, cells
                at = reader.line_num + 1
    except csv.Error as error:
        raise DecError(f"{printable(path)}:{at}: not a row of CSV: {error}") from None
    except OSError as error:
        raise DecError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def read_columns(
    path: str | Path, names: Sequence[str], *, ours: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Line number and the cells of the columns `names`, in this order, of every row.

    The first row names the columns, in any order, with any others among them. Cells
    that are missing at the end of a row are empty: Excel leaves them out. Raises
    DecError where a column is not there or is there twice, and for a row with more
    cells than columns (a comma in a name, without quotes).
    """
    rows = read_table(path, ours=ours)
    line, first = next(rows, (1, []))
    head = [cell.strip() for cell in first]
    if any(head.count(name) != 1 for name in names):
        raise DecError(
            f"{printable(path)}:{line}: the first line must name the columns "
            f"{','.join(names)}, each once"
        )
    places = [head.index(name) for name in names]
    for line, cells in rows:
        if any(cell.strip() for cell in cells[len(head) :]):
            raise DecError(
                f"{printable(path)}:{line}: {len(cells)} cells, for {len(head)} columns"
                ": is there a separator in a name? Such names need quotes"
            )
        cells += [""] * (len(head) - len(cells))
        yield line, [cells[place] for place in places]


def read_pairs(
    path: str | Path, key: str, value: str, *, ours: bool = False
) -> dict[str, tuple[int, str]]:
    """For every word of the column `key` its line and, of the column `value`, the word.

    Blanks around a value are cut off. Raises DecError as `read_columns` does, and for a
    key that has two values, or none in its cell.
    """
    found: dict[str, tuple[int, str]] = {}
    for line, (name, word) in read_columns(path, (key, value), ours=ours):
        word = word.strip()
        if not name:
            raise DecError(f"{printable(path)}:{line}: the {key} is empty")
        first, before = found.setdefault(name, (line, word))
        if before != word:
            raise DecError(
                f'{printable(path)}:{line}: {printable(name)} has the {value} "{word}" '
                f'here and "{before}" in line {first}; decide for one of them'
            )
    return found


def write_table(path: str | Path, rows: Iterable[Iterable]) -> None:
    """Writes a CSV file, whole or not at all.

    Raises DecError, with the old file untouched, when it cannot be written.
    """
    write_text_atomic(path, map(table_line, rows))


def table_line(row: Iterable) -> str:
    """One row as a line of CSV."""
    text = io.StringIO()
    # With this line end the writer quotes both characters, as readers need it.
    csv.writer(text, lineterminator="\r\n").writerow(row)
    line = text.getvalue()[:-2] + "\n"
    return _TO_ESCAPE.sub(_escape, line) if _unusual(line) else line


def cut_half_row(path: str | Path) -> None:
    """Cuts off the last row of a table of ours, if a kill cut it short.

    Raises DecError, with the file untouched, where it is damaged in another way or
    cannot be written.
    """
    try:
        with open(path, "r+b") as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            # Between quotes a line's end is a part of a name.
            while content.count(b'"', 0, end) % 2:
                end = content.rfind(b"\n", 0, end - 1) + 1
            if len(content) - end > _LONGEST_ROW:
                raise DecError(f"{printable(path)}: damaged: a quote does not close")
            file.truncate(end)
    except OSError as error:
        raise DecError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def cells_of(line: str) -> list[str]:
    """The cells of a line that `table_line` made; none where it is not whole."""
    try:
        return next(csv.reader([_ESCAPED.sub(_unescape, line)], strict=True), [])
    except csv.Error:
        return []


def _lines(path, file, ours: bool) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not ours and not line.isascii() and _BYTES.search(line):
            raise DecError(
                f"{printable(path)}:{number}: is not UTF-8; save it as CSV UTF-8 (in "
                "Excel's \"Save as\" a type of its own, in LibreOffice's a filter "
                "setting)"
            )
        yield _ESCAPED.sub(_unescape, line) if "\\udc" in line else line


def _separator(path: str | Path, first: str) -> str:
    if Path(path).suffix.lower() == ".tsv":
        return "\t"
    words = _QUOTED.sub("", first)
    return next((mark for mark in ",;\t" if mark in words), ",")


def _unusual(line: str) -> bool:
    return "\\udc" in line or (not line.isascii() and bool(_BYTES.search(line)))


def _escape(match: re.Match) -> str:
    slashes, byte, literal = match.groups()
    if literal:
        return 2 * literal
    return f"{2 * slashes}\\udc{ord(byte) & 0xFF:02x}"


def _unescape(match: re.Match) -> str:
    slashes, code = match.groups()
    half = "\\" * (len(slashes) // 2)
    return half + (chr(int(code[1:], 16)) if len(slashes) % 2 else code)
