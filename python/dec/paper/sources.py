"""The data sets of the tables: which are there, all their rows or some of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dec.base import places, progress
from dec.base.errors import DecError
from dec.clustering import pipeline
from dec.clustering.arrays import ArrayExperiment
from dec.clustering.part import drawn, write_part
from dec.clustering.pipeline import Pretraining, Settings
from dec.clustering.rivals.code import code_of
from dec.data import leveldb, registry
from dec.engine.experiment import OWN, Experiment, clusters_of
from dec.engine.runs import Run, digest

NAMES = ("mnist", "fashion-mnist", "digits", "reuters21578", "20news")
NAMES += ("stl", "reuters10k", "reuters")
TITLES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "digits": "digits of scikit-learn",
    "reuters21578": "Reuters-21578",
    "20news": "20 Newsgroups",
    "stl": "STL-HOG",
    "reuters10k": "REUTERS-10k",
    "reuters": "REUTERS",
}
QUICK_ROWS = 5000  # of every data set, at most


@dataclass
class Source:
    """The rows of a data set, or a part of them, and the experiment on them.

    parent: the data set that classes were kept unevenly of, whose encoders it has.
    share: its rows / all rows of the data set.
    """

    name: str
    experiment: Experiment
    database: Path
    folder: Path
    parent: "Source | None" = None
    share: float = 1.0

    def __post_init__(self):
        with leveldb.open_reader(self.database) as reader:
            self.n, self.width, self.meta = reader.rows, reader.width, reader.meta
            labels = np.concatenate([y for _, y in reader.batches(size=4096)])
        if (labels < 0).any():
            raise DecError(
                f"{self.database}: rows without labels; there is no accuracy"
            )
        self.labels = labels
        net = self.experiment.read_net(self.experiment.folder / "dec.prototxt")
        own = clusters_of(net, "dec.prototxt")
        # Of data without an experiment of their own, as many as there are classes.
        self.k = own if self.experiment.is_own_data else int(labels.max()) + 1
        self._codes: dict[Path, np.ndarray] = {}
        self._rows: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """Of the rows, as far as it can be told quickly."""
        tables = sorted((x.name, x.stat().st_size) for x in self.database.glob("*.ldb"))
        return digest(str(leveldb.read_meta(self.database) or tables))

    def rows(self) -> np.ndarray:
        """All rows, n x d; read once."""
        if self._rows is None:
            with leveldb.open_reader(self.database) as reader:
                self._rows = reader.read()[0]
        return self._rows

    def encoder(self, which: str, seed: int) -> Path:
        """The weights of an encoder: one that ships, or else of the short schedule.

        which: "paper" for the paper's schedule, where such a one ships, or "default".
        Trained once, in the folder of the data set, if none ships.
        """
        if self.parent is not None:
            return self.parent.encoder(which, seed)
        start = Pretraining.of(self.experiment, None)
        if which == "paper" and self.schedule(which) == "paper":
            start = Pretraining.of(self.experiment, "paper")
        if start.weights is not None:
            return start.weights
        run = Run(self.folder / self.name / f"autoencoder-seed{seed}")
        return pipeline.run_phase1(self.experiment, run, start, "cpu", seed)[0]

    def schedule(self, which: str) -> str:
        """By which schedule `encoder` was or will be trained."""
        if self.parent is not None:
            return self.parent.schedule(which)
        try:
            ships = Pretraining.of(self.experiment, "paper").weights is not None
        except DecError:  # there is no such schedule
            ships = False
        return "paper" if which == "paper" and ships else pipeline.DEFAULT

    def code(self, weights: Path) -> np.ndarray:
        """The code of all rows by an encoder, n x its width; computed once."""
        if weights not in self._codes:
            self._codes[weights] = code_of(self.database, self.experiment, weights)
        return self._codes[weights]

    def settings(self, start: str, seed: int, interval: int | None) -> Settings:
        """Of phase 2 on these rows.

        interval: None for one in which as large a share of the rows is passed as in the
        experiment's own of all rows.
        """
        if interval is None and self.share < 1:
            whole = pipeline.interval_of(self.experiment, Settings())
            interval = whole and max(1, round(whole * self.share))
        return Settings(
            seed=seed, clusters=self.k, update_interval=interval, start=start
        )


def find(name: str, folder: Path, rows: int | None) -> Source:
    """A data set whose LevelDB is there; DecError, with what to do, if it is not.

    rows: how many of it, drawn at random with one seed; None for all.
    """
    if name == "digits":
        database = folder / "data/digits_total"
        if not database.is_dir():
            _write_digits(database)
        own = ArrayExperiment.find(OWN)
    else:
        database = places.data() / f"{name}_total"
        if not database.is_dir():
            raise DecError(
                f"{database}: is not there; `dec data {_how(name)}` makes it"
            )
        own = ArrayExperiment.find(name)
    experiment = replace(own, name=name, database=database)
    with leveldb.open_reader(database) as reader:
        n = reader.rows
    if rows is not None and n > rows:
        part = folder / "data" / f"{name}_{rows}"
        if not part.is_dir():
            progress.say(f"paper: {rows:,} of the {n:,} rows of {name}")
            write_part(database, drawn(n, rows, 1), part)
        experiment = replace(experiment, database=part)
    share = min(n, rows or n) / n
    return Source(name, experiment, experiment.database, folder, share=share)


def unevenly(source: Source, retention: float, seed: int) -> Source:
    """Rows of a data set of which classes are kept unevenly (section 3.5.4).

    Every row of class c of C is kept with the probability r + (1 - r) c / (C - 1), r
    being `retention`: the classes shrink linearly down to the first.
    """
    name = f"{source.name}_r{retention:g}-seed{seed}"
    part = source.folder / "data" / name
    if not part.is_dir():
        kept = kept_unevenly(source.labels, retention, seed)
        write_part(source.database, kept, part)
    experiment = replace(source.experiment, database=part)
    return Source(source.name, experiment, part, source.folder, source, source.share)


def kept_unevenly(labels: np.ndarray, retention: float, seed: int) -> np.ndarray:
    """The numbers of the rows that `unevenly` keeps, rising."""
    classes = int(labels.max()) + 1
    share = retention + (1 - retention) * labels / max(classes - 1, 1)
    return np.flatnonzero(np.random.default_rng(seed).random(len(labels)) < share)


def _write_digits(database: Path) -> None:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, much like those of USPS."""
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    meta = {"image": [8, 8], "scale": 0.125}
    rows = rows.astype(np.float32) * 0.125  # the mean of ||x||^2 / d is about 1
    leveldb.write_rows(database, rows, labels, meta)


def _how(name: str) -> str:
    known = registry.find(name)
    return name if known is None or known.public else f"{name} SOURCE"
