"""Replace files and folders so that a kill leaves the old or the new, never half.

The new one is made beside its target under `partial_path` and swapped in when it
is complete. What a killed process left behind is cleared on the next write.
"""

import contextlib
import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from dec.base.errors import DecError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What kernels and file systems answer when they cannot exchange two names.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


def partial_path(target: str | Path) -> Path:
    """Where to build what shall become `target`: ``<target>.partial-<pid>``.

    The path is beside the real target (links are followed: a swap needs one file
    system) and nothing is there: leftovers of dead processes are removed first.
    One process builds one `target` at a time. Raises DecError where the folder of
    `target` cannot be read.
    """
    target = Path(os.path.realpath(target))
    try:
        _clear_leftovers(target)
    except OSError as error:
        raise DecError(f"{target.parent}: {error.strerror}") from error
    return target.with_name(f"{target.name}.partial-{os.getpid()}")


def replace_dir(new: str | Path, target: str | Path) -> None:
    """Puts the complete folder `new` in the place of `target` and removes the old.

    Atomic where the file system can exchange two names (ext4, xfs, btrfs, tmpfs).
    Where it cannot, `target` is missing for an instant; should the process die
    right then, the next `partial_path(target)` brings the old folder back.

    Raises DecError, with both folders as they were, when the swap is not possible.
    """
    new = Path(new)
    target = Path(os.path.realpath(target))
    aside = target.with_name(f"{target.name}.replaced-{os.getpid()}")
    try:
        if not target.exists():
            os.rename(new, target)
            old = None
        elif _exchange(new, target):
            old = new
        else:
            os.rename(target, aside)
            try:
                os.rename(new, target)
            except OSError:
                os.rename(aside, target)
                raise
            old = aside
        sync_dir(target.parent)
        if old:
            _remove(old)
    except OSError as error:
        raise DecError(f"{target}: cannot be replaced: {error.strerror}") from error


def write_text_atomic(path: str | Path, text: str | Iterable[str]) -> None:
    """Writes `text`, or its parts (UTF-8), to the file `path`, whole or not at all.

    Raises DecError, with the old file untouched, when the disk is full or the
    folder is missing or may not be written to.
    """
    parts = [text] if isinstance(text, str) else text
    write_bytes_atomic(path, (part.encode() for part in parts))


def write_bytes_atomic(path: str | Path, content: bytes | Iterable[bytes]) -> None:
    """The same of bytes, or parts of them."""
    try:
        new = partial_path(path)
        try:
            with open(new, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, os.path.realpath(path))
        except BaseException:
            _remove(new)
            raise
        sync_dir(new.parent)
    except OSError as error:
        raise DecError(f"{path}: cannot be written: {error.strerror}") from error


def sync_dir(folder: str | Path) -> None:
    """Makes the names in `folder` (files created, renamed) survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _exchange(a: str | Path, b: str | Path) -> bool:
    """Swaps two names in one step; False where that is not supported."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(a), os.fsencode(b)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), os.fspath(b))


def _clear_leftovers(target):
    leftover = re.compile(re.escape(target.name) + r"\.(partial|replaced)-(\d+)")
    if not target.parent.is_dir():
        return
    for path in sorted(target.parent.iterdir()):
        match = leftover.fullmatch(path.name)
        if not match or _runs_elsewhere(int(match[2])):
            continue
        if match[1] == "replaced" and not target.exists():
            os.rename(path, target)
        else:
            _remove(path)


def _runs_elsewhere(pid):
    # Our own number on a leftover is from an earlier life: in containers, every
    # run tends to get the same one.
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _remove(path):
    # Best effort: what stays behind is cleared by the next write.
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
