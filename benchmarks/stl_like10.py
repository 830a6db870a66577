"""A stand-in for STL-10, in STL-10's own binary form, from stl_like10.tar.xz.

7,650 photos of ten classes, 64 x 64 (a public part of ImageNet), become 96 x 96 by a
Lanczos filter. Of each class the first 500 training photos by name are train_X.bin,
the first 100 validation photos test_X.bin, and all others unlabeled_X.bin. Then:

.venv/bin/python benchmarks/stl_like10.py ../shared/data/stl_like10.tar.xz stl-like
STL=stl-like make stl-leveldb

With --kmeans, k-means on the features of data/stl_total afterwards, for comparison.
"""

import argparse
import csv
import io
import lzma
import shutil
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dec.base.atomic import partial_path, replace_dir
from dec.base.errors import DecError
from dec.clustering.kmeans import kmeans
from dec.data import leveldb
from dec.data.images.stl_files import CLASSES, IMAGES, LABELS, SIDE
from dec.scores.clusters import scores

LABELLED = {"train": 500, "val": 100}  # of each class
FILES = dict(zip(LABELLED, zip(IMAGES, LABELS, strict=False), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archive", type=Path, help="stl_like10.tar.xz")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--kmeans", type=Path, metavar="DB", help="data/stl_total")
    options = parser.parse_args()
    try:
        write(options.archive, options.out)
        if options.kmeans:
            cluster(options.kmeans)
    except DecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write(archive: Path, out: Path) -> None:
    """Writes STL-10's six files into the folder `out`, unless it is there."""
    if out.exists():
        print(f"{out}: is there")
        return
    photos = {"train": {}, "val": {}}
    try:
        with tarfile.open(archive) as members:
            for member in members:
                parts = member.name.split("/")  # stl_like10/<split>/<class>/<file>
                data = member.isfile() and members.extractfile(member).read()
                if parts[-1] == "index.csv":
                    rows = list(csv.DictReader(io.StringIO(data.decode())))
                elif data:
                    photos[parts[1]][tuple(parts[2:])] = data
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise DecError(f"{archive}: cannot be read: {error}") from None
    classes = sorted({row["class"] for row in rows})
    partial = partial_path(out)
    try:
        partial.mkdir(parents=True)
        (partial / CLASSES).write_text("\n".join(classes) + "\n")
        with open(partial / IMAGES[2], "wb") as unlabelled:
            for split, (images, labels) in FILES.items():
                write_split(photos[split], classes, split, partial, images, labels)
                for name in (n for c in classes for n in rest(photos[split], c, split)):
                    unlabelled.write(stored(photos[split][name]))
        replace_dir(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sizes = [(out / name).stat().st_size // (3 * SIDE * SIDE) for name in IMAGES]
    print(f"{out}: {' + '.join(map(str, sizes))} images of {len(classes)} classes")


def write_split(
    photos: dict, classes: list[str], split: str, folder: Path, images: str, labels: str
) -> None:
    """A file of images and one of labels, from 1, class by class in turn."""
    count = LABELLED[split]
    with open(folder / images, "wb") as pixels:
        for i in range(count):
            for name in classes:
                pixels.write(stored(photos[of_class(photos, name)[i]]))
    numbers = np.tile(np.arange(1, len(classes) + 1, dtype=np.uint8), count)
    (folder / labels).write_bytes(numbers.tobytes())


def of_class(photos: dict, name: str) -> list[tuple[str, str]]:
    return sorted(key for key in photos if key[0] == name)


def rest(photos: dict, name: str, split: str) -> list[tuple[str, str]]:
    return of_class(photos, name)[LABELLED[split] :]


def stored(jpeg: bytes) -> bytes:
    """A photo as STL-10 keeps it: channel, column, row."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 1, 0).tobytes()


def cluster(database: Path) -> None:
    """k-means with 20 restarts on the rows of a database, against their labels."""
    with leveldb.open_reader(database) as reader:
        rows, labels = reader.read()
    start = time.perf_counter()
    k = int(labels.max()) + 1
    _, found = kmeans(rows, k, seed=1)
    seconds = time.perf_counter() - start
    good = scores(labels, found, k)
    mean = (rows.astype(np.float64) ** 2).mean()
    print(
        f"{database}: {len(rows):,} rows of {rows.shape[1]:,}, mean square {mean:.3f}; "
        f"k-means: accuracy {good['acc']:.2%}, NMI {good['nmi']:.4f}, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
