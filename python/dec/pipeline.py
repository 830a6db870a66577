"""The stages of a run in their order: data, phase 1, phase 2, results."""

import json
import time
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from dec import assignments, caffe_process, model, progress
from dec.data import leveldb, sets
from dec.data.atomic import write_text_atomic
from dec.errors import DecError
from dec.experiment import Experiment, Stage, row_width
from dec.figure import draw
from dec.machine import machine
from dec.metrics import class_names, columns, contingency, match
from dec.phase1 import pretrain
from dec.phase2 import Clustering, Result, remove_state
from dec.prototxt import data_layers, fit, read_net, write
from dec.runs import Run, digest

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


def build_data(experiment: Experiment, source: Path | None) -> float:
    """Writes the experiment's LevelDBs below data/; returns the seconds it took."""
    start = time.monotonic()
    sets.build(experiment.name, source)
    return time.monotonic() - start


def run_phase1(
    experiment: Experiment, run: Run, pretraining: str, device: str, seed: int | None
) -> tuple[Path, dict[str, float]]:
    """Phase 1 on the LevelDBs that its prototxts name.

    pretraining: a schedule, or the file of weights that takes its place. Returns the
    autoencoder's weights and the seconds of every stage.
    """
    weights = Path(pretraining)
    if weights.suffix == ".caffemodel":
        model.check(weights)
        progress.say(f"phase 1: starts from {weights}")
        return weights, {}
    first = read_net(experiment.folder / "layer1.prototxt")
    return pretrain(
        experiment, run, pretraining, device, seed, _data_digest(experiment, first)
    )


def run_phase2(
    experiment: Experiment,
    run: Run,
    autoencoder: Path,
    before: dict[str, float],
    options: dict,
) -> dict:
    """Phase 2 and its results; returns the metrics. Skips what is up to date.

    before: seconds of the stages before. options: device, seed, tol, max_rounds,
    kmeans ("within" or "plain");
    solver (None: dec_solver.prototxt), update_interval (None: the solver's max_iter),
    clusters (None: the net's num_center).
    """
    solver_file = options["solver"] or experiment.folder / "dec_solver.prototxt"
    clusters = options["clusters"]
    stage = Stage.read(
        "dec", run, solver_file, options["device"], options["seed"], clusters
    )
    if options["update_interval"] is not None:
        stage.solver.max_iter = options["update_interval"]
    stage.solver.train_state.stage.append("memory")
    del stage.solver.weights[:]  # they are the autoencoder's with k-means centres
    seed = options["seed"]
    seed = max(stage.solver.random_seed, 0) if seed is None else seed
    deploy = read_net(experiment.folder / "deploy.prototxt")
    fit(deploy, row_width(stage.net, stage.source), clusters)
    start = options["kmeans"]
    data = _data_digest(experiment, stage.net)
    state = stage.digest(autoencoder, data, str(seed), start)
    ends = json.dumps([options["tol"], options["max_rounds"]])
    key = digest(state, ends, str(deploy))
    if run.finished("dec", key):
        progress.say("dec: up to date")
        return json.loads(run.metrics.read_text())
    database = Path(data_layers(stage.net, "TEST")[0].data_param.source)
    rows, labels = _rows_and_labels(database)
    preparation = _preparation(database)

    def work() -> None:
        clustering = Clustering(stage, rows, labels, options["tol"], start)
        result = clustering.run(autoencoder, seed, options["max_rounds"], state)
        run.begin("dec", key)  # from here on the last run's results are replaced
        clustering.net.save(str(run.path / "final.caffemodel"))
        write(
            run.path / "deploy.prototxt",
            deploy,
            "Rows in, cluster and probabilities out. Rows are prepared as input.json "
            "says.",
        )
        write_text_atomic(run.path / "input.json", json.dumps(preparation) + "\n")
        facts = {"seed": seed, "tol": options["tol"]}
        facts["max_rounds"] = options["max_rounds"]
        facts["start"] = start
        facts["interval"] = stage.solver.max_iter
        facts["clusters"] = clusters
        facts["method"] = "DEC" if _trains_code(stage.net) else "DEC without backprop"
        if autoencoder.parent != run.path:
            facts["autoencoder"] = str(autoencoder)
        facts["classes"] = (leveldb.read_meta(database) or {}).get("classes")
        names = leveldb.read_names(database)
        _write_results(run, result, labels, names, facts, before)

    caffe_process.run(work, run.log)
    metrics = json.loads(run.metrics.read_text())
    drawn = [run.picture.name] if _draw(run, database, metrics) else []
    run.finish("dec", key, [*_RESULTS, *drawn])
    if metrics["converged"]:
        remove_state(run.path)
    return metrics


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


def _data_digest(experiment: Experiment, net: caffe_pb2.NetParameter) -> str:
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
