"""Folders of photos: finding them, names of any bytes, locks, reports."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from dec.base.errors import DecError

# A folder that holds this file is ours (reports, rejected photos): no photos there.
MARKER = ".dec-left-out"
MANIFEST = "manifest.csv"
REJECTED = "rejected"  # where clean moves photos to, below their folder


def walk(
    folder: str | Path, on_error: Callable[[str, str], None] | None = None
) -> Iterator[str]:
    """Names, relative to `folder`, of all files in it and below, in a fixed order.

    Left out are hidden names, a `manifest.csv` on top, and folders that `dec` marked
    as its own. Links to folders are not followed. Names that are not UTF-8 come with
    surrogates, as os.fsdecode makes them. What cannot be listed goes to
    `on_error(name, words)`. Raises DecError when `folder` itself cannot be read.
    """
    root = os.fspath(folder)
    try:
        if not os.path.isdir(root):
            os.stat(root)
            raise DecError(f"{printable(root)}: not a folder")
        os.scandir(root).close()
    except OSError as error:
        raise DecError(f"{printable(root)}: {error.strerror}") from error
    yield from _walk(root, "", on_error or (lambda name, words: None))


def _walk(root, below, on_error):
    try:
        with os.scandir(os.path.join(root, below)) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        on_error(below, f"folder cannot be listed: {error.strerror}")
        return
    if below and any(entry.name == MARKER for entry in entries):
        return
    for entry in entries:
        name = os.path.join(below, entry.name)
        if entry.name.startswith(".") or name == MANIFEST:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, name, on_error)
        elif entry.is_symlink() and entry.is_dir():
            on_error(name, "link to a folder, not followed")
        else:
            yield name


def printable(name: str | Path) -> str:
    r"""A name for people: what no terminal shows is written as \x.. or \u...."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextlib.contextmanager
def own_folder(path: Path, what: str, remove: bool = False) -> Iterator[Path]:
    """Makes `path` a folder of ours (marked, so that `walk` leaves it out), locked.

    what: the command that uses it, for the message when another process does so
    now. Raises DecError then, or when the folder cannot be made. remove: with all
    that is in it, in the end.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path / MARKER, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        words = f"{printable(path)}: cannot be written: {error.strerror}"
        raise DecError(words) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DecError(
                f"{printable(path)}: another `{what}` is at work here; "
                "wait for it or stop it"
            ) from None
        yield path
        if remove:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)


def report_folder(given: Path | None, command: str, folder: str | Path) -> Path:
    """Where a command's report about `folder` goes: `runs/<command>-<name>`."""
    if given is not None:
        return Path(given)
    return Path("runs") / f"{command}-{Path(folder).resolve().name or 'root'}"


def claim_report(report: Path, folder: str | Path) -> None:
    """Notes that `report` is about `folder`; DecError when it is about another."""
    real = os.path.realpath(folder)
    note = report / "folder.txt"
    try:
        if note.exists():
            other = os.fsdecode(note.read_bytes())
            if other != real:
                raise DecError(
                    f"{printable(report)} holds the report about {printable(other)}; "
                    "name another folder with --report"
                )
        else:
            note.write_bytes(os.fsencode(real))
    except OSError as error:
        raise DecError(f"{printable(note)}: {error.strerror}") from error
