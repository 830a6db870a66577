"""Read photos.txt: lines of `id | description | language`, an id maybe several times.

An id becomes a file name and a part of an address, so only plain names are taken.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dec.base import files
from dec.base.errors import DecError
from dec.base.files import printable
from dec.photos import manifest

LONGEST_ID = 200  # bytes; a file name may have 255, with its suffix
_LONGEST_LINE = 1 << 16
_NOT_PLAIN = {"Cc", "Cs", "Zl", "Zp"}  # control, surrogate, line and paragraph ends


class Listing(NamedTuple):
    """lines: that are not blank. ids: plain, each once. rejected: id, reason."""

    lines: int
    ids: list[str]
    rejected: dict[str, str]

    @property
    def duplicates(self) -> int:
        """Lines whose id an earlier line has already."""
        return self.lines - len(self.ids) - len(self.rejected)


def read_listing(path: str | Path) -> Listing:
    """Reads a photos.txt (UTF-8). Raises DecError when it cannot."""
    lines = 0
    ids: dict[str, None] = {}
    rejected: dict[str, str] = {}
    for line in _lines(path):
        lines += 1
        name, bar, _ = line.partition("|")
        name = name.strip(" \t")
        why = why_not_plain(name)
        if not why and not bar and " " in name:
            why = "not a line of `id | description | language`"
        if why:
            rejected.setdefault(name, why)
        else:
            ids.setdefault(name)
    if not lines:
        raise DecError(f"{printable(path)}: no lines of `id | description | language`")
    return Listing(lines, list(ids), rejected)


def _lines(path) -> Iterator[str]:
    try:
        with open(
            path, encoding="utf-8-sig", errors="surrogateescape", newline=None
        ) as file:  # lines end with LF, CR LF or CR alone
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise DecError(
                        f"{printable(path)}: a line of more than {_LONGEST_LINE} "
                        "characters: this is no list of photos"
                    )
                if line.strip():
                    yield line.rstrip("\n")
    except OSError as error:
        raise DecError(f"{printable(path)}: {error.strerror}") from error


def why_not_plain(name: str) -> str | None:
    """Why `name` must not become a file name; None when it may."""
    if not name:
        return "no id"
    if "/" in name or "\\" in name:
        return "a slash in the id"
    if name.startswith("."):
        return "a leading dot"
    for letter in name:
        if unicodedata.category(letter) in _NOT_PLAIN:
            return "not valid UTF-8" if letter >= "\udc80" else "a control character"
    if len(name.encode()) > LONGEST_ID:
        return f"longer than {LONGEST_ID} bytes"
    return None


Missing = Callable[[set[str]], Iterable[tuple[str, str]]]


def expected(folder: Path, listed: str | Path | None) -> Missing | None:
    """What should be in `folder`, by `listed` or else by its own manifest.csv.

    Returns a function from the names of the files that are there, wherever below the
    folder, to (name, detail) of those missing; None when there is nothing to go by.
    """
    path = Path(listed) if listed else folder / files.MANIFEST
    if not listed and not path.exists():
        return None
    if path.suffix == ".csv":
        rows = manifest.read(path)
        return lambda present: _missing_rows(rows.values(), _last_parts(present))
    ids = read_listing(path).ids
    return lambda present: _missing_ids(ids, _last_parts(present))


def _last_parts(names):
    return {os.path.basename(name) for name in names}


def _missing_rows(rows, present):
    for row in rows:
        if row.status == manifest.FETCHED:
            if row.file not in present:
                yield row.file, "fetched, and no longer here"
        else:
            yield row.id, f"not fetched: {row.error or row.status}"


def _missing_ids(ids, present):
    stems = {os.path.splitext(name)[0] for name in present}
    for name in ids:
        if name not in present and name not in stems:
            yield name, "in the list, and no such file"
