"""An append-only file of answers: what `append` has returned from survives a kill."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from dec.base.atomic import sync_dir
from dec.base.errors import DecError
from dec.base.files import printable

_KEPT = "All answers before it are kept; make room, and answer again."


class Journal:
    """Lines of JSON in one file, written by one process at a time.

    lines: what is in it. A last line that a kill cut short was never confirmed and is
    cut off. Raises DecError where another process has it open, for damage, and where it
    cannot be read or written.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise DecError(
                f"{printable(path)}: cannot be written: {error.strerror}"
            ) from None
        try:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DecError(
                    f"{printable(path.parent)}: another `dec review` has it open; use "
                    "its page (any number of tabs), or stop it first"
                ) from None
            self.lines, self._end = _parse(path.read_bytes(), path)
            os.ftruncate(self._fd, self._end)
            sync_dir(path.parent)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, line: dict) -> None:
        """Returns when the line is on disk. DecError, with nothing added, if not."""
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._end)
            raise DecError(
                f"{printable(self.path)}: the answer was not written: "
                f"{error.strerror}. {_KEPT}"
            ) from None
        self._end += len(content)
        self.lines.append(line)

    def close(self) -> None:
        os.close(self._fd)


def read_lines(path: Path) -> list[dict]:
    """What is in a journal that another process may be writing."""
    try:
        return _parse(path.read_bytes(), path)[0]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DecError(f"{printable(path)}: {error.strerror}") from None


def _parse(content: bytes, path: Path) -> tuple[list[dict], int]:
    """The lines, and where the last whole one ends."""
    lines, end = [], 0
    whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    for number, line in enumerate(whole, 1):
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError
        except ValueError:
            if number == len(whole):
                break  # of a file whose blocks were not all on disk
            raise DecError(
                f"{printable(path)}:{number}: damaged; it was not touched. Restore it "
                "from a copy, or cut it off before this line"
            ) from None
        lines.append(found)
        end += len(line)
    return lines, end
