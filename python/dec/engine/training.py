"""A training by pycaffe's solver, which can be stopped at any moment and gone on with.

It ends with the same bits as one that was not stopped (CPU, same seed and threads):
it goes on from Caffe's last snapshot, which holds the weights, the solver's state and
the random generator, and from the place in the data where that was (dec.engine.place).
What Caffe does not keep is in a file beside the snapshots, the history:

    iterations, seconds   of the last snapshot, or of the end
    loss                  [iteration, loss] of the iterations that Caffe displays
    validations           what every validation found, with its iteration
    machine               what it was computed on
    and what `begin` gave

A snapshot that is not noted there is none.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dec.base import progress
from dec.base.atomic import partial_path, write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.engine import place
from dec.engine.experiment import Stage
from dec.engine.snapshots import Snapshots
from dec.nets import caffe_process

_POINTS = 2000  # of the loss curve, at most
_KEEP = 2  # snapshots: one in reserve, should the disk lose the other
_GLANCE = 0.2  # seconds between two looks at the loss, and for Ctrl-C


class Judge(Protocol):
    """Judges the net at every test_interval of the solver, and at the end."""

    def measure(self, net) -> dict:
        """What is found by the solver's first test net, with the present weights."""

    def score(self, found: dict) -> Any:
        """More is better."""

    def words(self, found: dict) -> str:
        """For the progress bar."""


@dataclass(frozen=True)
class Training:
    """What is trained, and how far.

    stage: its solver and net. key: the digest of all that decides the result. result:
    the file that gets the weights. history: the file that tells the course (see
    above). title: for messages. begin: is called with the new net, may put weights
    into it, and returns what the history shall hold of that. judge: validates.
    patience: validations without a better one after which training stops; the result
    are the best weights then. feed: is called with the solver before each iteration,
    and fills the net's Input layers, by nothing but the iteration and the weights.
    """

    stage: Stage
    key: str
    result: str
    history: str
    title: str
    begin: Callable[[Any], dict] | None = None
    judge: Judge | None = None
    patience: int | None = None
    feed: Callable[[Any], None] | None = None

    def run(self) -> dict:
        """Trains, or goes on, unless it is done; returns the record in stages.json.

        It has the seconds that training took, without those between two calls. Raises
        DecError for a solver that cannot be gone on with, when training diverges, and
        for what Caffe says. KeyboardInterrupt passes; the place is kept.
        """
        stage, run, snapshots = self.stage, self.stage.run, self.snapshots
        self._check()
        if record := run.finished(stage.name, self.key):
            progress.say(f"{self.title}: up to date")
            return record
        if not run.begin(stage.name, self.key):
            snapshots.clear()
            (run.path / self.history).unlink(missing_ok=True)
        caffe_process.run(_Loop(self).run, run.log)
        seconds = self.read_history()["seconds"]
        files = [self.result, self.history]
        record = run.finish(stage.name, self.key, files, seconds=seconds)
        snapshots.clear()
        return record

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.stage, self.result)

    def read_history(self) -> dict:
        """The course of the training, as far as it is noted."""
        return json.loads((self.stage.run.path / self.history).read_text("utf-8"))

    def _check(self) -> None:
        stage, solver = self.stage, self.stage.solver
        if self.judge and solver.test_interval and not solver.test_iter:
            raise DecError(f"{stage.source}: test_interval without test_iter")
        if self.patience and not solver.test_interval:
            raise DecError(
                f"{stage.source}: without test_interval there is no validation, so "
                "training cannot stop by it"
            )
        if solver.snapshot_format == solver.HDF5:
            raise DecError(
                f"{stage.source}: dec does not go on from snapshots in HDF5; leave "
                "snapshot_format out"
            )


class _Loop:
    """The training itself, in Caffe's process."""

    def __init__(self, training: Training):
        self.training, self.stage = training, training.stage
        self.snapshots = training.snapshots
        self.setting = training.stage.solver
        self.record = _new_record()
        self.noted = 0  # the iteration of the history on disk

    def run(self) -> None:
        """Trains to the end; the weights are then in the result's file."""
        self._start()
        try:
            self._train()
            self._keep_weights()
            self._note()
        except KeyboardInterrupt:
            # A second Ctrl-C shall not cut off what keeps the place.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._keep_place()
            raise

    def _start(self) -> None:
        import caffe

        begun = time.monotonic()
        at = self._last_noted()
        batches = at * max(1, self.setting.iter_size)
        sought: set[str] = set()
        if at:
            stages = self.setting.train_state.stage
            sought = place.seek(self.stage.net, batches, stages)
        self.stage.write()
        # Caffe's tool takes the mode from the solver's file, pycaffe does not.
        if self.setting.solver_mode == self.setting.GPU:
            caffe.set_mode_gpu()
        self.solver = caffe.get_solver(str(self.stage.solver_file))
        begin = self.training.begin
        facts = begin(self.solver.net) if begin else {}
        if at:
            progress.say(f"{self.training.title}: goes on from iteration {at:,}")
            place.read_past(self.solver.net, batches, sought)
            # After that, since it sets the random generator too.
            self.solver.restore(str(self.snapshots.state_file(at)))
        self.record |= {**facts, "machine": machine()}
        self.noted = at
        self.since = begun - self.record["seconds"]

    def _last_noted(self) -> int:
        """Takes over the history up to the last snapshot noted in it; its iteration.

        0 without one. Removes all other snapshots.
        """
        there = self.snapshots.iterations()
        try:
            record = self.training.read_history()
        except (OSError, ValueError):
            record = {"iterations": 0}
        at = max((s for s in there if s <= record["iterations"]), default=0)
        if at:
            for curve in ("loss", "validations"):
                record[curve] = [x for x in record[curve] if _iteration(x) <= at]
            self.record = record | {"iterations": at}
            best_file = self.snapshots.best_file(self._best())
            if self.training.patience and self._best() and not best_file.exists():
                at, self.record = 0, _new_record()
        if there and not at:
            progress.say(
                f"{self.training.title}: starts anew, as what belongs to its snapshots "
                f"is missing ({self.training.history}, or the best weights so far)"
            )
        before = [iteration for iteration in there if iteration <= at]
        self.snapshots.clear(but=before, best=self._best())
        return at

    def _train(self) -> None:
        solver, total = self.solver, self.setting.max_iter
        steps, title = 1, f"{self.training.title:7}"
        with progress.bar(total, title, initial=solver.iter) as bar:
            while True:
                if self._is_due():
                    self._validate()
                if solver.iter >= total or self._is_enough():
                    break
                begun = time.monotonic()
                steps = min(steps, self._next_stop() - solver.iter)
                if self.training.feed:
                    steps = 1
                    self.training.feed(solver)
                solver.step(steps)
                loss = self._look()
                bar.set_postfix_str(self._words(loss), refresh=False)
                bar.update(steps)
                if self.setting.snapshot and solver.iter % self.setting.snapshot == 0:
                    self._note()
                # The bits do not depend on how many iterations are done in one go.
                fast = time.monotonic() - begun < _GLANCE / 2
                steps = 2 * steps if fast else max(1, steps // 2)

    def _next_stop(self) -> int:
        """The next iteration after which there is something to do."""
        every = [self.setting.snapshot, self._between_points()]
        if self.training.judge:
            every.append(self.setting.test_interval)
        at = self.solver.iter
        return min([self.setting.max_iter, *((at // n + 1) * n for n in every if n)])

    def _look(self) -> float:
        """The loss of the last iteration; DecError where it is no number.

        Kept, if it is a point of the curve and not noted yet.
        """
        loss = _loss(self.solver.net)
        at, points = self.solver.iter, self.record["loss"]
        if not np.isfinite(loss):
            raise DecError(
                f"{self.training.title}: the loss is {loss} after {at} iterations: "
                f"training diverged. Try a smaller base_lr in {self.stage.source}; "
                "rows with NaN in them do the same (`dec data verify` tells)."
            )
        if at % self._between_points() == 0 and (not points or points[-1][0] < at):
            points.append([at, round(loss, 5)])
        return loss

    def _between_points(self) -> int:
        return max(1, self.setting.display, self.setting.max_iter // _POINTS)

    def _words(self, loss: float) -> str:
        words, done = f"loss {loss:.4f}", self.record["validations"]
        return f"{words}, {self.training.judge.words(done[-1])}" if done else words

    def _is_due(self) -> bool:
        """Whether this iteration is to be validated, and has not been."""
        at, interval = self.solver.iter, self.setting.test_interval
        done = self.record["validations"]
        if not (self.training.judge and interval and at):
            return False
        if done and done[-1]["iteration"] >= at:
            return False
        return at % interval == 0 or at >= self.setting.max_iter

    def _validate(self) -> None:
        net = self.solver.test_nets[0]
        net.share_with(self.solver.net)
        found = self.training.judge.measure(net)
        done = [*self.record["validations"], {"iteration": self.solver.iter, **found}]
        if self.training.patience and self._best_of(done) is done[-1]:
            self.solver.net.save(str(self.snapshots.best_file(self.solver.iter)))
        self.record["validations"] = done

    def _best_of(self, validations: list[dict]) -> dict | None:
        return best(validations, self.training.judge)

    def _best(self) -> int:
        """The iteration of the best validation, 0 without one."""
        found = self._best_of(self.record["validations"])
        return found["iteration"] if found else 0

    def _is_enough(self) -> bool:
        done = self.record["validations"]
        if not (self.training.patience and done):
            return False
        behind = len(done) - 1 - done.index(self._best_of(done))
        return behind >= self.training.patience

    def _keep_place(self) -> None:
        """A snapshot of this very iteration: Python sees Ctrl-C when a step is over."""
        if self.solver.iter > self.noted:
            self._look()  # weights that have diverged are not kept
            self.solver.snapshot()
            self._note()

    def _note(self) -> None:
        """Writes the history of the snapshot at this iteration, or of the end."""
        self.record["iterations"] = self.solver.iter
        self.record["seconds"] = time.monotonic() - self.since
        path = self.stage.run.path / self.training.history
        write_text_atomic(path, json.dumps(self.record) + "\n")
        self.noted = self.solver.iter
        last = self.snapshots.iterations()[-_KEEP:]
        self.snapshots.clear(but=last, best=self._best())

    def _keep_weights(self) -> None:
        to = self.stage.run.path / self.training.result
        if not self.training.patience:
            self.solver.net.save(str(to))
            return
        partial = partial_path(to)
        shutil.copyfile(self.snapshots.best_file(self._best()), partial)
        os.replace(partial, to)


def best(validations: list[dict], judge: Judge) -> dict | None:
    """The first of the validations with the highest score."""
    return max(validations, key=judge.score, default=None) if validations else None


def _new_record() -> dict:
    return {"iterations": 0, "seconds": 0.0, "loss": [], "validations": []}


def _iteration(entry: list | dict) -> int:
    """Of a point of the loss's curve or of a validation."""
    return entry["iteration"] if isinstance(entry, dict) else entry[0]


def _loss(net) -> float:
    """What the solver minimizes, of the last iteration: all losses, weighted."""
    weights = {name: w for name, w in net.blob_loss_weights.items() if w}
    return sum(float(np.sum(net.blobs[name].data)) * w for name, w in weights.items())
