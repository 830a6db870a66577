"""`dec finetune`: trains a net on a data set of labelled photos, and evaluates it."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import partial_path, write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.classify.evaluate import evaluate
from dec.classify.experiment import Experiment, Files
from dec.classify.validate import validate
from dec.data.labelled.dataset import DataSet
from dec.engine import caffe_process
from dec.engine.runs import Run
from dec.engine.weights import Weights, net_shapes, read_weights, say_match

FINAL, HISTORY = "final.caffemodel", "history.json"
RESULTS = (FINAL, "deploy.prototxt", "input.json", "predictions.csv", "metrics.json")
_KEEP = 2  # snapshots
_TRAIN, _EVALUATE = "train", "evaluate"  # stages of a run
_POINTS = 2000  # of the loss curve, at most


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
    if patience and not files.solver.test_interval:
        raise DecError(
            f"{experiment.folder}: without test_interval in the solver there is no "
            "validation, so training cannot stop by it"
        )
    key = files.digest(start.sha256 if start else "", json.dumps(patience))
    if run.finished(_EVALUATE, key):
        progress.say(f"{run.path}: up to date")
        return json.loads(run.metrics.read_text(encoding="utf-8"))
    if not run.finished(_TRAIN, key):
        if run.begin(_TRAIN, key) is None:
            _remove_snapshots(run, keep=0)
            _remove_bests(run)
            (run.path / HISTORY).unlink(missing_ok=True)
        files.write()
        caffe_process.run(Training(files, start, patience).run, run.log)
        run.finish(_TRAIN, key, [FINAL, HISTORY])
        _remove_snapshots(run, keep=0)
        _remove_bests(run)
    facts = _facts(run, files, patience)
    facts |= {"experiment": str(experiment.folder), "changes": changes}
    # In a process of its own: Caffe has the LevelDBs open in the other.
    caffe_process.run(lambda: evaluate(run, files, facts), run.log)
    run.finish(_EVALUATE, key, list(RESULTS))
    return json.loads(run.metrics.read_text(encoding="utf-8"))


def _facts(run: Run, files: Files, patience: int | None) -> dict:
    """What metrics.json holds of a finished training."""
    record = json.loads((run.path / HISTORY).read_text(encoding="utf-8"))
    last = record["iterations"]
    chosen = best(record["validations"])["iteration"] if patience else last
    return {
        "iterations": last,
        "iteration": chosen,
        "stopped_early": last < files.solver.max_iter,
        "patience": patience,
        "weights": record["weights"],
        "training_loss": record["loss"],
        "validations": record["validations"],
        "train_seconds": round(record["seconds"], 1),
        "machine": record["machine"],
    }


def best(validations: list[dict]) -> dict | None:
    """The validation of the highest accuracy; of the lowest loss among equals."""
    return max(validations, key=lambda v: (v["accuracy"], -v["loss"]), default=None)


class Training:
    """One training, which can be stopped and gone on with."""

    def __init__(self, files: Files, start: Weights | None, patience: int | None):
        self.files, self.start, self.patience = files, start, patience
        self.path = files.run.path
        self.record = {"iterations": 0, "seconds": 0.0, "loss": [], "validations": []}
        self.record |= {"weights": None, "machine": None}

    def run(self) -> None:
        """Trains to the end; the weights are then in FINAL."""
        import caffe

        # Caffe's tool takes the mode from the solver's file, pycaffe does not.
        if self.files.solver.solver_mode == self.files.solver.GPU:
            caffe.set_mode_gpu()
        solver = caffe.get_solver(str(self.files.solver_file))
        if self.start:
            matched = say_match(self.start, net_shapes(solver.net))
            solver.net.copy_from(str(self.start.path))
        else:
            matched = None
        self._restore(solver)
        self.record |= {"weights": matched, "machine": machine()}
        clock = time.monotonic() - self.record["seconds"]

        def save() -> None:
            self.record["iterations"] = solver.iter
            self.record["seconds"] = time.monotonic() - clock
            text = json.dumps(self.record) + "\n"
            write_text_atomic(self.path / HISTORY, text)
            _remove_snapshots(self.files.run, keep=_KEEP)
            _remove_bests(self.files.run, all_but=self._best())

        try:
            self._train(solver, save)
        except KeyboardInterrupt:
            # Iterations are whole here: Python sees the signal between two of them.
            if solver.iter > self.record["iterations"]:
                self._note_loss(solver)
                solver.snapshot()
                save()
            raise
        self._keep(solver.net)
        save()

    def _train(self, solver, save: Callable[[], None]) -> None:
        total, every = self.files.solver.max_iter, self.files.solver.snapshot
        net, rows = solver.net, self.files.data.counts["val"]
        layers = self.files.score, self.files.label
        with progress.bar(total, "training", initial=solver.iter) as bar:
            while True:
                if self._due(solver.iter):
                    solver.test_nets[0].share_with(net)
                    found = validate(solver.test_nets[0], layers, sum(rows), len(rows))
                    self._validated(solver, found)
                    words = f"val {found['accuracy']:.1%}"
                    bar.set_postfix_str(words, refresh=False)
                if solver.iter >= total or self._enough():
                    break
                solver.step(1)
                loss = float(np.mean(net.blobs["loss"].data))
                if not np.isfinite(loss):
                    raise DecError(
                        f"the loss is {loss} after {solver.iter} iterations: training "
                        f"diverged. Try a smaller base_lr in {self.files.source}."
                    )
                self._note_loss(solver)
                bar.update()
                if every and solver.iter % every == 0:
                    save()

    def _note_loss(self, solver) -> None:
        """Of the last iteration, if it is a point of the curve and not noted yet.

        Python sees Ctrl-C when a step is over, so before its loss is noted.
        """
        setting, points = self.files.solver, self.record["loss"]
        between = max(1, setting.display, setting.max_iter // _POINTS)
        noted = points[-1][0] if points else 0
        if solver.iter % between == 0 and solver.iter > noted:
            loss = float(np.mean(solver.net.blobs["loss"].data))
            points.append([solver.iter, round(loss, 5)])

    def _due(self, iteration: int) -> bool:
        interval = self.files.solver.test_interval
        done = self.record["validations"]
        if not interval or (done and done[-1]["iteration"] >= iteration):
            return False
        last = iteration >= self.files.solver.max_iter
        return iteration > 0 and (iteration % interval == 0 or last)

    def _validated(self, solver, found: dict) -> None:
        self.record["validations"].append({"iteration": solver.iter, **found})
        if self.patience and self._best() == solver.iter:
            solver.net.save(str(_best_file(self.files.run, solver.iter)))

    def _best(self) -> int:
        """The iteration of the best validation, 0 without one."""
        found = best(self.record["validations"])
        return found["iteration"] if found else 0

    def _enough(self) -> bool:
        found = self.record["validations"]
        if not (self.patience and found):
            return False
        return len(found) - 1 - found.index(best(found)) >= self.patience

    def _keep(self, net) -> None:
        if not self.patience:
            net.save(str(self.path / FINAL))
            return
        partial = partial_path(self.path / FINAL)
        shutil.copyfile(_best_file(self.files.run, self._best()), partial)
        os.replace(partial, self.path / FINAL)

    def _restore(self, solver) -> None:
        """Goes on from the last snapshot whose history is there too."""
        try:
            text = (self.path / HISTORY).read_text(encoding="utf-8")
            record = json.loads(text)
        except (OSError, ValueError):
            _remove_snapshots(self.files.run, keep=0)
            return
        whole = [s for s in _snapshots(self.files.run) if s <= record["iterations"]]
        for state in _snapshots(self.files.run):
            if state not in whole:
                _remove(self.files.run, state)
        if not whole:
            return
        at = whole[-1]
        record["loss"] = [point for point in record["loss"] if point[0] <= at]
        record["validations"] = [
            v for v in record["validations"] if v["iteration"] <= at
        ]
        self.record = record | {"iterations": at}
        progress.say(f"training: goes on from iteration {at:,}")
        _pass_by(solver.net, at * max(1, self.files.solver.iter_size))
        # After that, since it sets the random generator too.
        solver.restore(str(self.path / f"snapshot_iter_{at}.solverstate"))


def _pass_by(net, batches: int) -> None:
    """Reads the batches that have been trained on already.

    The data layer draws its crops and mirrors from a generator of its own, which no
    snapshot holds: after as many batches it is where it was.
    """
    data = next(i for i, layer in enumerate(net.layers) if layer.type == "Data")
    with progress.bar(batches, "finding the place", " batches") as bar:
        for _ in range(batches):
            net._forward(data, data)
            bar.update()


def _snapshots(run: Run) -> list[int]:
    """The iterations of the whole snapshots, in order."""
    # Caffe writes the weights first: where there is a state, both are there.
    states = run.path.glob("snapshot_iter_*.solverstate")
    return sorted(int(path.stem.rsplit("_", 1)[1]) for path in states)


def _remove_snapshots(run: Run, keep: int) -> None:
    for state in _snapshots(run)[: -keep if keep else None]:
        _remove(run, state)
    if not keep:
        for path in run.path.glob("snapshot_iter_*.caffemodel"):
            path.unlink()


def _remove(run: Run, iteration: int) -> None:
    for suffix in ("solverstate", "caffemodel"):
        path = run.path / f"snapshot_iter_{iteration}.{suffix}"
        path.unlink(missing_ok=True)


def _best_file(run: Run, iteration: int) -> Path:
    return run.path / f"best_iter_{iteration}.caffemodel"


def _remove_bests(run: Run, all_but: int = 0) -> None:
    for path in run.path.glob("best_iter_*.caffemodel"):
        if path != _best_file(run, all_but):
            path.unlink()
