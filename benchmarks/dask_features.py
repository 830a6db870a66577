"""`dec data photos` on a local Dask cluster, beside joblib's own processes; the speeds.

Makes the LevelDBs of one folder of photos three times: in one process, by joblib's
processes, and by Dask workers, which are processes of their own that get their work by
TCP, as they would on other machines. All three must agree, bit for bit. Then what the
arithmetic of docs/scale.md needs: photos a second a core, bytes a photo, the writer.

With --run, the same for `dec classify` by a run of `dec finetune`: the CSV files of all
three ways must be the same.

.venv/bin/pip install "dask[distributed]"
.venv/bin/python benchmarks/dask_features.py [DIR] [--workers 2] [--features NET]
.venv/bin/python benchmarks/dask_features.py [DIR] --run runs/squeezenet-linear
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
from distributed import Client, LocalCluster

from dec.base.files import walk
from dec.classify.new_photos import classify
from dec.data import leveldb
from dec.data.images.photo_rows import PhotoRows, build_leveldbs

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT.parent / "shared/data/photos/caltech_3class"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PHOTOS, metavar="DIR")
    parser.add_argument(
        "--workers", type=int, default=2, help="Dask's and joblib's (2)"
    )
    parser.add_argument("--copies", type=int, default=2, help="of every photo (2)")
    parser.add_argument("--features", default="hog", help="a net of features/ (hog)")
    parser.add_argument("--run", type=Path, help="of dec finetune: dec classify by it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        count = link(options.folder.resolve(), work / "photos", options.copies)
        print(
            f"{count:,} photos, {options.workers} workers, {joblib.cpu_count()} cores"
        )
        if options.run:
            compare_classify(work, count, options.workers, options.run)
        else:
            compare(work, count, options.workers, options.features)
            arithmetic(work)


def link(folder: Path, to: Path, copies: int) -> int:
    """Makes `to` a folder with links to all photos, each so many times."""
    names = list(walk(folder))
    for copy in range(copies):
        for name in names:
            path = to / str(copy) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(folder / name)
    return copies * len(names)


def compare(work: Path, count: int, workers: int, features: str) -> None:
    def build(name: str, jobs: int | None) -> Callable:
        return lambda: build_leveldbs(
            work / name, work / "photos", features=features, jobs=jobs
        )

    first = timed("one process", count, build("one", 1))
    second = timed("joblib's processes", count, build("joblib", workers))
    with dask(workers, "dec.data.images.photo_rows"):
        third = timed("Dask workers", count, build("dask", None))
    for other in (second, third):
        for name, path in first.items():
            assert same(path, other[name]), f"{name} differs"
    print("all three made the same databases, bit for bit")


def compare_classify(work: Path, count: int, workers: int, run: Path) -> None:
    def answer(name: str, jobs: int | None) -> Callable:
        return lambda: classify(run, [work / "photos"], work / name, jobs=jobs)

    timed("one process", count, answer("one.csv", 1))
    timed("joblib's processes", count, answer("joblib.csv", workers))
    with dask(workers, "dec.classify.new_photos"):
        timed("Dask workers", count, answer("dask.csv", None))
    for other in ("joblib.csv", "dask.csv"):
        assert (work / other).read_bytes() == (work / "one.csv").read_bytes(), other
    print("all three made the same CSV file")


@contextlib.contextmanager
def dask(workers: int, module: str) -> Iterator[None]:
    """joblib's work is done by Dask workers; says how many have used the module."""
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        client.wait_for_workers(workers)
        yield
        seen = client.run(lambda: sorted(__import__("sys").modules))
    done = sum(module in modules for modules in seen.values())
    print(f"{done} of {workers} Dask workers took part")


def timed(what: str, count: int, build: Callable) -> dict[str, Path] | None:
    start, cpu = time.perf_counter(), time.process_time()
    paths = build()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{what:20} {seconds:6.1f} s, {count / seconds:5.0f} photos/s; "
        f"{1000 * cpu / count:.2f} ms CPU a photo in the main process"
    )
    return paths


def same(a: Path, b: Path) -> bool:
    if leveldb.read_names(a) != leveldb.read_names(b):
        return False
    with leveldb.open_reader(a) as one, leveldb.open_reader(b) as two:
        return all(
            np.array_equal(x, y)
            for pair in zip(one.batches(), two.batches(), strict=True)
            for x, y in zip(*pair, strict=True)
        )


def arithmetic(work: Path) -> None:
    prepared = PhotoRows(leveldb.read_meta(work / "one/photos_total"))
    start = time.process_time()
    count = sum(len(names) for names, _ in prepared.read(work / "photos/0", jobs=1))
    seconds = time.process_time() - start
    print(f"{count / seconds:,.0f} photos a CPU second: decoded, resized, features")
    for name in ("photos_img", "photos_total"):
        path = work / "one" / name
        size = sum(file.stat().st_size for file in path.glob("*.ldb"))
        with leveldb.open_reader(path) as reader:
            rows = np.concatenate([x for x, _ in reader.batches()])
            rows = rows.reshape(-1, *reader.shape)
        if name == "photos_img":
            rows = rows.astype(np.uint8)
        start, cpu = time.perf_counter(), time.process_time()
        leveldb.write_rows(work / "again", rows)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(
            f"{name}: {size / len(rows):,.0f} bytes a photo; the writer took "
            f"{len(rows) / seconds:,.0f} a second, {len(rows) / cpu:,.0f} a CPU second"
        )


if __name__ == "__main__":
    main()
