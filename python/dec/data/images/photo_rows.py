"""A folder of photos as LevelDBs: HOG and colours of photos of any kind and size.

The photos, in an order that the seed gives, are NAME_total and NAME_img (photos_total,
say); the first four fifths of them NAME_train, the others NAME_test.
"""

import contextlib
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor

from dec.base import files, tables
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.parallel import each
from dec.base.progress import bar, say
from dec.data import leveldb
from dec.data.images import photo_labels
from dec.data.images.image_features import SMALLEST, Frame, split
from dec.data.images.photo_store import Store
from dec.photos import kinds
from dec.photos.check import decode_strictly
from dec.photos.load import MAX_PIXELS, BadPhoto, decode, opened

NAME = "photos"
SIZE, COLOURS = (200, 120), (6, 10)  # the report's: width x height, rows x columns
_PARTS = ("img", "total", "train", "test")
_VERSION = 2  # raise it when the same photos would give other rows
_BATCH = 32  # photos a task: fewer cost a Dask cluster's client more
_COMMIT = 256  # photos; what a kill can cost
_NAMED = 10  # skipped photos that are named on the terminal

Result = tuple[np.ndarray, np.ndarray] | BadPhoto


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    size: tuple[int, int] = SIZE,
    fit: str = "crop",
    labels: str = "auto",
    seed: int = 1,
    max_pixels: int = MAX_PIXELS,
    jobs: int | None = None,
    name: str = NAME,
) -> dict[str, Path]:
    """Writes NAME_img, _total, _train and _test; returns the path of each by name.

    Rows are (d, 1, 1), d = 4,007 for 200 x 120; images are RGB bytes of (3, height,
    width), row by row. Names are those below `source`. Photos that cannot be used are
    named, and listed in NAME_skipped.csv beside the databases. Databases that are
    up to date are left as they are; a call that was stopped goes on.

    source: a folder, of which all that `dec.photos` can read is taken; None: the
    databases as they are. size: (width, height) that every photo is brought to. fit:
    see image_features.Frame. labels: see photo_labels.find. seed: of the order.
    max_pixels: larger photos are skipped. jobs: processes, None for one a core.

    Raises DecError for a folder that cannot be read or has no two usable photos, or
    when a database cannot be written.
    """
    paths = {part: Path(folder) / f"{name}_{part}" for part in _PARTS}
    named = {path.name: path for path in paths.values()}
    frame = Frame.checked(size, COLOURS, fit)
    if source is None:
        return _as_they_are(named)
    source = Path(source)
    bad_folders: list[tuple[str, str, str]] = []
    names, make = _listing(source, Path(folder), bad_folders)
    if not names:
        raise DecError(f"{printable(source)}: no files in it")
    facts = {
        "folder": os.path.abspath(source),
        "photos": {**frame.facts(), "max_pixels": max_pixels},
        "seed": seed,
        "sources": make,
        "version": _VERSION,
    }
    work, make = Path(folder) / f"{name}_work", _digest(facts)
    facts["labels"] = labels
    if all(
        leveldb.is_current(path, _meta(part, facts, paths))
        for part, path in paths.items()
    ):
        for path in paths.values():
            say(f"{path}: up to date")
        return named
    order = np.random.default_rng(seed).permutation(len(names))
    names = [names[i] for i in order]
    with files.own_folder(work, "dec data photos"), Store(work, make, frame) as store:
        _read_all(source, names, frame, max_pixels, jobs, store)
        bad = sorted(bad_folders + store.bad)
        _say_skipped(source, Path(folder) / f"{name}_skipped.csv", bad)
        if len(store.names) > 1:
            _write(paths, facts, store, photo_labels.find(store.names, labels))
        store.remove()
        split(len(store.names))
    return named


class PhotoRows:
    """New photos, prepared as the rows that a run was trained on.

    facts: "shape" and "photos" of a LevelDB's dec.json. shape: of a row, (d, 1, 1).
    """

    def __init__(self, facts: dict):
        self.shape = tuple(facts["shape"])
        self._frame = Frame.of(facts["photos"])
        self._max_pixels = facts["photos"].get("max_pixels", MAX_PIXELS)
        if self.shape != (self._frame.width, 1, 1):
            raise DecError(
                f"rows of {self.shape[0]} numbers are not those of photos, which have "
                f"{self._frame.width}: its dec.json, or input.json, is damaged"
            )

    def read(
        self, path: Path, jobs: int | None = None
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Blocks of names and rows (float32, n x d) of a photo, or of a folder of them.

        In a folder, photos that cannot be used are named and left out. Raises DecError
        for a photo that cannot be used, and for a folder without any that can.
        """
        read = functools.partial(_read, self._frame, self._max_pixels)
        if not path.is_dir():
            result = read(path)
            if isinstance(result, BadPhoto):
                raise result
            yield [str(path)], result[1][None]
            return

        def skipped(words: str) -> None:
            say(f"{words}: skipped")

        names = [
            os.path.join(path, name)
            for name in files.walk(
                path, lambda name, words: skipped(f"{printable(path / name)}: {words}")
            )
        ]
        found = 0
        with _ending_workers(), bar(len(names), "reading", " photos") as shown:
            jobs = 1 if len(names) <= _BATCH else jobs
            for batch in each(read, names, jobs, ordered=True, batch=_BATCH):
                good: dict[str, np.ndarray] = {}
                for name, result in batch:
                    if isinstance(result, BadPhoto):
                        skipped(str(result))
                    else:
                        good[name] = result[1]
                if good:
                    yield list(good), np.stack(list(good.values()))
                found += len(good)
                shown.update(len(batch))
        if not found:
            raise DecError(f"{printable(path)}: no photo in it that can be used")


@contextlib.contextmanager
def _ending_workers() -> Iterator[None]:
    """Ends joblib's processes, which it keeps for five minutes otherwise.

    Caffe's child (caffe_process) ends without joblib's clean-up. Left behind, they
    would hold its output open, and `dec assign RUN folder | sort` would wait for them.
    """
    try:
        yield
    finally:
        get_reusable_executor(reuse=True).shutdown()


def _as_they_are(paths: dict[str, Path]) -> dict[str, Path]:
    metas = [leveldb.read_meta(path) or {} for path in paths.values()]
    makes = {meta.get("sources") for meta in metas}
    if len(makes) > 1 or None in makes:
        raise DecError(
            f"{', '.join(map(str, paths.values()))}: not there, or not of one make. "
            "Name the folder of photos: dec data photos DIR"
        )
    for path in paths.values():
        leveldb.open_reader(path).close()
        say(f"{path}: as it is, from {printable(metas[0]['folder'])}")
    return paths


def _listing(
    folder: Path, databases: Path, bad: list[tuple[str, str, str]]
) -> tuple[list[str], str]:
    """The names of all files, and a digest of these, their sizes and their times.

    databases: a folder to leave out, which may be in `folder`. bad: takes the
    sub-folders that cannot be listed.
    """
    digest = hashlib.sha256()
    names = []
    own = os.path.relpath(os.path.realpath(databases), os.path.realpath(folder)) + "/"
    for name in files.walk(
        folder, lambda name, words: bad.append((name, "unreadable", words))
    ):
        if name.startswith(own):
            continue
        try:
            found = os.stat(folder / name)
            facts = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:
            facts = "-"
        digest.update(os.fsencode(name) + b"\0" + facts.encode() + b"\0")
        names.append(name)
    return names, digest.hexdigest()


def _digest(facts: dict) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()


def _read_all(source, names, frame, max_pixels, jobs, store) -> None:
    """Brings `store` to the end of `names`."""
    if store.read:
        say(f"{store.read:,} of {len(names):,} photos have been read before: going on")
    work = functools.partial(_read_below, os.fspath(source), frame, max_pixels)
    unread = itertools.islice(names, store.read, None)
    waiting = 0
    with bar(len(names), "reading", " photos", initial=store.read) as shown:
        for batch in each(work, unread, jobs, ordered=True, batch=_BATCH):
            store.add(
                [(n, *r) for n, r in batch if not isinstance(r, BadPhoto)],
                [(n, r.reason, r.detail) for n, r in batch if isinstance(r, BadPhoto)],
            )
            shown.update(len(batch))
            waiting += len(batch)
            if waiting >= _COMMIT:
                store.commit()
                waiting = 0
        store.commit()


def _read_below(folder: str, frame: Frame, max_pixels: int, name: str) -> Result:
    return _read(frame, max_pixels, os.path.join(folder, name))


def _read(frame: Frame, max_pixels: int, path: str | Path) -> Result:
    """A photo in its frame (height x width x 3) and its row, or why there are none."""
    width, height = frame.size
    try:
        with opened(path) as file:
            # A little more than needed, so that the last step is a good filter's.
            image, kind = decode(file, path, max_pixels, (2 * width, 2 * height))
            if kind is kinds.JPEG:
                file.seek(0)
                decode_strictly(file.read(), path)
    except BadPhoto as bad:
        return bad
    except OSError as error:
        return BadPhoto(path, "unreadable", error.strerror or str(error))
    if min(image.size) < SMALLEST:
        words = f"{image.width} x {image.height} pixels, less than {SMALLEST}"
        return BadPhoto(path, "too-small", words, kind.name)
    pixels = frame.place(image)
    return pixels, frame.rows(pixels[None])[0]


def _say_skipped(source: Path, report: Path, bad: list[tuple[str, str, str]]) -> None:
    report.unlink(missing_ok=True)
    if not bad:
        return
    tables.write_table(report, [("file", "reason", "detail"), *bad])
    for name, reason, detail in bad[:_NAMED]:
        say(f"{printable(source / name)}: skipped: {reason}: {detail}")
    more = f"{len(bad) - _NAMED:,} more, " if len(bad) > _NAMED else ""
    say(f"{len(bad):,} skipped: {more}see {printable(report)}")


def _write(
    paths: dict[str, Path], facts: dict, store: Store, labels: photo_labels.Labels
) -> None:
    n = len(store.names)
    training = split(n)
    say(f"{n:,} photos; labels: {labels.words}")
    spans = {
        "img": (0, n),
        "total": (0, n),
        "train": (0, training),
        "test": (training, n),
    }
    for part, (start, stop) in spans.items():
        meta = _meta(part, facts, paths)
        if labels.classes:
            meta["classes"] = labels.classes
        leveldb.write_rows(
            paths[part],
            store.images() if part == "img" else store.rows(start, stop),
            labels.numbers and labels.numbers[start:stop],
            meta,
            store.names[start:stop],
        )
        say(f"{paths[part]}: {stop - start:,} rows written")


def _meta(part: str, facts: dict, paths: dict[str, Path]) -> dict:
    """facts: what all databases of one make share."""
    if part == "img":
        return {**facts, "colours": "RGB"}
    facts = {**facts, "kind": "photos"}
    return {**facts, "pictures": paths["img"].name} if part == "total" else facts
