"""The data sets that dec can make LevelDBs of, by the names of their experiments."""

from collections.abc import Callable
from pathlib import Path

from dec.errors import DecError


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


# Those that can be had without a source that the user names.
_PUBLIC = ("mnist",)


def _builder(name: str) -> Callable | None:
    if name == "mnist":
        from dec.data.mnist import build_leveldbs
    else:
        return None
    return build_leveldbs
