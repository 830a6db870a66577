"""Labels that a folder of photos has, by its sub-folders or by its file names."""

import re
from collections import Counter
from typing import NamedTuple

from dec.base.errors import DecError
from dec.base.files import printable

WAYS = ("auto", "folders", "names", "none")
_BY_NAME = re.compile(r"(?P<label>[^_]*[^\W\d_][^_]*)_.+")
_SHOWN = 12  # classes that are named in words
# What cameras and telephones begin a file's name with.
_CAMERAS = {"img", "imag", "mvimg", "pxl", "vid", "pano", "screenshot"}
_CAMERAS |= {"dsc", "dscn", "dscf", "pict", "gopr"}


class Labels(NamedTuple):
    """classes: names by number, none without labels. numbers: of each photo, or None.
    words: what was found, for people."""

    classes: list[str]
    numbers: list[int] | None
    words: str


def find(names: list[str], way: str = "auto") -> Labels:
    """The labels of photos with these names below their folder.

    way: "folders": the first sub-folder; "names": what stands before the first "_" of
    label_name.jpg; "none"; "auto": folders if every photo is in one and there are two
    or more; else names if every file is so named, there are two labels or more, two
    photos or more of each, and no label is a camera's (IMG_0815.jpg); else none.

    Raises DecError where the way asked for is not that of all photos.
    """
    folders = [name.partition("/")[0] if "/" in name else None for name in names]
    matches = [_BY_NAME.fullmatch(name.rpartition("/")[2]) for name in names]
    stems = [match["label"] if match else None for match in matches]
    if way == "none":
        return Labels([], None, "none, as asked for")
    if way in ("folders", "names"):
        found = folders if way == "folders" else stems
        if None in found:
            name = printable(names[found.index(None)])
            raise DecError(
                f"labels by {way}: {name} "
                + ("is in no sub-folder" if way == "folders" else "is no label_name")
            )
        return _numbered(found, way)
    if way != "auto":
        raise DecError(f"labels by {way}: none of {', '.join(WAYS)}")
    if None not in folders and len(set(folders)) > 1:
        return _numbered(folders, "folders")
    if None not in stems and _are_labels(Counter(stems)):
        return _numbered(stems, "names")
    return Labels(
        [], None, "none found, neither in sub-folders nor as label_name in file names"
    )


def _are_labels(counts: Counter[str]) -> bool:
    cameras = [stem for stem in counts if stem.lower() in _CAMERAS]
    return len(counts) > 1 and min(counts.values()) > 1 and not cameras


def _numbered(found: list[str], way: str) -> Labels:
    counts = Counter(found)
    classes = sorted(counts)
    number = {name: i for i, name in enumerate(classes)}
    shown = [f"{printable(name)} {counts[name]:,}" for name in classes[:_SHOWN]]
    if len(classes) > _SHOWN:
        shown.append("…")
    origin = "sub-folders" if way == "folders" else "file names"
    words = f"{len(classes):,} by {origin}: {', '.join(shown)}"
    return Labels(classes, [number[name] for name in found], words)
