"""`dec finetune`: trains a net on a data set of labelled photos, and evaluates it."""

import json
from pathlib import Path

from dec.base import progress
from dec.classify.evaluate import evaluate
from dec.classify.experiment import Experiment, Files
from dec.classify.validate import Validation
from dec.data.labelled.dataset import DataSet
from dec.engine.runs import Run
from dec.engine.training import Training, best
from dec.nets import caffe_process
from dec.nets.weights import net_shapes, read_weights, say_match

FINAL, HISTORY = "final.caffemodel", "history.json"
RESULTS = (FINAL, "deploy.prototxt", "input.json", "predictions.csv", "metrics.json")
_EVALUATE = "evaluate"  # a stage of a run, after the training


def finetune(
    experiment: Experiment,
    run: Run,
    data: DataSet,
    *,
    device: str = "cpu",
    seed: int | None = None,
    weights: Path | None = None,
    weights_sha256: str | None = None,
    weighted: bool = False,
    patience: int | None = None,
    changes: str = "",
) -> dict:
    """Trains, evaluates, and returns the metrics; skips what is up to date.

    weights: a caffemodel to start from, instead of random weights. weighted: every
    class counts the same in the loss. patience: validations without a better one
    after which training stops; the best weights are the result then. changes: fields
    of the solver, in prototxt's words, instead of the file's.

    An interrupted run goes on from its last snapshot and ends with the same bits as
    one that was not stopped (CPU, same seed and threads).
    """
    files = Files(experiment, run, data, device, seed, weighted, changes)
    start = read_weights(weights, weights_sha256) if weights else None
    key = files.digest(start.sha256 if start else "", json.dumps(patience))
    if run.finished(_EVALUATE, key):
        progress.say(f"{run.path}: up to date")
        return json.loads(run.metrics.read_text(encoding="utf-8"))

    def begin(net) -> dict:
        if start is None:
            return {"weights": None}
        matched = say_match(start, net_shapes(net))
        net.copy_from(str(start.path))
        return {"weights": matched}

    val = Validation((files.score, files.label), data.counts["val"])
    training = Training(
        files, key, FINAL, HISTORY, "training", begin, val, patience=patience
    )
    training.run()
    facts = _facts(training)
    facts |= {"experiment": str(experiment.folder), "changes": changes}
    # In a process of its own: Caffe has the LevelDBs open in the other.
    caffe_process.run(lambda: evaluate(run, files, facts), run.log)
    run.finish(_EVALUATE, key, list(RESULTS))
    return json.loads(run.metrics.read_text(encoding="utf-8"))


def _facts(training: Training) -> dict:
    """What metrics.json holds of a finished training."""
    record, patience = training.read_history(), training.patience
    last = record["iterations"]
    found = best(record["validations"], training.judge) if patience else None
    return {
        "iterations": last,
        "iteration": found["iteration"] if found else last,
        "stopped_early": last < training.stage.solver.max_iter,
        "patience": patience,
        "weights": record["weights"],
        "training_loss": record["loss"],
        "validations": record["validations"],
        "train_seconds": round(record["seconds"], 1),
        "machine": record["machine"],
    }
