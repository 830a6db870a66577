"""The stages of a run in their order: data, phase 1, phase 2, results."""

import json
import shutil
import time
from pathlib import Path

import numpy as np

from dec import caffe_process, progress
from dec.data import leveldb, mnist
from dec.data.atomic import write_text_atomic
from dec.errors import DecError
from dec.experiment import Experiment, Stage
from dec.figure import draw
from dec.machine import machine
from dec.metrics import columns, contingency, match
from dec.phase1 import pretrain
from dec.phase2 import Clustering, Result, remove_state
from dec.prototxt import data_layers, read_net, read_solver
from dec.runs import Run, digest

# Who can make an experiment's LevelDBs; those of others have to be there.
_BUILDERS = {"mnist": mnist.build_leveldbs}

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
    builder = _BUILDERS.get(experiment.name)
    if builder:
        builder(Path("data"), source=source)
    elif source:
        raise DecError(f"{experiment.name}: its LevelDBs are not made by dec")
    return time.monotonic() - start


def run_phase1(
    experiment: Experiment, run: Run, schedule: str, device: str, seed: int | None
) -> tuple[Path, dict[str, float]]:
    """Phase 1 on the LevelDBs that its prototxts name."""
    return pretrain(
        experiment, run, schedule, device, seed, _data_digest(experiment, "layer1")
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
    update_interval (None: what dec_solver.prototxt says).
    """
    solver_file = experiment.folder / "dec_solver.prototxt"
    stage = Stage.read("dec", run, solver_file, options["device"], options["seed"])
    if options["update_interval"] is not None:
        stage.solver.max_iter = options["update_interval"]
    stage.solver.train_state.stage.append("memory")
    del stage.solver.weights[:]  # they are the autoencoder's with k-means centres
    seed = options["seed"]
    seed = max(stage.solver.random_seed, 0) if seed is None else seed
    state = stage.digest(autoencoder, _data_digest(experiment, "dec"), str(seed))
    ends = json.dumps([options["tol"], options["max_rounds"]])
    key = digest(state, ends, experiment.folder / "deploy.prototxt")
    if run.finished("dec", key):
        progress.say("dec: up to date")
        return json.loads(run.metrics.read_text())
    database = Path(data_layers(stage.net, "TEST")[0].data_param.source)
    rows, labels = _rows_and_labels(database)
    preparation = _preparation(database)

    def work() -> None:
        clustering = Clustering(stage, rows, labels, options["tol"])
        result = clustering.run(autoencoder, seed, options["max_rounds"], state)
        run.begin("dec", key)  # from here on the last run's results are replaced
        clustering.net.save(str(run.path / "final.caffemodel"))
        shutil.copy(experiment.folder / "deploy.prototxt", run.path)
        write_text_atomic(run.path / "input.json", json.dumps(preparation) + "\n")
        facts = {"seed": seed, "tol": options["tol"]}
        facts["max_rounds"] = options["max_rounds"]
        _write_results(run, result, labels, facts, before)

    caffe_process.run(work, run.log)
    metrics = json.loads(run.metrics.read_text())
    drawn = [run.picture.name] if _draw(run, database, metrics) else []
    run.finish("dec", key, [*_RESULTS, *drawn])
    if metrics["converged"]:
        remove_state(run.path)
    return metrics


def _draw(run: Run, database: Path, metrics: dict) -> bool:
    table = np.array(metrics["table"]) if "table" in metrics else None
    rows = np.loadtxt(
        run.assignments, delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2
    )
    assigned, confidence = rows[:, 0].astype(int), rows[:, 1]
    order = columns(metrics)
    return draw(run.picture, database, assigned, confidence, table, order)


def _write_results(
    run: Run,
    result: Result,
    labels: np.ndarray | None,
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
    lines = ["row,cluster,probability" + (",label" if labels is not None else "")]
    for i in range(n):
        label = f",{labels[i]}" if labels is not None else ""
        lines.append(f"{i},{result.assigned[i]},{best[i]:.6f}{label}")
    write_text_atomic(run.assignments, "\n".join(lines) + "\n")
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def _preparation(database: Path) -> dict:
    """What new rows need to be like those of the database."""
    meta = leveldb.read_meta(database)
    if meta is None:
        with leveldb.open_reader(database) as reader:
            meta = {"shape": list(reader.shape)}
    return {name: meta[name] for name in ("shape", "scale", "image") if name in meta}


def _rows_and_labels(database: Path) -> tuple[int, np.ndarray | None]:
    """How many rows a LevelDB has, and their labels if all have one."""
    with leveldb.open_reader(database) as reader:
        labels = np.concatenate([y for _, y in reader.batches(size=4096)])
    return len(labels), labels if (labels >= 0).all() else None


def _data_digest(experiment: Experiment, name: str) -> str:
    """Of what the LevelDBs of a net hold, as far as it can be told quickly."""
    folder = experiment.folder
    solver = folder / f"{name}_solver.prototxt"
    net = read_net(
        Path(read_solver(solver).net)
        if solver.exists()
        else folder / f"{name}.prototxt"
    )
    sources = {
        layer.data_param.source
        for phase in ("TRAIN", "TEST")
        for layer in data_layers(net, phase)
    }
    parts = []
    for source in sorted(sources):
        if not Path(source).is_dir():
            raise DecError(
                f"{source}: there is no such LevelDB, which {experiment.folder} names. "
                f"`dec data {experiment.name}` makes those of a known data set."
            )
        tables = sorted((p.name, p.stat().st_size) for p in Path(source).glob("*.ldb"))
        parts.append(json.dumps(leveldb.read_meta(source) or tables))
    return digest(*parts)
