"""The run folder behind an estimator: made, kept, written elsewhere, pickled."""

import json
import os
import re
import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from dec.base import atomic
from dec.base.errors import DecError
from dec.clustering import apart, arrays, auto, pipeline
from dec.clustering.assign import deployed
from dec.clustering.report.results import Results
from dec.clustering.span import Span
from dec.data.inputs import Preparation
from dec.engine.runs import Run, preparation, read_metrics
from dec.nets import caffe_process

_PARAMETERS = "estimator.json"  # of the estimator that made a run

# What metrics.json calls them.
_TOLD = {
    "n_clusters": "k",
    "pretrain": "autoencoder",
    "init": "start",
    "update_interval": "interval",
    "tol": "tol",
    "max_iter": "max_rounds",
    "random_state": "seed",
}

_PICKLED = ("prototxt", "codes")  # folders; the rows are in another
_ON_THE_WAY = re.compile(r".*_(iter|round)_\d+\.\w+")  # weights that are not the result


class Model:
    """A finished run's folder; one that is `owned` goes when nobody has it any more."""

    def __init__(self, path: Path, owned: bool):
        self.path = path
        if owned:
            self._end = weakref.finalize(self, _remove, path.parent, os.getpid())

    @classmethod
    def fit(cls, rows, given: dict, seed: int) -> "Model":
        """Runs both phases on an array or sparse matrix (n x d).

        given: the estimator's parameters, as `DEC` explains them.
        """
        model = cls(_new_path(), owned=True)
        run = Run(model.path)

        def work() -> None:
            experiment = replace(
                arrays.ArrayExperiment.find("npy"),
                database=arrays.write(rows, run.path, given["scale"] == "auto"),
                pretrain_iter=given["pretrain_iter"],
            )
            start = pipeline.Pretraining.of(experiment, str(given["pretrain"]))
            k = given["n_clusters"]
            settings = pipeline.Settings(
                device=given["device"],
                seed=seed,
                clusters=None if k == "auto" else k,
                update_interval=given["update_interval"],
                start=given["init"],
                tol=given["tol"],
                max_rounds=given["max_iter"],
            )
            if k == "auto":
                auto.run(experiment, run, start, settings, Span(), {})
            else:
                pipeline.run(experiment, run, start, settings, {})

        try:
            apart.run(work, given["verbose"] > 0)
        except DecError as error:
            if str(run.log) in str(error):  # it sends the user there
                model._end.detach()
                shutil.rmtree(run.path / arrays.ROWS, ignore_errors=True)
            raise
        return model

    def results(self) -> Results:
        """What came out; DecError where there is no finished run."""
        return Results.read(self.path)

    def centres(self) -> np.ndarray:
        """Of the clusters, in the code: k x its width."""
        net = caffe_pb2.NetParameter.FromString(
            (self.path / "final.caffemodel").read_bytes()
        )
        (blob, *_) = next(x.blobs for x in net.layer if x.name == "loss")
        return np.array(blob.data, np.float32).reshape(blob.shape.dim[-2:]).T.copy()

    def preparation(self) -> Preparation:
        """What is done to new rows."""
        return Preparation(preparation(self.path))

    def blob(self, name: str, rows, show: bool) -> np.ndarray:
        """A blob of the deploy net for new rows, n x d: "output" (the code) or "proba".

        Raises DecError for rows of another width than the run's.
        """
        prepare = self.preparation()

        def forward() -> None:
            net = deployed(self.path, prepare.shape)
            blocks = arrays.prepared(rows, prepare, net.batch)
            np.save(file, np.concatenate([net.block(x, name) for x in blocks]))

        folder = Path(tempfile.mkdtemp(prefix="dec-"))
        file, log = folder / "blob.npy", folder / "log.txt"
        try:
            apart.run(lambda: caffe_process.run(forward, log), show)
            found = np.load(file)
        except BaseException as error:
            if str(log) not in str(error):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def parameters(self) -> tuple[dict, np.ndarray | None]:
        """An estimator's parameters for this run, and the names of X's columns.

        Those of the one that saved it or, for one by the command line, what tells them.
        """
        try:
            file = json.loads((self.path / _PARAMETERS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            metrics = read_metrics(self.path)
            told = {ours: metrics.get(name) for ours, name in _TOLD.items()}
            return {name: x for name, x in told.items() if x is not None}, None
        except (OSError, ValueError) as error:
            raise DecError(
                f"{self.path / _PARAMETERS}: cannot be read: {error}"
            ) from None
        names = file["columns"]
        return file["parameters"], names and np.array(names, dtype=object)

    def save(self, folder: Path, given: dict, names: np.ndarray | None) -> None:
        """Copies the folder, with the estimator's parameters, whole or not at all.

        names: of X's columns. A run that is there is replaced. Raises DecError where
        other things are.
        """
        there = os.path.lexists(folder) and not (folder / "metrics.json").exists()
        if there and not (folder.is_dir() and not any(folder.iterdir())):
            raise DecError(f"{folder}: holds other things than a run")
        if folder.exists() and folder.samefile(self.path):
            raise DecError(f"{folder}: the estimator's own folder; name another")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DecError(f"{folder}: cannot be made: {error.strerror}") from error
        partial = atomic.partial_path(folder)
        try:
            shutil.copytree(self.path, partial, symlinks=True)
            for file in (partial / "prototxt").glob("*.prototxt"):
                # As seen from where the folder lies, like runs/NAME: so the two can
                # be moved together.
                text = file.read_text()
                for old in (self.path, self.path.name):
                    text = text.replace(f'"{old}/', f'"{folder.name}/')
                file.write_text(text)
            facts = {"parameters": given, "columns": names}
            text = json.dumps(facts, indent=1, default=_plain)
            (partial / _PARAMETERS).write_text(text + "\n")
            atomic.replace_dir(partial, folder)
        except OSError as error:
            raise DecError(f"{folder}: cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def __getstate__(self) -> dict:
        """The files of the model and its results, without the rows."""
        files = [path for path in self.path.iterdir() if path.is_file()]
        files = [path for path in files if not _ON_THE_WAY.fullmatch(path.name)]
        for folder in _PICKLED:
            files += (self.path / folder).glob("*")
        return {str(x.relative_to(self.path)): x.read_bytes() for x in files}

    def __setstate__(self, files: dict) -> None:
        self.__init__(_new_path(), owned=True)
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _plain(value: object) -> object:
    """Numbers of NumPy's, arrays and paths, as JSON has them."""
    return str(value) if isinstance(value, os.PathLike) else value.tolist()


def _new_path() -> Path:
    return Path(tempfile.mkdtemp(prefix="dec-")) / "run"


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a child that happens to drop its copy
        shutil.rmtree(folder, ignore_errors=True)
