"""Files of text, as they are found: any encoding, and some that hold no text."""

import hashlib
import lzma
import os
import re
import stat
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from dec.base.errors import DecError
from dec.base.files import printable, walk
from dec.base.progress import bar, say
from dec.data.texts.letters import unparted

MAX_BYTES = 64 << 20  # of one text; more is a collection in one file, or no text

_MARKS = (  # of byte order; UTF-32's begins like UTF-16's
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_FORMATS = ((b"%PDF-", "PDF"), (b"{\\rtf", "RTF"))
# No text has them, but for tabs, line and page ends, backspace and escape.
_CONTROLS = bytes(set(range(32)) - set(b"\b\t\n\v\f\r\x1b"))
_MOST_CONTROLS = 0.05
UNPARTED = (
    "written without gaps between words (Chinese, Japanese, Thai, ...): whole clauses "
    "count as words, so clusters tell little; part the words first"
)
_NAMED = 5  # files of one reason that are named; the others are counted


class Unusable(Exception):
    """A file that holds no text; str() says why, in a few words."""


def read(path: str | Path) -> bytes:
    """The bytes of a file. Raises Unusable for what cannot be read or is no file."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("not a file")
        if status.st_size > MAX_BYTES:
            raise Unusable(f"larger than {MAX_BYTES >> 20} MB")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None


def decode(raw: bytes) -> tuple[str, str]:
    """The text in some bytes, and its encoding. Raises Unusable when there is none.

    UTF-8, or UTF-16 and UTF-32 with a mark of byte order; other bytes are taken for
    Windows-1252, which holds ISO 8859-1.
    """
    for start, name in _FORMATS:
        if raw.startswith(start):
            raise Unusable(f"{name}, not plain text")
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None:
        if b"\0" in raw:
            raise Unusable("binary")
        encoding = "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise Unusable(f"damaged {encoding.upper()}") from None
        controls = len(raw) - len(raw.translate(None, _CONTROLS))
        if controls > _MOST_CONTROLS * len(raw):
            raise Unusable("binary") from None
        encoding = "cp1252"
        text = raw.decode(encoding, errors="replace")
    if not text.strip():
        raise Unusable("empty")
    return text, encoding


class Troubles:
    """Counts what was wrong with files, and tells it at the end, not 1,000 lines."""

    def __init__(self):
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def note(self, what: str, name: str) -> None:
        """One more file with this trouble."""
        self._counts[what] += 1
        named = self._names.setdefault(what, [])
        if len(named) < _NAMED:
            named.append(printable(name))

    def tell(self) -> None:
        """A line for every kind of trouble."""
        for what, count in self._counts.items():
            names = ", ".join(self._names[what])
            more = f" and {count - _NAMED:,} more" if count > _NAMED else ""
            say(f"{what}: {names}{more}")


def text_of(raw: bytes, name: str, troubles: Troubles) -> str:
    """The text in some bytes; an encoding that was guessed is noted.

    So are texts whose words cannot be told apart. Raises Unusable when there is none.
    """
    text, encoding = decode(raw)
    if encoding == "cp1252":
        troubles.note("not UTF-8, read as Windows-1252", name)
    if unparted(text):
        troubles.note(UNPARTED, name)
    return text


def names_below(folder: Path) -> list[str]:
    """The names of all files in a folder and below it, sorted.

    Raises DecError when the folder, or one below, cannot be listed.
    """

    def fail(name, words):
        if "link to a folder" in words:
            say(f"{printable(folder / name)}: {words}")
        else:
            raise DecError(f"{printable(folder / name)}: {words}")

    return sorted(walk(folder, fail), key=os.fsencode)


def folder_digest(folder: Path, names: Iterable[str]) -> str:
    """SHA-256 over the names and contents of files in a folder."""
    names = list(names)
    whole = hashlib.sha256()
    with bar(len(names), f"checking {printable(folder.name)}", " files") as shown:
        for name in names:
            try:
                raw = read(folder / name)
            except Unusable as error:
                raw = b"\0" + str(error).encode()
            _digest_one(whole, name, raw)
            shown.update()
    return whole.hexdigest()


def digest(files: dict[str, bytes]) -> str:
    """SHA-256 over the names and contents of files in memory."""
    whole = hashlib.sha256()
    for name, raw in files.items():
        _digest_one(whole, name, raw)
    return whole.hexdigest()


def _digest_one(whole, name, raw):
    whole.update(hashlib.sha256(os.fsencode(name)).digest())
    whole.update(hashlib.sha256(raw).digest())


def load(source: Path, wanted: Callable[[str], re.Match | None]) -> dict[str, bytes]:
    """The files of a folder, or in a tar archive, whose names are wanted, sorted.

    For collections that fit into memory. Raises DecError for what cannot be read.
    """
    if source.is_dir():
        files = {}
        for name in filter(wanted, names_below(source)):
            try:
                files[name] = read(source / name)
            except Unusable as error:
                raise DecError(f"{printable(source / name)}: {error}") from None
        return files
    if not source.exists():
        raise DecError(f"{source}: there is no such file or folder")
    files = {}
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = os.path.normpath(member.name)
                if member.isfile() and wanted(name):
                    if member.size > MAX_BYTES:
                        raise DecError(
                            f"{source}: {name} is larger than {MAX_BYTES >> 20} MB"
                        )
                    files[name] = archive.extractfile(member).read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, zlib.error, OSError) as error:
        raise DecError(
            f"{source}: not a folder, and cannot be read as a tar archive: {error}"
        ) from None
    return {name: files[name] for name in sorted(files, key=os.fsencode)}
