"""Folders of photos: finding them, names of any bytes, locks, what is ours."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from dec.base.errors import DecError

# A folder that holds this file is ours (reports, rejected photos): no photos there.
MARKER = ".dec-left-out"
MANIFEST = "manifest.csv"
_LONGEST = 255  # bytes, of a name: most file systems' limit
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


def names_folder(word: str) -> bool:
    """Whether a word of the user's can be the name of one folder, and is not hidden."""
    return (
        bool(word)
        and not word.startswith(".")
        and not set(word) & {"/", "\0"}
        and len(os.fsencode(word)) <= _LONGEST
    )


def flat_name(name: str, taken: Container[str]) -> str:
    """One file's name for a path: "a/b.jpg" as "a_b.jpg", "a_b-2.jpg" if taken, ...

    Of a long path the end is kept.
    """
    flat = name.replace("/", "_")
    # Room for a number; not from the middle of a letter on.
    end = os.fsencode(flat)[-(_LONGEST - 10) :].lstrip(bytes(range(0x80, 0xC0)))
    whole = flat = os.fsdecode(end) if len(end) < len(os.fsencode(flat)) else flat
    number = 1
    while flat in taken:
        number += 1
        stem, suffix = os.path.splitext(whole)
        flat = f"{stem}-{number}{suffix}"
    return flat


def refuse_to_replace(
    target: Path, what: str, own: re.Pattern, *, links: bool = False
) -> None:
    """DecError unless `target` is free, or a folder of ours with nothing else in it.

    what: the kind of folder, as in "an export". own: matches the names below `target`
    of all that can be in one: of files as "a/b", of folders as "a/". links: all files
    in one are symbolic links.
    """
    if not os.path.lexists(target):
        return
    where = printable(target)
    if not os.path.isdir(target):
        raise DecError(f"{where}: is there and is not {what}; it was not touched")
    try:
        foreign = next(_foreign(target, "", own, links), None)
    except OSError as error:
        raise DecError(f"{where}: cannot be read: {error.strerror}") from error
    if foreign:
        raise DecError(
            f"{where}: holds other things than {what} ({printable(foreign)}); it was "
            "not touched. Name a new folder, or move them out."
        )


def _foreign(root, below, own, links):
    with os.scandir(os.path.join(root, below)) as scan:
        entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        inner = entry.is_dir(follow_symlinks=False)
        name = f"{below}{entry.name}/" if inner else below + entry.name
        if not own.fullmatch(name) or (links and not inner and not entry.is_symlink()):
            yield name
        elif inner:
            yield from _foreign(root, name, own, links)


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
