"""STL-10's own files: where to get them, what is wrong with them, their images.

Source: A. Coates, H. Lee, A. Y. Ng, https://cs.stanford.edu/~acoates/stl10: images of
96 x 96 x 3 bytes, first all red, then green, then blue, each column by column; labels
of one byte, from 1.
"""

import gzip
import hashlib
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base import places
from dec.base.atomic import partial_path, replace_dir
from dec.base.download import fetch
from dec.base.errors import DecError
from dec.base.progress import bar, say

SIDE = 96
IMAGE_BYTES = 3 * SIDE * SIDE
IMAGES = ("train_X.bin", "test_X.bin", "unlabeled_X.bin")
LABELS = ("train_y.bin", "test_y.bin")
COUNTS = (5_000, 8_000, 100_000)  # STL-10's own
CLASSES = "class_names.txt"
# As torchvision checks them (torchvision/datasets/stl10.py).
MD5 = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
}
ARCHIVE = "stl10_binary.tar.gz"
ARCHIVE_MD5 = "91f7769df0f17e558f3565bffb0c7dfb"
MIRRORS = (
    f"http://ai.stanford.edu/~acoates/stl10/{ARCHIVE}",
    f"https://cs.stanford.edu/~acoates/stl10/{ARCHIVE}",
)
# Of the two files of labels; STL-10's ten classes, unless class_names.txt has others.
_TEN = ["airplane", "bird", "car", "cat", "deer"]
_TEN += ["dog", "horse", "monkey", "ship", "truck"]
_FOLDER = "stl10_binary"  # in the archive
_CHUNK = 1 << 22


class StlFiles:
    """A folder with STL-10's files, or files in their form.

    counts: images of train, test and unlabeled. labels: int32 from 0, of the first
    two. classes: their names. digests: the MD5 of each file by name. official: whether
    these are STL-10's.

    Raises DecError for files that are missing, cut short, or do not fit together.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.counts = tuple(_count_images(folder / name) for name in IMAGES)
        self.classes = _read_classes(folder / CLASSES)
        parts = zip(LABELS, IMAGES, self.counts, strict=False)
        self.labels = np.concatenate(
            [
                _read_labels(folder / name, images, count, len(self.classes))
                for name, images, count in parts
            ]
        )
        if len(self.labels) < 2:
            raise DecError(f"{folder}: two or more images with labels are needed")
        self.digests = _digests([folder / name for name in MD5])
        self.official = self.digests == MD5

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """The images of these numbers: n x 3 x column x row, as they are stored.

        Numbers count from 0 over train, test and unlabeled. Files are opened for each
        call and read in place: so memory stays flat, and any process may call this.
        """
        images = np.empty((len(numbers), 3, SIDE, SIDE), np.uint8)
        starts = np.cumsum((0, *self.counts))
        files = np.searchsorted(starts, numbers, "right") - 1
        for at, name in enumerate(IMAGES):
            path = self.folder / name
            try:
                with open(path, "rb", buffering=0) as file:
                    for i in np.flatnonzero(files == at):
                        file.seek(int(numbers[i] - starts[at]) * IMAGE_BYTES)
                        if file.readinto(images[i]) != IMAGE_BYTES:
                            raise DecError(f"{path}: has become shorter meanwhile")
            except OSError as error:
                raise DecError(f"{path}: cannot be read: {error.strerror}") from None
        return images

    def names(self, numbers: np.ndarray) -> Iterator[str]:
        """For every number the file and the image's place in it, from 0."""
        starts = np.cumsum((0, *self.counts))
        files = np.searchsorted(starts, numbers, "right") - 1
        for number, at in zip(numbers, files, strict=True):
            yield f"{IMAGES[at]}:{number - starts[at]}"


def find(source: Path | None) -> StlFiles:
    """STL-10 from a folder or a .tar.gz, or from the cache or the network if None.

    An archive is unpacked into the cache, once. Raises DecError where there is none,
    or where it is damaged.
    """
    if source is None:
        return _public()
    if source.is_file():
        return StlFiles(_unpacked(source))
    if not source.is_dir():
        raise DecError(f"{source}: there is no such folder or archive")
    inner = source / _FOLDER
    files = StlFiles(source if not inner.is_dir() else inner)
    if files.counts == COUNTS and not files.official:
        # Other data in STL-10's form are welcome, but hardly by its very numbers.
        wrong = [name for name in MD5 if files.digests[name] != MD5[name]]
        say(
            f"{files.folder}: as many images as STL-10 has, but not the same: "
            f"{', '.join(wrong)} (by MD5). Damaged?"
        )
    return files


def cache_folder() -> Path:
    """Where archives are fetched and unpacked to: $DEC_CACHE/stl10."""
    return places.cache("stl10")


def _public():
    folder = cache_folder() / _FOLDER
    if not folder.is_dir():
        archive = cache_folder() / ARCHIVE
        fetch(
            MIRRORS,
            archive,
            check=_check_archive,
            by_hand=f"Get {ARCHIVE} (2.6 GB) by hand and name it, or the folder that "
            "it holds, with --from.",
        )
        _unpack(archive, folder)
        archive.unlink()
    files = StlFiles(folder)
    if not files.official:
        raise DecError(
            f"{folder}: damaged: the MD5s are not STL-10's. Delete it; the same "
            "command fetches it anew."
        )
    return files


def _check_archive(path):
    found = _digests([path])[path.name]
    if found != ARCHIVE_MD5:
        raise DecError(f"its MD5 is {found}, expected {ARCHIVE_MD5}")


def _unpacked(archive):
    """The folder in the cache that an archive of the user's is unpacked in."""
    digest = _digests([archive])[archive.name]
    folder = _FOLDER if digest == ARCHIVE_MD5 else digest
    folder = cache_folder() / folder
    if not folder.is_dir():
        _unpack(archive, folder)
    return folder


def _unpack(archive, folder):
    """Takes STL-10's files out of the archive into a new folder, all or none."""
    partial = partial_path(folder)
    try:
        partial.mkdir(parents=True)
        with (
            open(archive, "rb") as packed,
            bar(archive.stat().st_size, f"unpacking {archive.name}", "B") as shown,
            gzip.open(packed) as plain,
            tarfile.open(fileobj=plain, mode="r|") as members,
        ):
            for member in members:
                name = Path(member.name).name
                if member.isfile() and name in (*IMAGES, *LABELS, CLASSES):
                    with open(partial / name, "wb") as file:
                        shutil.copyfileobj(members.extractfile(member), file, _CHUNK)
                shown.update(packed.tell() - shown.n)
            while plain.read(_CHUNK):  # at the end is the checksum
                pass
        missing = [name for name in MD5 if not (partial / name).exists()]
        if missing:
            raise DecError(f"{archive}: there is no {', no '.join(missing)} in it")
        replace_dir(partial, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DecError(f"{archive}: no whole .tar.gz: {error}") from error
    except OSError as error:
        raise DecError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        unlabelled = path.name == IMAGES[2]
        without = " To go without unlabelled images, put an empty file there."
        raise DecError(
            f"{path}: is missing. STL-10's files are {', '.join(MD5)}."
            + (without if unlabelled else "")
        ) from None
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from None


def _count_images(path):
    count, rest = divmod(_size(path), IMAGE_BYTES)
    if rest:
        raise DecError(
            f"{path}: cut short, or of another form: {_size(path):,} bytes are no "
            f"whole number of images of {IMAGE_BYTES:,} bytes (3 x {SIDE} x {SIDE})"
        )
    return count


def _read_classes(path):
    if not path.exists():
        return _TEN
    try:
        names = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DecError(f"{path}: cannot be read: {error}") from None
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise DecError(f"{path}: there are no names of classes in it, one a line")
    return names


def _read_labels(path, images, count, classes):
    _size(path)
    try:
        labels = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from None
    if len(labels) != count:
        raise DecError(
            f"{path}: {len(labels):,} labels for {count:,} images in {images}"
        )
    wrong = np.flatnonzero((labels < 1) | (labels > classes))
    if len(wrong):
        raise DecError(
            f"{path}: label {labels[wrong[0]]} of image {wrong[0]} (from 0) is not one "
            f"of 1 to {classes}"
        )
    return labels.astype(np.int32) - 1


def _digests(paths):
    """The MD5 of every file by its name."""
    found = {}
    with bar(sum(_size(path) for path in paths), "checking", "B") as shown:
        for path in paths:
            digest = hashlib.md5(usedforsecurity=False)
            try:
                with open(path, "rb") as file:
                    while chunk := file.read(_CHUNK):
                        digest.update(chunk)
                        shown.update(len(chunk))
            except OSError as error:
                raise DecError(f"{path}: cannot be read: {error.strerror}") from None
            found[path.name] = digest.hexdigest()
    return found
