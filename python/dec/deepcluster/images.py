"""The images of a LevelDB, and what a net sees of them: their middle, random parts.

Pixels lie in memory as they are; photos that are kept as JPEGs stay in the LevelDB and
are decoded when they are asked for.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from dec.base import progress
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.data import leveldb
from dec.data.leveldb.database import DatabaseInUse, open_database

TRIES = 10  # to find a part of the photo of the area and ratio that were drawn
DRAWS = 2 * TRIES + 6  # random numbers a view: those, colours, the place, the flip
_PATIENCE = 60  # seconds for a LevelDB that is in use
_SLICE = 16  # images a task of a thread


class Images:
    """Height x width x 3 bytes (BGR) each, by number.

    labels: int32, -1 without one. classes: their names, empty without. names: of the
    files, or None.
    """

    def __init__(self, database: Path, only: Sequence[str] = (), most: int = 0):
        """only: classes to take; the images of others are left out, labels renumbered.
        most: how many of them, from the first on; 0: all.

        Raises DecError for a LevelDB that is missing, damaged or not of images, and for
        classes that it does not have.
        """
        self.database = Path(database)
        meta = leveldb.read_meta(self.database) or {}
        self.classes = list(meta.get("classes") or [])
        self._db = self._pixels = None
        self._process, self._lock = 0, threading.Lock()
        if meta.get("encoded"):
            self._read_labels()
        else:
            self._read_pixels(meta, 0 if only else most)
        self._rows = np.arange(len(self.labels))
        self.names = leveldb.read_names(self.database)
        if only:
            self._take(only)
        if most:
            self._rows, self.labels = self._rows[:most], self.labels[:most]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> np.ndarray:
        row = int(self._rows[number])
        if self._pixels is not None:
            return self._pixels[row]
        datum = caffe_pb2.Datum.FromString(self._open().get(b"%08d" % row))
        pixels = cv2.imdecode(np.frombuffer(datum.data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise DecError(f"{self.database}: row {row} is no image: damaged")
        return pixels

    def pixels(self, numbers: Sequence[int]) -> np.ndarray | None:
        """n x height x width x 3 bytes; None for photos, which are not of one size."""
        return None if self._pixels is None else self._pixels[self._rows[numbers]]

    @property
    def has_labels(self) -> bool:
        return len(self.labels) > 0 and bool((self.labels >= 0).all())

    def name(self, number: int) -> str:
        """Of the file, or the row of the LevelDB."""
        row = int(self._rows[number])
        return self.names[row] if self.names else f"{self.database.name}:{row}"

    def _take(self, only: Sequence[str]) -> None:
        missing = [name for name in only if name not in self.classes]
        if missing:
            there = ", ".join(self.classes) or "none"
            raise DecError(
                f"{self.database}: has no class {missing[0]}; it has {there}"
            )
        numbers = [self.classes.index(name) for name in only]
        self._rows = np.flatnonzero(np.isin(self.labels, numbers))
        renumbered = {old: new for new, old in enumerate(numbers)}
        taken = self.labels[self._rows].tolist()
        self.labels = np.array([renumbered[label] for label in taken], np.int32)
        self.classes = list(only)

    def _read_pixels(self, meta: dict, most: int) -> None:
        with _open_when_free(self.database) as reader:
            channels, height, width = reader.shape
            if channels != 3 or height * width == 1:
                raise DecError(
                    f"{self.database}: rows of {' x '.join(map(str, reader.shape))} "
                    "numbers are no images; `dec data images` and `dec data cifar10` "
                    "write some"
                )
            count = min(most or reader.rows, reader.rows)
            self._pixels = np.empty((count, height, width, 3), np.uint8)
            self.labels = np.empty(count, np.int32)
            at = 0
            with progress.bar(count, "images", " images") as bar:
                for rows, labels in reader.batches():
                    end = min(at + len(rows), count)
                    planes = rows[: end - at].reshape(-1, 3, height, width)[:, ::-1]
                    self._pixels[at:end] = planes.transpose(0, 2, 3, 1)
                    self.labels[at:end] = labels[: end - at]
                    bar.update(end - at)
                    at = end
                    if at == count:
                        break

    def _read_labels(self) -> None:
        labels = []
        with contextlib.closing(open_database(self.database)) as db:
            for key, value in db.iterator(verify_checksums=True, fill_cache=False):
                try:
                    datum = caffe_pb2.Datum.FromString(value)
                except DecodeError as error:
                    raise DecError(f"{self.database}: row {key!r}: {error}") from None
                labels.append(datum.label if datum.HasField("label") else -1)
        self.labels = np.array(labels, np.int32)

    def _open(self):
        """The LevelDB, of this process: a child cannot use its parent's."""
        with self._lock:
            if self._process != os.getpid():
                self._db, self._process = open_database(self.database), os.getpid()
        return self._db


def _open_when_free(database: Path):
    """A reader; waits for another training that is just reading the images."""
    for seconds in range(_PATIENCE):
        try:
            return leveldb.open_reader(database)
        except DatabaseInUse:
            if seconds == 0:
                progress.say(f"{database}: in use, waiting")
            time.sleep(1)
    return leveldb.open_reader(database)


@dataclass(frozen=True)
class Views:
    """How an image becomes a net's input: side x side x 3, then planes of 0..255, BGR.

    resize: the shorter side before the middle is taken. area, ratio: of the random
    part, torchvision's RandomResizedCrop. flip: half of the random ones. colour: blue,
    green and red of them are multiplied by 1 - colour to 1 + colour, each by its own.
    """

    side: tuple[int, int]  # height, width
    resize: int
    area: tuple[float, float]
    ratio: tuple[float, float]
    flip: bool
    colour: float = 0.0

    def middle(self, image: np.ndarray) -> np.ndarray:
        """The middle of an image, the same every time: height x width x 3 bytes."""
        height, width = image.shape[:2]
        scale = self.resize / min(height, width)
        if scale != 1:
            size = round(width * scale), round(height * scale)
            image = _resized(image, size)
        height, width = self.side
        top = max(0, (image.shape[0] - height) // 2)
        left = max(0, (image.shape[1] - width) // 2)
        image = image[top : top + height, left : left + width]
        return _resized(image, (width, height))

    def random(self, image: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """A random part of an image, by DRAWS numbers of [0, 1)."""
        return self.randoms([image], draws[None])[0]

    def randoms(self, images: Sequence[np.ndarray], draws: np.ndarray) -> np.ndarray:
        """Of images of one size, by draws, n x DRAWS: n x height x width x 3.

        Bytes, or float32 of 0..255 where colours change.
        """
        parts = self.parts(images[0].shape[:2], draws)
        out = np.empty((len(images), *self.side, 3), np.uint8)
        for i, (top, left, height, width) in enumerate(parts.tolist()):
            part = images[i][top : top + height, left : left + width]
            out[i] = _resized(part, self.side[::-1])
        if self.flip:
            flipped = draws[:, -1] < 0.5
            out[flipped] = out[flipped, :, ::-1]
        if self.colour:
            factors = 1 + self.colour * (2 * draws[:, 2 * TRIES : 2 * TRIES + 3] - 1)
            out = out * factors[:, None, None].astype(np.float32)
            np.minimum(out, 255, out=out)
        return out

    def parts(self, size: tuple[int, int], draws: np.ndarray) -> np.ndarray:
        """top, left, height, width of the parts, by draws, n x DRAWS."""
        height, width = size
        low, high = np.log(self.ratio)
        tries = draws[:, : 2 * TRIES].reshape(-1, TRIES, 2)
        area = self.area[0] + tries[:, :, 0] * (self.area[1] - self.area[0])
        area, ratio = area * height * width, np.exp(low + tries[:, :, 1] * (high - low))
        w = np.rint(np.sqrt(area * ratio)).astype(int)
        h = np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first, rows = fits.argmax(axis=1), np.arange(len(draws))
        w, h, found = w[rows, first], h[rows, first], fits.any(axis=1)
        top = (draws[:, -3] * (height - h + 1)).astype(int)
        left = (draws[:, -2] * (width - w + 1)).astype(int)
        # Without one that fits: the middle, as much of it as the ratio allows.
        w = np.where(found, w, min(width, max(1, round(height * self.ratio[1]))))
        h = np.where(found, h, min(height, max(1, round(width / self.ratio[0]))))
        top = np.where(found, top, (height - h) // 2)
        left = np.where(found, left, (width - w) // 2)
        return np.stack([top, left, h, w], axis=1)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[1::-1] == size:
        return image
    smaller = size[0] < image.shape[1] or size[1] < image.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=way)


class Feed:
    """Batches of views. Photos are decoded by threads, whose number changes nothing."""

    def __init__(self, images: Images, views: Views, workers: int = 0):
        """workers: threads; 0: one a core."""
        self.images, self.views = images, views
        cv2.setNumThreads(0)  # one image a thread, not an image by many
        self._pool = ThreadPoolExecutor(workers or int(machine()["cores"]))

    def middles(self, numbers: Sequence[int], out: np.ndarray) -> None:
        """Fills out, n x 3 x height x width, with the middles of these images."""
        pixels = self.images.pixels(numbers)
        side, resize = self.views.side, self.views.resize
        if pixels is not None and pixels.shape[1:3] == side and resize == min(side):
            out[...] = pixels.transpose(0, 3, 1, 2)
            return
        self._fill(lambda at: self.views.middle(self.images[numbers[at]]), out)

    def randoms(self, numbers: Sequence[int], draws: np.ndarray, out: np.ndarray):
        """The same with random parts, by draws, n x DRAWS."""
        pixels = self.images.pixels(numbers)
        if pixels is not None:  # one call costs less than to share it out
            out[...] = self.views.randoms(pixels, draws).transpose(0, 3, 1, 2)
            return

        def view(at: int) -> np.ndarray:
            return self.views.random(self.images[numbers[at]], draws[at])

        self._fill(view, out)

    def _fill(self, view, out: np.ndarray) -> None:
        def work(start: int) -> None:
            for at in range(start, min(start + _SLICE, len(out))):
                out[at] = view(at).transpose(2, 0, 1)

        # list: so that errors of the threads come here.
        list(self._pool.map(work, range(0, len(out), _SLICE)))
