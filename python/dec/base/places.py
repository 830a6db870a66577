"""Where things lie: the project's own files, the user's data and runs, the cache."""

import os
from pathlib import Path

from dec.base.errors import DecError

PROJECT = Path(__file__).parents[3]  # holds prototxt/


def home() -> Path:
    """The folder of data/ and runs/: $DEC_HOME, or where the user stands."""
    return Path(os.environ.get("DEC_HOME") or "")


def data() -> Path:
    """Where LevelDBs are written and looked for."""
    return home() / "data"


def runs() -> Path:
    """Where runs are kept, one folder each."""
    return home() / "runs"


def roots() -> list[Path]:
    """Folders whose prototxt/ may hold an experiment: the user's first, then ours."""
    found: dict[Path, Path] = {}
    for root in (Path(), home(), PROJECT):
        found.setdefault(root.resolve(), root)
    return list(found.values())


def cache(name: str) -> Path:
    """Where fetched files of this name are kept: $DEC_CACHE/NAME (~/.cache/dec-caffe).

    Raises DecError where there is no home folder.
    """
    root = Path(os.environ.get("DEC_CACHE") or "~/.cache/dec-caffe")
    try:
        return root.expanduser() / name
    except RuntimeError as error:
        raise DecError(f"{root}: {error} Set DEC_CACHE to a folder.") from error
