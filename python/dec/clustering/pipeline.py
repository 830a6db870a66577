"""The stages of a run in their order: data, phase 1, phase 2, results."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from caffe.proto import caffe_pb2

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.clustering import assignments, comparison, encoder, length, phase1, state
from dec.clustering.figure import draw
from dec.clustering.phase2 import Clustering, Result
from dec.data import leveldb, registry
from dec.engine.experiment import Experiment, Stage, clusters_of, row_width
from dec.engine.runs import Run, digest
from dec.nets import caffe_process
from dec.nets.prototxt import data_layers, fit, read_net, write
from dec.scores.clusters import class_names, columns, contingency, match

# What new rows need to be like those of a LevelDB, in its dec.json.
_PREPARATION = ("shape", "scale", "image", "kind", "text", "photos", "matrix")

# What phase 2 leaves in the run folder.
_RESULTS = (
    "final.caffemodel",
    "deploy.prototxt",
    "input.json",
    "assignments.csv",
    "metrics.json",
)


DEFAULT = "short"  # the schedule whose encoder a run starts from


@dataclass(frozen=True)
class Settings:
    """How phase 2 is run.

    solver: None for the experiment's own. update_interval: iterations a round, instead
    of the solver's max_iter. clusters: instead of the net's num_center. tol: a smaller
    share of rows that changed cluster ends it. start: what gives the first
    centres, the k-means "within" or "plain", or "graph".
    """

    device: str = "cpu"
    seed: int | None = None
    clusters: int | None = None
    solver: Path | None = None
    update_interval: int | None = None
    start: str = "within"
    tol: float = 0.001
    max_rounds: int = 200


class Pretraining(NamedTuple):
    """Where phase 2 gets its encoder from: a file, or phase 1 on a schedule.

    suffix: of the run folder's name.
    """

    schedule: str
    weights: Path | None
    suffix: str = ""

    @classmethod
    def of(cls, experiment: Experiment, words: str | None) -> "Pretraining":
        """words: FILE.caffemodel; a schedule, a folder of the experiment, whose encoder
        ships or else is trained; "train" or "train-SCHEDULE": trained in any case.
        """
        if words and words.endswith(".caffemodel"):
            return cls("", Path(words))
        train, _, rest = (words or "").partition("-")
        anew = train == "train"
        schedule = (rest if anew else words) or DEFAULT
        phase1.stages(experiment, schedule)
        ships = encoder.shipped(experiment, schedule)
        parts = ["train"] * bool(anew and ships)
        parts += [schedule] * (schedule != DEFAULT)
        suffix = "".join(f"-{part}" for part in parts)
        return cls(schedule, None if anew else ships, suffix)


def build_data(
    experiment: Experiment, source: Path | None, features: str | None = None
) -> float:
    """Writes the experiment's LevelDBs below data/; returns the seconds it took.

    features: what describes photos, if not what their data set takes. Raises DecError
    for a data set of images alone.
    """
    known = registry.find(experiment.name)
    if known and not known.rows:
        raise DecError(
            f"{known.name}: images alone, for `dec deepcluster`; DEC clusters rows of "
            "numbers: see `dec run photos --features`"
        )
    start = time.monotonic()
    chosen = {} if features is None else {"features": features}
    registry.build(experiment.name, source, **chosen)
    return time.monotonic() - start


def run(
    experiment: Experiment,
    run: Run,
    pretraining: Pretraining,
    settings: Settings,
    before: dict[str, float],
) -> dict:
    """Phases 1 and 2; returns the metrics. before: seconds of the stages before."""
    device, seed = settings.device, settings.seed
    _check_clusters(experiment, settings)
    autoencoder, seconds = run_phase1(experiment, run, pretraining, device, seed)
    return run_phase2(experiment, run, autoencoder, before | seconds, settings)


def run_phase1(
    experiment: Experiment,
    run: Run,
    pretraining: Pretraining,
    device: str,
    seed: int | None,
) -> tuple[Path, dict[str, float]]:
    """Phase 1 on the LevelDBs that its prototxts name, or the file instead of it.

    Returns the autoencoder's weights and the seconds of every stage.
    """
    if pretraining.weights:
        encoder.check(pretraining.weights)
        progress.say(f"phase 1: starts from {pretraining.weights}")
        return pretraining.weights, {}
    _, solver = phase1.stages(experiment, pretraining.schedule)[0]
    net = experiment.read_net(experiment.read_solver(solver).net)
    data = data_digest(experiment, net)
    return phase1.pretrain(experiment, run, pretraining.schedule, device, seed, data)


def run_phase2(
    experiment: Experiment,
    run: Run,
    autoencoder: Path,
    before: dict[str, float],
    settings: Settings,
) -> dict:
    """Phase 2 and its results; returns the metrics. Skips what is up to date.

    before: seconds of the stages before.
    """
    clusters = settings.clusters
    stage = phase2_stage(experiment, run, settings)
    seed = settings.seed
    seed = max(stage.solver.random_seed, 0) if seed is None else seed
    deploy = read_net(experiment.folder / "deploy.prototxt")
    fit(deploy, row_width(stage.net, stage.source), clusters)
    data = data_digest(experiment, stage.net)
    rounds = stage.digest(autoencoder, data, str(seed), settings.start)
    ends = json.dumps([settings.tol, settings.max_rounds])
    key = digest(rounds, ends, str(deploy))
    if run.finished("dec", key):
        progress.say("dec: up to date")
        return json.loads(run.metrics.read_text())
    database = Path(data_layers(stage.net, "TEST")[0].data_param.source)
    rows, labels = _rows_and_labels(database)
    preparation = _preparation(database)

    def work() -> None:
        clustering = Clustering(stage, rows, labels, settings.tol, settings.start)
        result = clustering.run(autoencoder, seed, settings.max_rounds, rounds)
        run.begin("dec", key)  # from here on the last run's results are replaced
        clustering.net.save(str(run.path / "final.caffemodel"))
        write(
            run.path / "deploy.prototxt",
            deploy,
            "Rows in, cluster and probabilities out. Rows are prepared as input.json "
            "says.",
        )
        write_text_atomic(run.path / "input.json", json.dumps(preparation) + "\n")
        facts = {"experiment": experiment.name, "seed": seed, "tol": settings.tol}
        facts["max_rounds"] = settings.max_rounds
        facts["start"] = settings.start
        facts["interval"] = stage.solver.max_iter
        facts["clusters"] = clusters
        facts["method"] = "DEC" if _trains_code(stage.net) else "DEC without backprop"
        if autoencoder.parent != run.path:
            facts["autoencoder"] = str(autoencoder)
        facts["classes"] = (leveldb.read_meta(database) or {}).get("classes")
        names = leveldb.read_names(database)
        _write_results(run, result, labels, names, facts, before)

    def compare() -> None:
        assigned = assignments.read(run.assignments)["cluster"]
        comparison.add_to_metrics(run, database, assigned, labels)

    caffe_process.run(work, run.log)
    # In a child of its own: nobody else has the LevelDB open then.
    caffe_process.run(compare, run.log)
    metrics = json.loads(run.metrics.read_text())
    drawn = [run.picture.name] if _draw(run, database, metrics) else []
    run.finish("dec", key, [*_RESULTS, *drawn])
    if metrics["converged"]:
        state.remove(run.path)
    return metrics


def phase2_stage(experiment: Experiment, run: Run, settings: Settings) -> Stage:
    """Phase 2's solver and net as they will be run; targets come from memory."""
    device, seed, clusters = settings.device, settings.seed, settings.clusters
    solver, interval = phase2_solver(experiment, settings.solver)
    stage = Stage.read("dec", experiment, run, solver, device, seed, clusters)
    if interval is not None:
        length.fill_in(stage, settings.update_interval or interval)
    elif settings.update_interval is not None:
        stage.solver.max_iter = settings.update_interval
    stage.solver.train_state.stage.append("memory")
    del stage.solver.weights[:]  # they are the autoencoder's with k-means centres
    return stage


def interval_of(experiment: Experiment, settings: Settings) -> int | None:
    """Iterations of a round, as the solver says; None if they follow from the rows."""
    file, few = phase2_solver(experiment, settings.solver)
    return experiment.read_solver(file).max_iter if few is None else None


def database_of(experiment: Experiment, settings: Settings) -> Path:
    """The LevelDB of the rows that phase 2 clusters; DecError if it is not there."""
    return _database(experiment, _phase2_net(experiment, settings)[0])


def _check_clusters(experiment: Experiment, settings: Settings) -> None:
    """Raises DecError for fewer rows than clusters: before phase 1, not after it."""
    net, source = _phase2_net(experiment, settings)
    clusters = settings.clusters or clusters_of(net, source)
    database = _database(experiment, net)
    with leveldb.open_reader(database) as reader:
        if reader.rows < clusters:
            raise DecError(
                f"{database}: {reader.rows} rows cannot make {clusters} clusters; see "
                "--clusters"
            )


def _phase2_net(experiment: Experiment, settings: Settings):
    """Phase 2's net, and what the solver calls it."""
    file, _ = phase2_solver(experiment, settings.solver)
    solver = experiment.read_solver(file)
    return experiment.read_net(solver.net), solver.net


def _database(experiment: Experiment, net: caffe_pb2.NetParameter) -> Path:
    data_digest(experiment, net)
    return Path(data_layers(net, "TEST")[0].data_param.source)


def phase2_solver(
    experiment: Experiment, given: Path | None
) -> tuple[Path, int | None]:
    """The file that the user names, or what the experiment has for such data.

    And the iterations of a round, for few rows; None: as the solver says.
    """
    folder = experiment.folder
    if given:
        there = (given, experiment.root / given, folder / given)
        return next((path for path in there if path.exists()), given), None
    # own/text_solver.prototxt for the rows of `dec data text`.
    solver = folder / f"{experiment.kind}_solver.prototxt"
    if solver.exists():
        return solver, None
    return length.solver_for(experiment, folder / "dec_solver.prototxt")


def _draw(run: Run, database: Path, metrics: dict) -> bool:
    table = np.array(metrics["table"]) if "table" in metrics else None
    rows = assignments.read(run.assignments)
    order = columns(metrics)
    classes = class_names(metrics) if table is not None else []
    confidence = rows["probability"]
    return draw(
        run.picture, database, rows["cluster"], confidence, table, order, classes
    )


def _write_results(
    run: Run,
    result: Result,
    labels: np.ndarray | None,
    names: list[str] | None,
    facts: dict,
    before: dict[str, float],
) -> None:
    n, k = result.proba.shape
    phase2 = {name: round(s, 2) for name, s in result.seconds.items()}
    metrics = {
        "n": n,
        "k": k,
        **facts,
        "rounds": len(result.rounds),
        "converged": result.converged,
        "kmeans": result.kmeans,
        "cluster_sizes": np.bincount(result.assigned, minlength=k).tolist(),
        "seconds": {name: round(s, 1) for name, s in before.items()}
        | {"dec": round(sum(result.seconds.values()), 1)},
        "dec_seconds": phase2,
        "machine": machine(),
        "history": result.rounds,
    }
    if labels is not None:
        table = contingency(labels, result.assigned, k)
        last = result.rounds[-1] if result.rounds else result.kmeans
        metrics = {name: last[name] for name in ("acc", "nmi", "ari")} | metrics
        metrics["table"] = table.tolist()
        metrics["cluster_of_class"] = match(table).tolist()
    best = result.proba.max(axis=1)
    assignments.write(run.assignments, result.assigned, best, labels, names)
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def _preparation(database: Path) -> dict:
    """What new rows need to be like those of the database."""
    meta = leveldb.read_meta(database)
    if meta is None:
        with leveldb.open_reader(database) as reader:
            meta = {"shape": list(reader.shape)}
    return {name: meta[name] for name in _PREPARATION if name in meta}


def _trains_code(net: caffe_pb2.NetParameter) -> bool:
    """Whether phase 2 changes the encoder, and not the centres alone."""
    rates = [
        rate.lr_mult
        for layer in net.layer
        if layer.HasField("inner_product_param")
        for rate in layer.param
    ]
    return not rates or any(rates)


def _rows_and_labels(database: Path) -> tuple[int, np.ndarray | None]:
    """How many rows a LevelDB has, and their labels if all have one."""
    with leveldb.open_reader(database) as reader:
        labels = np.concatenate([y for _, y in reader.batches(size=4096)])
    return len(labels), labels if (labels >= 0).all() else None


def data_digest(experiment: Experiment, net: caffe_pb2.NetParameter) -> str:
    """Of what the LevelDBs of a net hold, as far as it can be told quickly."""
    sources = {
        layer.data_param.source
        for phase in ("TRAIN", "TEST")
        for layer in data_layers(net, phase)
    }
    parts = []
    for source in sorted(sources):
        if not Path(source).is_dir():
            raise DecError(
                f"{source}: there is no such LevelDB, which {experiment.folder} names; "
                f"`dec data {experiment.name}` makes it"
            )
        tables = sorted((p.name, p.stat().st_size) for p in Path(source).glob("*.ldb"))
        parts.append(json.dumps(leveldb.read_meta(source) or tables))
    return digest(*parts)
