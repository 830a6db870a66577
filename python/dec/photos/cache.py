"""What `dec photos clean` knows of every file, in an SQLite file that survives it.

One row a file, keyed by its name below the folder. A row counts as long as the file
has the same size and time of change and the checks were made in the same way.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.photos.check import Checked

_SCHEMA = """
create table if not exists file (
    name blob primary key,
    size integer, changed integer, how text,  -- what the row is valid for
    run integer,                              -- the last run that saw the file
    status text, detail text, kind text, width integer, height integer,
    bytes integer, sha256 text, phash integer, dhash integer,
    alike text, kept blob,                    -- exact- or near-duplicate, of which
    moved blob                                -- where it was moved to
);
create index if not exists by_content on file (sha256);
create table if not exists listed (name blob, detail text);
create table if not exists run (number integer);
create table if not exists described (  -- what a net says of a photo, float32
    sha256 text, how text, row blob, primary key (sha256, how)
);
create table if not exists likeness (name blob primary key, detail text);
"""
_COLUMNS = "status, detail, kind, width, height, bytes, sha256, phash, dhash"
_USABLE = "status in ('ok', 'wrong-extension')"


class Row(NamedTuple):
    """A line of the report; "" is what does not apply.

    status: the final one, so it may be exact-duplicate or near-duplicate. width,
    height: pixels. phash: hexadecimal.
    """

    file: str
    status: str
    detail: str
    format: str
    width: int | str
    height: int | str
    bytes: int
    sha256: str
    phash: str
    duplicate_of: str
    moved_to: str


class Cache:
    """The database in the file `path`; use it in `with`, `commit` now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "Cache":
        try:
            self._connect()
        except sqlite3.OperationalError:
            raise  # a full disk, say: the file may be whole
        except sqlite3.DatabaseError:
            say(f"{printable(self._path)}: damaged; every photo is checked anew")
            self._db.close()
            self._path.unlink()
            self._connect()
        return self

    def _connect(self):
        self._db = sqlite3.connect(self._path)
        self._db.executescript(_SCHEMA)
        run = self._db.execute("select max(number) from run").fetchone()[0] or 0
        self.run = run + 1
        self._db.execute("insert into run values (?)", (self.run,))

    def __exit__(self, *exception) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.commit()
        self._db.close()

    def commit(self) -> None:
        """Makes everything so far survive a kill."""
        self._db.commit()

    def fresh(self, name: str, size: int, changed: int, how: str) -> bool:
        """Whether the row is still valid; marks it as seen if it is."""
        cursor = self._db.execute(
            "update file set run = ?, moved = null"
            " where name = ? and size = ? and changed = ? and how = ?",
            (self.run, os.fsencode(name), size, changed, how),
        )
        return cursor.rowcount == 1

    def put(self, name: str, size: int, changed: int, how: str, row: Checked) -> None:
        """Keeps what a check of a file found."""
        fields = row._replace(phash=_signed(row.phash), dhash=_signed(row.dhash))
        self._db.execute(
            f"insert or replace into file (name, size, changed, how, run, {_COLUMNS})"
            f" values ({', '.join('?' * 14)})",
            (os.fsencode(name), size, changed, how, self.run, *fields),
        )

    def unseen(self) -> list[tuple[str, str | None]]:
        """(name, moved) of the files that this run has not come across."""
        rows = self._db.execute(
            "select name, moved from file where run != ?", (self.run,)
        )
        return [
            (os.fsdecode(name), moved and os.fsdecode(moved)) for name, moved in rows
        ]

    def forget(self, name: str) -> None:
        """Drops the row of a file that is gone."""
        self._db.execute("delete from file where name = ?", (os.fsencode(name),))

    def mark_exact_duplicates(self) -> None:
        """Of the usable files with the same bytes, keeps the first by name."""
        self._here_usable(
            "update file set kept = null, alike = null where kept is not null and {}"
        )
        self._here_usable(
            "update file set kept = first.name, alike = 'exact-duplicate' from ("
            "  select sha256 as same, min(name) as name from file where {}"
            "  group by sha256 having count(*) > 1"
            ") as first where sha256 = first.same and file.name != first.name and {}"
        )

    def hashes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rowid, phash, dhash) of the usable, different photos, largest first."""
        rows = self._here_usable(
            "select rowid, phash, dhash from file"
            " where kept is null and phash is not null and {}"
            " order by width * height desc, name"
        )
        table = np.fromiter(rows, np.dtype((np.int64, 3)))
        return table[:, 0], table[:, 1].view(np.uint64), table[:, 2].view(np.uint64)

    def mark_near_duplicates(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Notes pairs of (rowid, rowid of the one kept)."""
        self._db.executemany(
            "update file set alike = 'near-duplicate',"
            " kept = (select name from file where rowid = ?2) where rowid = ?1",
            pairs,
        )

    def compared(self) -> list[tuple[int, str, str]]:
        """(rowid, name, sha256) of what `hashes` gives and is no duplicate by now."""
        rows = self._here_usable(
            "select rowid, name, sha256 from file"
            " where kept is null and phash is not null and {}"
            " order by width * height desc, name"
        )
        return [(row, os.fsdecode(name), sha256) for row, name, sha256 in rows]

    def described(self, how: str) -> dict[str, np.ndarray]:
        """The rows of a net, float32, by the SHA-256 of the photo.

        Those of files that are gone, or by another net, are dropped first.
        """
        self._db.execute(
            "delete from described where how != ?"
            " or sha256 not in (select sha256 from file)",
            (how,),
        )
        rows = self._db.execute("select sha256, row from described")
        return {sha256: np.frombuffer(row, np.float32) for sha256, row in rows}

    def put_described(self, sha256: str, how: str, row: np.ndarray) -> None:
        """Keeps the row of a photo by a net."""
        self._db.execute(
            "insert or replace into described values (?, ?, ?)",
            (sha256, how, row.astype(np.float32).tobytes()),
        )

    def set_likeness(self, details: Iterable[tuple[int, str]]) -> None:
        """Replaces details of near duplicates (rowid, words), not of those moved."""
        self._db.execute(
            "delete from likeness where name not in"
            " (select name from file where moved is not null)"
        )
        self._db.executemany(
            "insert or replace into likeness"
            " select name, ?2 from file where rowid = ?1",
            details,
        )

    def _here_usable(self, query):
        return self._db.execute(query.format(*[f"moved is null and {_USABLE}"] * 2))

    def set_listed(self, names: Iterable[tuple[str, str]]) -> None:
        """Replaces the list of photos that should be there and are not."""
        self._db.execute("delete from listed")
        rows = ((os.fsencode(name), detail) for name, detail in names)
        self._db.executemany("insert into listed values (?, ?)", rows)

    def plan_move(self, name: str, to: str) -> None:
        """Notes that a file is about to be moved."""
        self._db.execute(
            "update file set moved = ? where name = ?",
            (os.fsencode(to), os.fsencode(name)),
        )

    def rows(self) -> Iterator[Row]:
        """Every file and every listed one that is missing, by name."""
        query = self._db.execute(
            "select name, coalesce(alike, status),"
            " coalesce(likeness.detail, file.detail), kind, width, height,"
            " bytes, sha256, phash, kept, moved"
            " from file left join likeness using (name)"
            " union all"
            " select name, 'missing', detail, '', 0, 0, 0, '', null, null, null"
            " from listed order by 1"
        )
        for name, status, detail, kind, width, height, size, *rest in query:
            sha256, phash, kept, moved = rest
            yield Row(
                os.fsdecode(name),
                status,
                detail,
                kind,
                width or "",
                height or "",
                size,
                sha256,
                "" if phash is None else f"{phash % 2**64:016x}",
                os.fsdecode(kept or b""),
                os.fsdecode(moved or b""),
            )


@contextlib.contextmanager
def full_disk_is_an_error(path: Path):
    """Turns SQLite's errors (a full disk, a read-only one) into DecError."""
    try:
        yield
    except sqlite3.Error as error:
        raise DecError(
            f"{printable(path)}: cannot be written: {error}. "
            "What has been done is kept."
        ) from error


def _signed(number):
    """A 64-bit pattern as SQLite's integer."""
    return None if number is None else number - (number >> 63 << 64)
