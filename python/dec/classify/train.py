"""`dec finetune`: trains a net on a data set of labelled photos, and evaluates it."""

import json
from pathlib import Path

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.classify import linear
from dec.classify.evaluate import evaluate
from dec.classify.experiment import Experiment, Files
from dec.classify.validate import Validation
from dec.data.labelled.dataset import DataSet
from dec.engine.runs import Run
from dec.engine.training import Training, best
from dec.nets import caffe_process
from dec.nets.weights import Weights, net_shapes, read_weights, say_match

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
    keep: Path | None = None,
) -> dict:
    """Trains, evaluates, and returns the metrics; skips what is up to date.

    weights: a caffemodel to start from, instead of the solver's `weights`, or random
    ones where it has none. weighted: every
    class counts the same in the loss. patience: validations without a better one
    after which training stops; the best weights are the result then. changes: fields
    of the solver, in prototxt's words, instead of the file's. keep: a file for what the
    net says of photos before its last layer, where that layer alone is trained; it is
    not asked again then.

    An interrupted run goes on from its last snapshot and ends with the same bits as
    one that was not stopped (CPU, same seed and threads).
    """
    files = Files(experiment, run, data, device, seed, weighted, changes)
    given, weights = weights is not None, weights or experiment.start()
    start = read_weights(weights, weights_sha256) if weights else None
    key = files.digest(start.sha256 if start else "", json.dumps(patience))
    if run.finished(_EVALUATE, key):
        progress.say(f"{run.path}: up to date")
        return json.loads(run.metrics.read_text(encoding="utf-8"))

    kept = keep if files.is_frozen else None
    if files.is_regression:
        facts = _regression(files, key, start, patience, kept)
    else:
        facts = _training(files, key, start, patience)
    facts |= {"experiment": str(experiment.folder), "changes": changes}
    facts["weights_given"] = given  # or those that the solver names
    # In a process of its own: Caffe has the LevelDBs open in the other.
    caffe_process.run(lambda: evaluate(run, files, facts, kept), run.log)
    run.finish(_EVALUATE, key, list(RESULTS))
    return json.loads(run.metrics.read_text(encoding="utf-8"))


def _training(
    files: Files, key: str, start: Weights | None, patience: int | None
) -> dict:
    """By Caffe's solver; returns what metrics.json holds of it."""

    def begin(net) -> dict:
        if start is None:
            return {"weights": None}
        matched = say_match(start, net_shapes(net))
        net.copy_from(str(start.path))
        return {"weights": matched}

    val = Validation((files.score, files.label), files.data.counts["val"])
    training = Training(
        files, key, FINAL, HISTORY, "training", begin, val, patience=patience
    )
    training.run()
    return _facts(training)


def _regression(
    files: Files,
    key: str,
    start: Weights | None,
    patience: int | None,
    kept: Path | None,
) -> dict:
    """By logistic regression; returns what metrics.json holds of it."""
    if start is None:
        raise DecError(
            f"{files.source}: a logistic regression needs weights to start from; name "
            "them: weights, or --weights"
        )
    if patience:
        raise DecError(
            f"{files.source}: a logistic regression has no validations for --patience"
        )
    run = files.run
    if not run.finished(files.name, key):
        run.begin(files.name, key)
        history = run.path / HISTORY

        def work() -> None:
            facts = linear.train(files, start, FINAL, kept)
            write_text_atomic(history, json.dumps(facts) + "\n")

        caffe_process.run(work, run.log)
        run.finish(files.name, key, [FINAL, HISTORY])
    return json.loads((run.path / HISTORY).read_text(encoding="utf-8"))


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
