"""What happened to every photo of a list: manifest.csv, and the journal until then.

The manifest is written whole or not at all. While photos come in, each result is a
line of the journal; what a killed process left there goes into the next manifest.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.tables import cells_of, read_table, table_line, write_table

FETCHED = "fetched"
FAILED = "failed"  # may work the next time, which tries it again
REFUSED = "refused"  # the server has answered, and that there is no such photo
REJECTED = "rejected"  # the id is no plain name: never asked for
WAITING = "waiting"  # not come to yet
_HEADER = ["id", "status", "http_code", "bytes", "sha256", "file", "attempts", "error"]


class Row(NamedTuple):
    """One id. code: the last HTTP status, 0 for none. attempts: in all calls."""

    id: str
    status: str
    code: int = 0
    bytes: int = 0
    sha256: str = ""
    file: str = ""
    attempts: int = 0
    error: str = ""


def read(path: Path) -> dict[str, Row]:
    """The rows of a manifest by id. Raises DecError for any other file."""
    lines = read_table(path)
    if next(lines, (1, None))[1] != _HEADER:
        raise DecError(
            f"{printable(path)}: not a manifest of `dec photos fetch`; "
            "move it out of the way"
        )
    rows = {}
    for number, line in lines:
        row = _parse(line)
        if row is None:
            raise DecError(f"{printable(path)}:{number}: the row is damaged")
        rows[row.id] = row
    return rows


def _parse(line: list[str]) -> Row | None:
    try:
        name, status, code, size, sha256, file, attempts, error = line
        numbers = [int(number or 0) for number in (code, size, attempts)]
    except ValueError:
        return None
    return Row(name, status, *numbers[:2], sha256, file, numbers[2], error)


class Manifest:
    """The manifest `path` in memory, with its journal; use it in `with`.

    Raises DecError when either cannot be read or written.
    """

    def __init__(self, path: Path, journal: Path) -> None:
        self.rows: dict[str, Row] = read(path) if path.exists() else {}
        self._path = path
        self._journal = journal

    def __enter__(self) -> "Manifest":
        if self._journal.exists():
            # Half a line, which a kill leaves, may end within a letter.
            text = self._journal.read_bytes().decode("utf-8", "surrogateescape")
            for line in text.split("\n")[:-1]:
                self._replay(line)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._fd = os.open(self._journal, flags, 0o666)
        except OSError as error:
            raise self._unwritable(self._journal, error) from error
        self._append("\n")  # ends half a line
        return self

    def _replay(self, line):
        row = _parse(cells_of(line))
        if row:
            self.rows[row.id] = row

    def __exit__(self, *exception) -> None:
        os.close(self._fd)

    def add(self, row: Row) -> None:
        """Sets the row of an id; survives a kill from here on."""
        self.rows[row.id] = row
        self._append(table_line(row))

    def _append(self, text):
        data = memoryview(text.encode())
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise self._unwritable(self._journal, error) from error

    def write(self, first: Iterable[str]) -> None:
        """Writes manifest.csv, ids in the order of `first`, and ends the journal."""
        order = dict.fromkeys(first)
        rest = [name for name in self.rows if name not in order]
        rows = (self.rows[name] for name in [*order, *rest] if name in self.rows)
        write_table(self._path, [_HEADER, *(_shown(row) for row in rows)])
        os.ftruncate(self._fd, 0)

    def _unwritable(self, path, error):
        return DecError(
            f"{printable(path)}: cannot be written: {error.strerror or error}. "
            "What has come so far is kept."
        )


def _shown(row: Row) -> list:
    return [value if value != 0 else "" for value in row[:-2]] + list(row[-2:])
