"""What has been read of a folder of photos so far, on disk: so a kill loses little.

A folder with a file of pixels and one of features, both in the order of the photos to
be read, and a journal: a line tells how far both are good, and what came of the photos
since the line before. It goes when the LevelDBs are written.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base.errors import DecError
from dec.base.files import MARKER, printable

_JOURNAL, _IMAGES, _ROWS = "journal.jsonl", "images.u8", "rows.f4"
_KEPT = "What has been done is kept; make room, and the same command goes on."


class Store:
    """A folder of what was read, by one process at a time; use it in `with`.

    make: a digest of what is read, and how: another's contents are thrown away. size:
    (width, height) of the images. numbers: of a row.
    read: how many photos have been read, good or not. names: of the good ones. bad:
    (name, reason, detail) of the others.
    """

    def __init__(self, folder: Path, make: str, size: tuple[int, int], numbers: int):
        self._folder, self._make = folder, make
        width, height = size
        self._shapes = {_IMAGES: (height, width, 3), _ROWS: (numbers,)}
        self._types = {_IMAGES: np.dtype(np.uint8), _ROWS: np.dtype("<f4")}
        self.read = 0
        self.names: list[str] = []
        self.bad: list[tuple[str, str, str]] = []
        self._news: tuple[list, list] = ([], [])  # not in the journal yet

    def __enter__(self) -> "Store":
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / MARKER).touch()
            good = self._replay()
            self._journal = open(self._folder / _JOURNAL, "r+b")
            self._journal.truncate(good)
            self._journal.seek(good)
            self._files = {}
            for name in self._shapes:
                self._files[name] = open(self._folder / name, "ab")
                self._files[name].truncate(len(self.names) * self._bytes(name))
            if not good:
                self._write_line({"make": self._make})
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *exception) -> None:
        for file in (self._journal, *self._files.values()):
            # What a full disk has not taken is not in the journal either.
            with contextlib.suppress(OSError):
                file.close()

    def add(self, good: list[tuple], bad: list[tuple]) -> None:
        """Takes what came of the next photos.

        good: (name, image, row); bad: (name, reason, detail).
        """
        try:
            for name, image, row in good:
                self._files[_IMAGES].write(image)
                self._files[_ROWS].write(row)
                self._news[0].append(name)
        except OSError as error:
            raise self._unwritable(error) from error
        self._news[1].extend(bad)

    def commit(self) -> None:
        """From here on, what was added survives a kill."""
        names, bad = self._news
        if not names and not bad:
            return
        try:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            self._write_line({"good": names, "bad": bad})
        except OSError as error:
            raise self._unwritable(error) from error
        self._take(names, bad)
        self._news = ([], [])

    def images(self) -> Iterator[np.ndarray]:
        """The good photos in blocks: n x 3 x height x width, uint8."""
        for block in self._blocks(_IMAGES):
            yield block.transpose(0, 3, 1, 2)

    def rows(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """The features of the good photos [start, stop) in blocks: n x width."""
        return self._blocks(_ROWS, start, stop)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _bytes(self, name):
        return int(np.prod(self._shapes[name])) * self._types[name].itemsize

    def _blocks(self, name, start=0, stop=None):
        shape, dtype = self._shapes[name], self._types[name]
        stop = len(self.names) if stop is None else stop
        size = max(1, (4 << 20) // self._bytes(name))
        with open(self._folder / name, "rb") as file:
            file.seek(start * self._bytes(name))
            for at in range(start, stop, size):
                n = min(size, stop - at)
                block = np.fromfile(file, dtype, n * int(np.prod(shape)))
                yield block.reshape(n, *shape)

    def _replay(self):
        """Takes what the journal tells; returns how many bytes of it are good."""
        path = self._folder / _JOURNAL
        path.touch()
        room = {name: self._size(name) // self._bytes(name) for name in self._shapes}
        good = 0
        with open(path, "rb") as journal:
            for number, line in enumerate(journal):
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = None
                if not line.endswith(b"\n") or not isinstance(entry, dict):
                    break  # half a line: the process was killed in it
                if number == 0:
                    if entry.get("make") != self._make:
                        break
                else:
                    if len(self.names) + len(entry["good"]) > min(room.values()):
                        break  # the power failed, and the files lost their ends
                    self._take(entry["good"], entry["bad"])
                good += len(line)
        return good

    def _take(self, names, bad):
        self.names += names
        self.bad += [tuple(one) for one in bad]
        self.read += len(names) + len(bad)

    def _size(self, name):
        path = self._folder / name
        return path.stat().st_size if path.exists() else 0

    def _write_line(self, entry):
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _unwritable(self, error):
        where = printable(error.filename or self._folder)
        return DecError(f"{where}: cannot be written: {error.strerror}. {_KEPT}")
