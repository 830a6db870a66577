"""A folder of photos as one LevelDB of JPEGs, each of its own shape.

NAME_train has all photos that can be used, in an order drawn by a fixed seed; those
that cannot are counted and listed in NAME_skipped.csv beside it.
"""

import functools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from dec.base import files
from dec.base.atomic import partial_path, replace_dir
from dec.base.digest import digest
from dec.base.errors import DecError
from dec.base.files import printable, refuse_to_replace
from dec.base.parallel import each
from dec.base.progress import bar, say
from dec.data import leveldb
from dec.data.images import photo_labels
from dec.data.images.photo_rows import say_skipped
from dec.data.leveldb import encoded
from dec.data.leveldb.database import refuse_if_in_use
from dec.data.leveldb.rows import OWN_FILES
from dec.photos.load import BadPhoto, load_rgb

NAME, SIDE = "images", 256
_QUALITY = 95
_VERSION = 1  # raise it when the same photos would give other rows


def build_leveldbs(
    folder: str | Path,
    source: str | Path | None = None,
    side: int = SIDE,
    labels: str = "auto",
    jobs: int | None = None,
    name: str = NAME,
) -> dict[str, Path]:
    """Writes NAME_train; returns its path by its name. Left alone if up to date.

    source: a folder, of which all that `dec.photos` can read is taken; None: the
    database as it is. side: pixels that the shorter side of every photo is brought to.
    labels: see photo_labels.find. jobs: processes, None for one a core. Raises DecError
    for a folder without usable photos, and when it cannot be written.
    """
    path = Path(folder) / f"{name}_train"
    if source is None:
        if not path.is_dir():
            raise DecError(f"{path}: not there: name the folder of photos")
        return {path.name: path}
    if not 8 <= side <= 4096:
        raise DecError(f"side {side}: 8 to 4096 pixels are possible")
    source, bad = Path(source), []
    names = list(
        files.walk(source, lambda n, words: bad.append((n, "unreadable", words)))
    )
    order = np.random.default_rng(1).permutation(len(names))
    names = [names[i] for i in order]
    key = _digest(source, names, [side, labels, _VERSION])
    if (leveldb.read_meta(path) or {}).get("sources") == key:
        say(f"{path}: up to date")
        return {path.name: path}
    refuse_to_replace(path, "a LevelDB", OWN_FILES)
    refuse_if_in_use(path)
    found = photo_labels.find(names, labels)
    numbers = dict(zip(names, found.numbers or [-1] * len(names), strict=True))
    work = functools.partial(_jpeg, os.fspath(source), side)

    def photos():
        with bar(len(names), "reading", " photos") as shown:
            for batch in each(work, names, jobs, ordered=True):
                shown.update(len(batch))
                for one, result in batch:
                    if isinstance(result, BadPhoto):
                        bad.append((one, result.reason, result.detail))
                    else:
                        yield one, result, numbers[one]

    meta = {"folder": os.path.abspath(source), "side": side, "sources": key}
    meta |= {"classes": found.classes} if found.classes else {}
    partial = partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        count = encoded.write_photos(partial, photos(), (side, side), meta)
        say_skipped(source, path.parent / f"{name}_skipped.csv", sorted(bad))
        if not count:
            raise DecError(f"{printable(source)}: no photo in it that can be used")
        replace_dir(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"{path}: {count:,} photos written; labels: {found.words}")
    return {path.name: path}


def _jpeg(folder: str, side: int, name: str) -> bytes | BadPhoto:
    """A photo as a JPEG whose shorter side has so many pixels, or why there is none."""
    try:
        path = os.path.join(folder, name)
        image = load_rgb(path, at_least=(2 * side, 2 * side))
    except BadPhoto as bad:
        return bad
    scale = side / min(image.size)
    size = tuple(max(side, round(length * scale)) for length in image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return simplejpeg.encode_jpeg(
        np.asarray(image), quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
    )


def _digest(source: Path, names: list[str], how: list) -> str:
    stats = []
    for name in names:
        try:
            found = os.stat(source / name)
            stats.append([name, found.st_size, found.st_mtime_ns])
        except OSError:
            stats.append([name, -1, -1])
    return digest(json.dumps([os.path.abspath(source), stats, how]))
