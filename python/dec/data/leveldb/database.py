"""Opening LevelDBs, and saying why one does not open."""

import os
import re
from pathlib import Path

import plyvel

from dec.base.errors import DecError


class DatabaseInUse(DecError):
    """Another process (or this one) has the database open."""


def open_database(path: Path, advice: str | None = None) -> plyvel.DB:
    """The plyvel database at `path`.

    Raises DecError, with `advice` on what to do, when it is missing, no LevelDB,
    half-written or damaged, and DatabaseInUse when somebody has it open.
    """
    advice = advice or remedy(path)
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "is missing"
        raise DecError(f"{path}: the LevelDB {what}. {advice}")
    # Asked to open any folder, LevelDB leaves files in it.
    if not (path / "CURRENT").exists():
        raise DecError(f"{path}: not a LevelDB, or half-written. {advice}")
    in_use = DatabaseInUse(
        f"{path}: in use by another process or net. LevelDB lets in one at a time: "
        "wait for it or stop it."
    )
    if _open_in_this_process(path):
        raise in_use
    try:
        return plyvel.DB(os.fspath(path))
    except plyvel.Error as error:
        words = words_of(error)
        if re.search(r"LOCK: (Resource temporarily|already held)", words):
            raise in_use from error
        if isinstance(error, plyvel.IOError) and "No such file" not in words:
            raise DecError(
                f"{path}: cannot be opened (even to read, LevelDB writes to the "
                f"folder): {words}"
            ) from error
        raise DecError(f"{path}: damaged: {words}. {advice}") from error


def refuse_if_in_use(path: Path) -> None:
    """Raises DatabaseInUse when somebody has the LevelDB at `path` open, if any is."""
    if (path / "CURRENT").exists():
        try:
            open_database(path).close()
        except DatabaseInUse:
            raise
        except DecError:
            pass  # Damaged: all the more reason to write it anew.


def new_database(folder: Path, **options) -> plyvel.DB:
    """A database that is being written, with the settings that writing wants."""
    return plyvel.DB(
        os.fspath(folder),
        # Caffe's own block size. Large tables: an open one costs a reader a file.
        block_size=65536,
        write_buffer_size=64 << 20,
        max_file_size=64 << 20,
        **options,
    )


def words_of(error: plyvel.Error) -> str:
    """plyvel's message, whose arguments are bytes."""
    text = error.args[0] if error.args else type(error).__name__
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def remedy(path: Path) -> str:
    """What to do about a database of `dec data` that cannot be read."""
    return f"Delete {path} and write it again: `dec data --help` tells how."


def _open_in_this_process(path):
    """Whether Caffe in this very process has the database open.

    Caffe brings another copy of the LevelDB library than plyvel. Each knows only its
    own databases, and the lock on the file keeps out other processes only.
    """
    lock = os.path.realpath(path / "LOCK")
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}") == lock:
                return True
        except OSError:  # closed since it was listed
            continue
    return False
