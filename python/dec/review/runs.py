"""Runs of DEC and DeepCluster: what a review needs of them."""

import io
import json
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np

from dec.base.atomic import write_bytes_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.progress import say
from dec.base.tables import read_columns
from dec.data import leveldb

_WIDTH = 10  # of a code by principal components


class Run(ABC):
    """A finished run, one item a row.

    names, clusters: of every item. database: the LevelDB of the rows. measure: what
    `confidence` is. Raises DecError where something of it is gone or damaged.
    """

    measure: str
    folder: Path
    n: int
    clusters: list[str]
    names: list[str]
    database: Path

    @cached_property
    def meta(self) -> dict:
        return leveldb.read_meta(self.database) or {}

    @property
    @abstractmethod
    def is_photos(self) -> bool:
        """Whether the items are files below meta["folder"]."""

    @abstractmethod
    def confidence(self, root: Path) -> np.ndarray:
        """How typical every item is of its cluster, 0 to 1. root: keeps it."""

    @abstractmethod
    def code(self, root: Path) -> np.ndarray:
        """A few numbers for every item, by which it has neighbours: n x d."""

    @abstractmethod
    def rows(self, root: Path) -> Path:
        """What a linear classifier learns from: a LevelDB, or an .npy of n x d."""

    @cached_property
    @abstractmethod
    def images(self):
        """What has the image of item i as [i], bytes; None for rows that are none."""


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises DecError where there is none, or half of one."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metrics = {}  # DEC's reader says it in words
    if isinstance(metrics, dict) and metrics.get("kind") == "deepcluster":
        return DeepClusterRun(folder, metrics)
    return DecRun(folder)


class DecRun(Run):
    """A run of DEC: confidence is the probability of the cluster."""

    measure = "probability"

    def __init__(self, folder: Path):
        from dec.clustering.report.results import Results

        self.folder, self.results = folder, Results.read(folder)
        self.n = self.results.n
        self.clusters = [str(c) for c in self.results.assigned.tolist()]

    @property
    def database(self) -> Path:
        return self.results.database

    @cached_property
    def names(self) -> list[str]:
        found = self._files
        if found is None or len(set(found)) != self.n:
            return [f"row {i}" for i in range(self.n)]
        return found

    @property
    def is_photos(self) -> bool:
        return self.meta.get("kind") == "photos" and self._files is not None

    @cached_property
    def _files(self) -> list[str] | None:
        """What the rows were made of, as the LevelDB says."""
        if not self.database.is_dir():
            return None
        names = leveldb.read_names(self.database)
        if names is not None and len(names) != self.n:
            raise DecError(
                f"{self.database}: {len(names)} rows now; the run was on {self.n}"
            )
        return names

    def confidence(self, root: Path) -> np.ndarray:
        return self.results.confidence

    def code(self, root: Path) -> np.ndarray:
        """Of DEC, which a run keeps of up to 5,000 rows; else principal components."""
        end = next((s for s in reversed(self.results.snapshots) if s.end), None)
        if end is not None and len(end.rows) == self.n:
            code = np.empty((self.n, np.prod(end.code.shape[1:], dtype=int)))
            code[end.rows] = end.code.reshape(len(end.rows), -1)
            return code.astype(np.float32)
        if not self.database.is_dir():
            raise DecError(f"{self.database}: the LevelDB of this run is gone")
        with leveldb.open_reader(self.database) as reader:
            if reader.rows != self.n:
                raise DecError(
                    f"{self.database}: {reader.rows} rows; the run had {self.n}"
                )

            def blocks():
                for rows, _ in reader.batches():
                    yield rows.reshape(len(rows), -1)

            return _components(blocks)

    def rows(self, root: Path) -> Path:
        return self.database

    @cached_property
    def images(self):
        from dec.data.images.row_images import RowImages

        try:
            found = RowImages.find(self.database)
        except DecError:
            found = None
        return found and _OneByOne(found)


class DeepClusterRun(Run):
    """A run of DeepCluster: the images that it was trained on.

    confidence is the simplified silhouette, 1 - d1 / d2 of the distances to the nearest
    centre and the one after it: 0 between two clusters, 1 in the middle of one.
    """

    measure = "silhouette"

    def __init__(self, folder: Path, metrics: dict):
        self.folder, self.metrics = folder, metrics
        table = folder / "assignments.csv"
        try:
            columns = read_columns(table, ("set", "file", "cluster"), ours=True)
            rows = [(n, c) for _, (part, n, c) in columns if part == "train"]
            self.database = _found(folder, Path(metrics["settings"]["train"]))
            self.n = n = metrics["n"]
        except (KeyError, TypeError) as error:
            raise DecError(
                f"{folder}: metrics.json is damaged or of an old run ({error}); run it "
                "again"
            ) from None
        if len(rows) != n:
            raise DecError(
                f"{printable(table)}: {len(rows)} images of train; the run had {n}"
            )
        self.names = [name for name, _ in rows]
        if len(set(self.names)) != n:
            self.names = [f"row {i}" for i in range(n)]
        self.clusters = [cluster for _, cluster in rows]

    @property
    def is_photos(self) -> bool:
        return bool(self.meta.get("encoded") and self.meta.get("folder"))

    @cached_property
    def images(self):
        from dec.deepcluster.images import Images

        most = self.metrics["settings"]["images"][0]
        found = Images(self.database, self.metrics.get("only") or (), most)
        if len(found) != self.n:
            raise DecError(
                f"{self.database}: {len(found)} images now; the run was on {self.n}"
            )
        return _Rgb(found)

    def confidence(self, root: Path) -> np.ndarray:
        points = np.load(self.rows(root), mmap_mode="r")
        centres = self._model.centres
        found = np.empty(self.n)
        for at in range(0, self.n, 4096):
            some = np.asarray(points[at : at + 4096], np.float64)
            square = (some**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
            apart = np.sqrt(np.maximum(square - 2 * some @ centres.T, 0))
            first, second = np.partition(apart, 1, axis=1)[:, :2].T
            found[at : at + 4096] = 1 - first / np.maximum(second, 1e-12)
        return found

    def code(self, root: Path) -> np.ndarray:
        points = np.load(self.rows(root), mmap_mode="r")
        return _components(
            lambda: (points[at : at + 4096] for at in range(0, self.n, 4096))
        )

    def rows(self, root: Path) -> Path:
        """Computed by the run's net, once."""
        file = root / f"points-{self._model.key[:12]}.npy"
        try:
            with open(file, "rb") as found:
                np.lib.format.read_magic(found)
            return file
        except (OSError, ValueError):
            pass
        from dec.deepcluster.points import points_of

        say(f"the net of {self.folder} looks at {self.n:,} images, once")
        points = points_of(self.folder, self.metrics, self.images.images)
        root.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(file, _npy(points))
        return file

    @cached_property
    def _model(self):
        from dec.deepcluster import epochs

        file = self.folder / epochs.MODEL
        found = epochs.read_model(file)
        if found is None:
            raise DecError(f"{file}: is damaged, or not there")
        return found


class _OneByOne:
    """Images of a LevelDB, each read when it is asked for."""

    def __init__(self, found):
        self._found = found

    def __getitem__(self, item: int) -> np.ndarray:
        return self._found.read([item])[0]


class _Rgb:
    """DeepCluster's images, which are blue first, as pictures."""

    def __init__(self, images):
        self.images = images

    def __getitem__(self, item: int) -> np.ndarray:
        return self.images[item][:, :, ::-1]


def _found(run: Path, source: Path) -> Path:
    """A path of a run's, from the project's root or from here."""
    for root in (Path(), *run.resolve().parents):
        if (root / source).exists():
            return root / source
    return source


def _npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values.astype(np.float32))
    return out.getvalue()


def _components(blocks) -> np.ndarray:
    """The first principal components of rows, in two passes; blocks() gives a pass."""
    total, square, count = 0.0, 0.0, 0
    for rows in blocks():
        rows = np.asarray(rows, np.float64)
        total, square = total + rows.sum(axis=0), square + rows.T @ rows
        count += len(rows)
    mean = total / count
    _, axes = np.linalg.eigh(square / count - np.outer(mean, mean))
    axes = axes[:, ::-1][:, :_WIDTH]
    return np.concatenate([(rows - mean) @ axes for rows in blocks()]).astype(
        np.float32
    )
