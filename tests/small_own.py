"""prototxt/dec/own made small, for the tests of the Python API."""

from pathlib import Path

from conftest import ROOT, write_smaller


def make_small_own(folder: Path) -> Path:
    """A folder to stand in, whose prototxt/dec/own has nets d-8-8-16-2; returns it."""
    own = ROOT / "prototxt/dec/own"
    for path in own.rglob("*.prototxt"):
        write_smaller(path, folder / "prototxt/dec/own" / path.relative_to(own))
    return folder
