"""The data sets that dec can make LevelDBs of, by the names of their experiments."""

import functools
from collections.abc import Callable
from pathlib import Path

from dec.errors import DecError

# Those that can be had without a source that the user names.
_PUBLIC = ("mnist", "fashion-mnist", "stl")


def build(
    name: str, source: Path | None, folder: Path = Path("data"), **options
) -> None:
    """Writes the LevelDBs of a data set, unless they are up to date.

    source: the user's file or folder; None: wherever the data set can be had, or
    the LevelDBs as they are where that is nowhere. options: as the data set's own
    build_leveldbs takes them.
    """
    builder = _builder(name)
    if builder is None:
        if source:
            raise DecError(f"{name}: its LevelDBs are not made by dec")
    elif source or name in _PUBLIC:
        builder(folder, source=source, **options)


def _builder(name: str) -> Callable | None:
    # Imported when needed: each brings libraries that the others can do without.
    if name == "mnist":
        from dec.data.mnist import build_leveldbs
    elif name == "fashion-mnist":
        from dec.data.fashion import build_leveldbs
    elif name == "stl":
        from dec.data.stl import build_leveldbs
    elif name == "photos":
        from dec.data.photo_rows import build_leveldbs
    elif name == "text":
        from dec.data.text import build_leveldbs
    elif name == "20news":
        from dec.data.newsgroups import build_leveldbs
    elif name == "reuters21578":
        from dec.data.reuters21578 import build_leveldbs
    elif name in ("reuters", "reuters10k"):
        from dec.data import reuters

        build_leveldbs = functools.partial(reuters.build_leveldbs, name=name)
    elif name == "npy":
        from dec.data.matrix import build_npy_leveldbs as build_leveldbs
    elif name == "csv":
        from dec.data.matrix import build_csv_leveldbs as build_leveldbs
    else:
        return None
    return build_leveldbs
