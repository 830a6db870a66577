"""`dec kmeans`, `ldmgi`, `sec`: a method on a data set's rows, or on their code."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dec.base import places, progress
from dec.base.atomic import write_text_atomic
from dec.base.machine import machine
from dec.clustering import assignments
from dec.clustering.pipeline import data_digest
from dec.clustering.rivals import code, methods
from dec.data import leveldb
from dec.engine.experiment import Experiment, clusters_of
from dec.engine.runs import Run, digest
from dec.nets.prototxt import data_layers
from dec.scores.clusters import contingency, match, scores


@dataclass(frozen=True)
class Settings:
    """What is clustered, and how.

    method: "kmeans", "ldmgi" or "sec". code: a run or a file of weights, whose code of
    the rows is clustered; None for the rows themselves. clusters: None for as many as
    dec.prototxt has centres.
    values: of the method's parameter, a run each; none for its default.
    """

    method: str
    seed: int = 1
    clusters: int | None = None
    code: Path | None = None
    values: tuple[float, ...] = ()


def compare(
    experiment: Experiment, settings: Settings, path: Path | None = None
) -> dict[str, dict]:
    """Clusters the rows that phase 2 would; the metrics of every run, by its name.

    path: of the run folder (runs/EXPERIMENT-METHOD), to which several values of the
    parameter add their own. A run that is up to date is not made again. In each:
    metrics.json, with scores where all rows have labels, and assignments.csv.
    """
    method = methods.find(settings.method)
    values = settings.values or (method.default,)
    source = experiment.folder.relative_to(experiment.root) / "dec.prototxt"
    net = experiment.read_net(source)
    k = settings.clusters or clusters_of(net, str(source))
    database = Path(data_layers(net, "TEST")[0].data_param.source)
    key = [data_digest(experiment, net), settings.method, str(k), str(settings.seed)]
    if settings.code is not None:
        key.append(code.autoencoder_of(settings.code))
    if path is None:
        parts = [experiment.name, "code" if settings.code else "", settings.method]
        path = places.runs() / "-".join(filter(None, parts))
    runs = {}
    for value in values:
        own = value != method.default or len(values) > 1
        runs[value] = Run(path.with_name(f"{path.name}-{value:g}") if own else path)
    keys = {value: digest(*key, str(value)) for value in values}
    open_ = [v for v in values if not runs[v].finished(settings.method, keys[v])]
    for value in values:
        if value not in open_:
            progress.say(f"{method.name}: up to date in {runs[value].path}")
    work = _Work(experiment, settings, method, database, k) if open_ else None
    for value in open_:
        run = runs[value]
        run.begin(settings.method, keys[value])
        work.run(run, value)
        files = [run.metrics.name, run.assignments.name]
        run.finish(settings.method, keys[value], files)
    return {run.path.name: json.loads(run.metrics.read_text()) for run in runs.values()}


class _Work:
    """The rows, read once, and their neighbours, looked up once."""

    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        method: methods.Method,
        database: Path,
        k: int,
    ):
        self.settings, self.method, self.k = settings, method, k
        self.experiment = experiment
        self.seconds = {}
        with leveldb.open_reader(database) as reader:
            self.classes = (reader.meta or {}).get("classes")
            rows, labels = reader.read()
        self.names = leveldb.read_names(database)
        self.labels = labels if (labels >= 0).all() else None
        start = time.monotonic()
        if settings.code is not None:
            rows = code.code_of(database, experiment, settings.code)
            self.seconds["code"] = _since(start)
        self.rows = methods.finite(rows)
        progress.say(
            f"{method.name} on {len(rows):,} rows of {rows.shape[1]:,} numbers"
        )
        self.neighbours = None
        if method.neighbours is not None:
            start = time.monotonic()
            self.neighbours = method.neighbours(rows, k)
            self.seconds["neighbours"] = _since(start)

    def run(self, run: Run, value: float | None) -> None:
        method, seed, noted = self.method, self.settings.seed, []
        start = time.monotonic()
        assigned, objective = methods.with_warnings(
            lambda: method.cluster(self.rows, self.neighbours, self.k, seed, value),
            noted,
        )
        metrics = {
            "n": len(assigned),
            "k": self.k,
            "experiment": self.experiment.name,
            "method": method.name,
            "seed": seed,
            "rows": "rows",
            "seconds": self.seconds | {self.settings.method: _since(start)},
            "cluster_sizes": np.bincount(assigned, minlength=self.k).tolist(),
            "machine": machine(),
        }
        if self.settings.code is not None:
            metrics["method"] = f"autoencoder + {method.name}"
            metrics["rows"] = f"code by {code.autoencoder_of(self.settings.code)}"
        if method.parameter:
            metrics[method.parameter] = value
            metrics["objective"] = objective
        if noted:
            metrics["notes"] = noted
        if self.labels is not None:
            table = contingency(self.labels, assigned, self.k)
            metrics = scores(self.labels, assigned, self.k) | metrics
            metrics["classes"] = self.classes
            metrics["table"] = table.tolist()
            metrics["cluster_of_class"] = match(table).tolist()
        assignments.write(run.assignments, assigned, None, self.labels, self.names)
        write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def _since(start: float) -> float:
    return round(time.monotonic() - start, 1)
