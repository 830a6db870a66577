"""STL-10 as LevelDBs: HOG and colours of its images, as the original made them.

Labelled images (train before test) are permuted to stl_total and stl_img; they and
the unlabelled ones, permuted, are split into stl_train (four fifths) and stl_test.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base import parallel
from dec.base.progress import say
from dec.data import leveldb
from dec.data.images.image_features import Frame, split
from dec.data.images.stl_files import SIDE, StlFiles, find

FRAME = Frame((SIDE, SIDE), (8, 8))
DATABASES = ("stl_total", "stl_img", "stl_train", "stl_test")
LABELLED = ("stl_total", "stl_img")
_VERSION = 1  # raise it when the same files would give other rows
_BLOCK = 256  # images a task


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    seed: int = 1,
    jobs: int | None = None,
) -> dict[str, Path]:
    """Writes stl_total, stl_img, stl_train and stl_test; returns the path of each.

    Rows are 1,428 numbers of shape (1428, 1, 1); images (stl_img) are RGB bytes of
    shape (3, 96, 96), row by row, in the order of stl_total. Labels, in these two,
    count from 0. A database that is up to date is left as it is.

    source: a folder with STL-10's files, or its .tar.gz. None: the databases as they
    are, if they are whole and of one make, and else STL-10 from the network (2.6 GB).
    seed: of both permutations. jobs: processes, None for one a core.

    Raises DecError for files that are missing or damaged, or when a database cannot
    be written.
    """
    paths = {name: Path(folder) / name for name in DATABASES}
    if source is None and _all_current(paths, seed):
        for path in paths.values():
            say(f"{path}: up to date")
        return paths
    files = find(None if source is None else Path(source))
    what = "STL-10" if files.official else "not STL-10 itself, but in its form"
    train, test, unlabelled = files.counts
    say(
        f"{files.folder}: {what}: {train:,} + {test:,} images with labels, "
        f"{unlabelled:,} without"
    )
    facts = _facts(files, seed)
    for name, path in paths.items():
        if leveldb.is_current(path, _meta(name, facts)):
            say(f"{path}: up to date")
            continue
        numbers = _numbers(name, files, seed)
        blocks = _images if name == "stl_img" else functools.partial(_rows, jobs)
        leveldb.write_rows(
            path,
            blocks(files, numbers),
            files.labels[numbers] if name in LABELLED else None,
            _meta(name, facts),
            files.names(numbers),
        )
        say(f"{path}: {len(numbers):,} rows written")
    return paths


def _facts(files: StlFiles, seed: int) -> dict:
    return {
        "classes": files.classes,
        "sources": files.digests,
        "seed": seed,
        "version": _VERSION,
    }


def _meta(name: str, facts: dict) -> dict:
    """facts: what all databases of one make share."""
    if name == "stl_img":
        return {**facts, "colours": "RGB"}
    facts = {**facts, "kind": "photos", "photos": FRAME.facts()}
    return {**facts, "pictures": "stl_img"} if name == "stl_total" else facts


def _all_current(paths: dict[str, Path], seed: int) -> bool:
    """Whether the databases are whole and of one make, whatever it was."""
    first = leveldb.read_meta(paths["stl_total"]) or {}
    facts = {
        "classes": first.get("classes"),
        "sources": first.get("sources"),
        "seed": seed,
        "version": _VERSION,
    }
    return all(
        leveldb.is_current(path, _meta(name, facts)) for name, path in paths.items()
    )


def _numbers(name: str, files: StlFiles, seed: int) -> np.ndarray:
    """The images of a database, in its order, by their numbers in `files`."""
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(len(files.labels))
    everything = rng.permutation(sum(files.counts))
    training = split(len(everything))
    return {
        "stl_total": labelled,
        "stl_img": labelled,
        "stl_train": everything[:training],
        "stl_test": everything[training:],
    }[name]


def _rows(
    jobs: int | None, files: StlFiles, numbers: np.ndarray
) -> Iterator[np.ndarray]:
    work, parts = functools.partial(_extract, files), _parts(numbers)
    for ((_, rows),) in parallel.each(work, parts, jobs, ordered=True, batch=1):
        yield rows


def _extract(files: StlFiles, numbers: np.ndarray) -> np.ndarray:
    # Read where they lie: row, column, channel.
    return FRAME.rows(files.read(numbers).transpose(0, 3, 2, 1))


def _images(files: StlFiles, numbers: np.ndarray) -> Iterator[np.ndarray]:
    for part in _parts(numbers):
        yield files.read(part).transpose(0, 1, 3, 2)


def _parts(numbers: np.ndarray) -> Iterator[np.ndarray]:
    for at in range(0, len(numbers), _BLOCK):
        yield numbers[at : at + _BLOCK]
