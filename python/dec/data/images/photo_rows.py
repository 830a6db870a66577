"""A folder of photos as LevelDBs: features of photos of any kind and size.

A row is what a net that has learned from other photos says of one (`squeezenet`), or
HOG and colours (`hog`).

The photos, in an order that the seed gives, are NAME_total and NAME_img (photos_total,
say); the first four fifths of them NAME_train, the others NAME_test.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dec.base import files, tables
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.parallel import each
from dec.base.progress import bar, say
from dec.data import leveldb
from dec.data.images import photo_labels
from dec.data.images.image_features import Frame, split
from dec.data.images.net_features import NetFeatures
from dec.data.images.photo_store import Store
from dec.photos import kinds
from dec.photos.check import decode_strictly
from dec.photos.load import MAX_PIXELS, BadPhoto, decode, opened

NAME = "photos"
HOG, AUTO, PREFERRED = "hog", "auto", "squeezenet"  # features
SIZE, COLOURS = (200, 120), (6, 10)  # the report's: width x height, rows x columns
_PARTS = ("img", "total", "train", "test")
_VERSION = 2  # raise it when the same photos would give other rows
_BATCH = 32  # photos a task: fewer cost a Dask cluster's client more
_COMMIT = 256  # photos; what a kill can cost
_NAMED = 10  # skipped photos that are named on the terminal

Features = Frame | NetFeatures
Result = tuple[np.ndarray, np.ndarray] | BadPhoto


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    size: tuple[int, int] = SIZE,
    fit: str = "crop",
    features: str = AUTO,
    labels: str = "auto",
    seed: int = 1,
    max_pixels: int = MAX_PIXELS,
    jobs: int | None = None,
    name: str = NAME,
) -> dict[str, Path]:
    """Writes NAME_img, _total, _train and _test; returns the path of each by name.

    Rows are (d, 1, 1), d = 512 for squeezenet, 4,007 for HOG of 200 x 120; images are
    RGB bytes of (3, height, width), row by row. Names are those below `source`. Photos
    that cannot be used are named, and listed in NAME_skipped.csv beside the databases.
    Databases that are up to date are left as they are; a call that was stopped goes on.

    source: a folder, of which all that `dec.photos` can read is taken; None: the
    databases as they are. size: (width, height) that every photo is brought to. fit:
    see image_features.Frame. features: "hog", a net's (dec.nets.feature_net), or
    "auto": squeezenet's where its weights can be had. labels: see photo_labels.find.
    seed: of the order. max_pixels: larger photos are skipped. jobs: processes, None for
    one a core.

    Raises DecError for a folder that cannot be read or has no two usable photos, or
    when a database cannot be written, and for features that cannot be had.
    """
    paths = {part: Path(folder) / f"{name}_{part}" for part in _PARTS}
    named = {path.name: path for path in paths.values()}
    frame = Frame.checked(size, COLOURS, fit)
    if source is None:
        return _as_they_are(named, features)
    source = Path(source)
    bad_folders: list[tuple[str, str, str]] = []
    names, make = _listing(source, Path(folder), bad_folders)
    if not names:
        raise DecError(f"{printable(source)}: no files in it")
    how = choose(features, frame)
    own = {"features": how.facts()} if isinstance(how, NetFeatures) else {}
    facts = {
        "folder": os.path.abspath(source),
        "photos": {**frame.facts(), "max_pixels": max_pixels, **own},
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
    with (
        files.own_folder(work, "dec data photos"),
        Store(work, make, size, how.width) as store,
    ):
        _read_all(source, names, Reading(frame, how, max_pixels), jobs, store)
        bad = sorted(bad_folders + store.bad)
        say_skipped(source, Path(folder) / f"{name}_skipped.csv", bad)
        if len(store.names) > 1:
            if own:
                _refuse_all_alike(store, how)
            _write(paths, facts, store, photo_labels.find(store.names, labels))
        store.remove()
        split(len(store.names))
    return named


def choose(features: str, frame: Frame) -> Features:
    """The features of this name, which are said; "auto": the best that can be had.

    Raises DecError for a name that is not known, and where its weights cannot be had.
    """
    if features == HOG:
        chosen = frame
    elif features == AUTO:
        try:
            chosen = NetFeatures.opened(PREFERRED, frame.fit)
        except DecError as error:
            say(f"{error}\nWithout it features are HOG and colours, which say less.")
            chosen = frame
    else:
        try:
            chosen = NetFeatures.opened(features, frame.fit)
        except DecError as error:
            raise DecError(f"{error}\n`--features hog` goes on without.") from error
    say(f"features: {chosen.words}")
    return chosen


class PhotoRows:
    """New photos, prepared as the rows that a run was trained on.

    facts: "shape" and "photos" of a LevelDB's dec.json. shape: of a row, (d, 1, 1).
    """

    def __init__(self, facts: dict):
        self.shape = tuple(facts["shape"])
        frame = features = Frame.of(facts["photos"])
        if "features" in facts["photos"]:
            features = NetFeatures.of(facts["photos"]["features"], frame.fit)
        max_pixels = facts["photos"].get("max_pixels", MAX_PIXELS)
        self._reading = Reading(frame, features, max_pixels)
        if self.shape != (features.width, 1, 1):
            raise DecError(
                f"rows of {self.shape[0]} numbers are not those of photos, which have "
                f"{features.width}: its dec.json, or input.json, is damaged"
            )

    def read(
        self, path: Path, jobs: int | None = None
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Blocks of names and rows (float32, n x d) of a photo, or of a folder of them.

        In a folder, photos that cannot be used are named and left out. Raises DecError
        for a photo that cannot be used, and for a folder without any that can.
        """
        if not path.is_dir():
            [result] = self._reading([path])
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
        with bar(len(names), "reading", " photos") as shown:
            jobs = 1 if len(names) <= _BATCH else jobs
            work = each(
                self._reading, names, jobs, ordered=True, batch=_BATCH, whole=True
            )
            for batch in work:
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


@dataclass(frozen=True)
class Reading:
    """Photos in their frame (height x width x 3) and their rows, or why there are none.

    folder: below which they are.
    """

    frame: Frame
    features: Features
    max_pixels: int
    folder: str = ""

    def __call__(self, names: list[str | Path]) -> list[Result]:
        read = [self._read(os.path.join(self.folder, name)) for name in names]
        taken = [one[1] for one in read if not isinstance(one, BadPhoto)]
        rows = iter(self.features.rows(taken)) if taken else iter(())
        return [
            one if isinstance(one, BadPhoto) else (one[0], next(rows)) for one in read
        ]

    def _read(self, path: str) -> Result:
        """A photo in its frame, and what its row is made of."""
        # A little more than needed, so that the last step is a good filter's.
        wanted = self.frame.size, self.features.size
        least = tuple(2 * max(sides) for sides in zip(*wanted, strict=True))
        try:
            with opened(path) as file:
                image, kind = decode(file, path, self.max_pixels, least)
                if kind is kinds.JPEG:
                    file.seek(0)
                    decode_strictly(file.read(), path)
        except BadPhoto as bad:
            return bad
        except OSError as error:
            return BadPhoto(path, "unreadable", error.strerror or str(error))
        smallest = self.features.smallest
        if min(image.size) < smallest:
            words = f"{image.width} x {image.height} pixels, less than {smallest}"
            return BadPhoto(path, "too-small", words, kind.name)
        picture = self.frame.place(image)
        return picture, self.features.take(image, picture)


def _as_they_are(paths: dict[str, Path], features: str) -> dict[str, Path]:
    metas = [leveldb.read_meta(path) or {} for path in paths.values()]
    makes = {meta.get("sources") for meta in metas}
    if len(makes) > 1 or None in makes:
        raise DecError(
            f"{', '.join(map(str, paths.values()))}: not there, or not of one make. "
            "Name the folder of photos: dec data photos DIR"
        )
    there = (metas[0].get("photos", {}).get("features") or {"net": HOG})["net"]
    if features not in (AUTO, there):
        raise DecError(
            f"{next(iter(paths.values()))}: made with the features {there}, not "
            f"{features}. Name the folder of photos, and they are made anew: --from "
            f"{printable(metas[0]['folder'])}"
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


def _read_all(source, names, reading, jobs, store) -> None:
    """Brings `store` to the end of `names`."""
    if store.read:
        say(f"{store.read:,} of {len(names):,} photos have been read before: going on")
    work = replace(reading, folder=os.fspath(source))
    unread = itertools.islice(names, store.read, None)
    waiting = 0
    with bar(len(names), "reading", " photos", initial=store.read) as shown:
        for batch in each(work, unread, jobs, ordered=True, batch=_BATCH, whole=True):
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


def _refuse_all_alike(store: Store, features: NetFeatures) -> None:
    """Raises DecError where all photos have the same row, but not the same pixels."""

    def alike(blocks: Iterator[np.ndarray]) -> bool:
        first = None
        for block in blocks:
            first = block[0] if first is None else first
            if (block != first).any():
                return False
        return True

    if alike(store.rows(0, len(store.names))) and not alike(store.images()):
        raise DecError(
            f"features {features.words}: the same for all {len(store.names):,} photos; "
            "this blob of the net tells them apart by nothing. Take another, or hog"
        )


def say_skipped(source: Path, report: Path, bad: list[tuple[str, str, str]]) -> None:
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
