"""Phase 2: k-means centres, then rounds of targets and training.

The paper's section 3.1 and the loop of its code. All that grows with the number
of rows n and is held in memory are the code (n x d), the probabilities and the
targets (n x k); the rows themselves stream from the LevelDB.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dec import progress
from dec.data.leveldb import write_rows
from dec.errors import DecError
from dec.experiment import Stage
from dec.kmeans import kmeans
from dec.metrics import scores
from dec.prototxt import data_layers

_SAMPLE = 5000  # rows whose code is kept


def target_distribution(q: np.ndarray) -> np.ndarray:
    """The targets p of the probabilities q, both n x k (the paper's equation 3).

    p_ij is q_ij^2 / f_j, scaled so that every row sums to one; f_j, the size of
    cluster j, is the sum of q_ij over all rows.
    """
    q = q.astype(np.float64)
    size = q.sum(axis=0)
    weight = np.divide(q * q, size, out=np.zeros_like(q), where=size > 0)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Clock:
    """Seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, what: str) -> None:
        """Books the time since the last lap on `what`."""
        now = time.monotonic()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now


@dataclass
class State:
    """What a round starts from, beside the weights; kept on disk between rounds.

    number: rounds done. assigned: n, the clusters before the last of them (empty
    before the second). rounds: what each came to. seconds: of all rounds so far.
    """

    number: int = 0
    assigned: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    first: dict = field(default_factory=dict)
    rounds: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """What phase 2 came to. `assigned` is n, `proba` n x k."""

    assigned: np.ndarray
    proba: np.ndarray
    kmeans: dict
    rounds: list[dict]
    seconds: dict[str, float]
    converged: bool


class Clustering:
    """The loop. `net` holds the weights; every solver shares them."""

    def __init__(self, stage: Stage, rows: int, labels: np.ndarray | None, tol: float):
        self.stage, self.rows, self.labels, self.tol = stage, rows, labels, tol
        self.interval = stage.solver.max_iter
        self.batch = self._batch("TRAIN")
        self.k = self._clusters()
        self.clock = Clock()
        self.folder = stage.run.path

    def run(self, autoencoder: Path, seed: int, max_rounds: int, key: str) -> Result:
        """Clusters from the autoencoder's weights to convergence.

        key: the digest of all that decides a round; a state on disk with the same
        key is gone on from, be it an interrupted run's or a shorter one's.
        """
        import caffe

        if self.stage.solver.solver_mode:
            caffe.set_mode_gpu()
        self.stage.solver.weights.append(str(self.folder / "init.caffemodel"))
        self.stage.write()
        self.net = caffe.Net(str(self.stage.net_file), caffe.TEST)
        state = self._load_state(key) or self._start(autoencoder, seed)
        while True:
            code, proba = self._embed("output", "proba")
            assigned = proba.argmax(axis=1)
            self.clock.lap("embed")
            if state.number > 0:
                self._report(state, assigned)
                if state.rounds[-1].get("changed", 1.0) < self.tol:
                    break
            if state.number == max_rounds:
                break
            if state.number & (state.number - 1) == 0:  # 0, 1, 2, 4, 8, ...
                self._save_sample(f"round_{state.number}", code, proba)
            targets = target_distribution(proba)
            if state.number == 0:
                # For `caffe train` by hand, which does this round from it.
                write_rows(self.folder / "train_weight", targets)
            self.clock.lap("targets")
            loss = self._train(targets, state.number)
            state.number += 1
            state.assigned = assigned
            state.rounds.append({"round": state.number, "loss": loss})
            self._save_state(state, key)
        self._save_sample("end", code, proba)
        self.clock.lap("write")
        converged = bool(state.rounds) and state.rounds[-1]["changed"] < self.tol
        return Result(
            assigned,
            proba,
            state.first,
            state.rounds,
            dict(self.clock.seconds),
            converged,
        )

    def _start(self, autoencoder: Path, seed: int) -> State:
        """k-means centres on the autoencoder's code; writes init.caffemodel."""
        shutil.rmtree(self.folder / "codes", ignore_errors=True)
        self.net.copy_from(str(autoencoder))
        (code,) = self._embed("output")
        self.clock.lap("embed")
        centres, assigned = kmeans(code, self.k, seed)
        self.clock.lap("kmeans")
        self.net.params["loss"][0].data[...] = centres.T
        self.net.save(str(self.folder / "init.caffemodel"))
        first = self._scores(assigned)
        progress.say("k-means   " + _line(first))
        self.clock.lap("write")
        return State(first=first)

    def _report(self, state: State, assigned: np.ndarray) -> None:
        changed = float(np.mean(assigned != state.assigned))
        state.rounds[-1].update(changed=changed, **self._scores(assigned))
        left = _left(state.rounds, self.tol)
        progress.say(f"round {state.number:3} {_line(state.rounds[-1])}{left}")

    def _embed(self, *tops: str) -> list[np.ndarray]:
        """Tops of the TEST net for all rows, in their order: n x their widths."""
        import caffe

        net = caffe.Net(str(self.stage.net_file), caffe.TEST)
        net.share_with(self.net)
        parts, seen = [[] for _ in tops], 0
        while seen < self.rows:
            net.forward()
            for part, top in zip(parts, tops, strict=True):
                part.append(net.blobs[top].data.copy())
            seen += len(parts[0][-1])
        # The last batch runs on with the first rows again.
        return [np.concatenate(part)[: self.rows] for part in parts]

    def _save_sample(self, name: str, code: np.ndarray, proba: np.ndarray) -> None:
        """Keeps some rows' code and probabilities, to look at how they moved."""
        rows = np.random.default_rng(0).permutation(self.rows)[:_SAMPLE]
        folder = self.folder / "codes"
        folder.mkdir(exist_ok=True)
        np.savez(
            folder / f"{name}.npz",
            rows=rows,
            code=code[rows],
            proba=proba[rows],
            sizes=proba.sum(axis=0, dtype=np.float64),
        )

    def _train(self, targets: np.ndarray, number: int) -> float:
        """One round of SGD, momentum from 0; returns its mean loss."""
        import caffe

        start = number * self.batch * self.interval % self.rows
        for layer in data_layers(self.stage.net, "TRAIN"):
            layer.data_param.seek = f"{start:08d}"
        self.stage.write()
        solver = caffe.get_solver(str(self.stage.solver_file))
        solver.net.share_with(self.net)
        self.clock.lap("solver")
        label = solver.net.blobs["label"].data
        loss = 0.0
        for i in range(self.interval):
            at = start + i * self.batch
            batch = np.arange(at, at + self.batch) % self.rows
            label[...] = targets[batch].reshape(label.shape)
            solver.step(1)
            loss += float(solver.net.blobs["loss"].data)
        self.clock.lap("train")
        return loss / self.interval

    def _save_state(self, state: State, key: str) -> None:
        """Keeps weights and state, so that a kill loses one round at most."""
        state.seconds = self.clock.seconds
        model = self.folder / f"dec_round_{state.number}.caffemodel"
        self.net.save(str(model))
        partial = self.folder / "dec_state.partial.npz"
        facts = {name: v for name, v in vars(state).items() if name != "assigned"}
        np.savez(
            partial, assigned=state.assigned, facts=json.dumps({"key": key, **facts})
        )
        os.replace(partial, self.folder / "dec_state.npz")
        for old in self.folder.glob("dec_round_*.caffemodel"):
            if old != model:
                old.unlink()
        self.clock.lap("write")

    def _load_state(self, key: str) -> State | None:
        """The state on disk and its weights, if it belongs to this very run."""
        try:
            with np.load(self.folder / "dec_state.npz") as file:
                facts = json.loads(str(file["facts"]))
                state = State(assigned=file["assigned"])
        except (FileNotFoundError, KeyError, ValueError, BadZipFile):
            return None
        if facts.pop("key") != key:
            return None
        vars(state).update(facts)
        model = self.folder / f"dec_round_{state.number}.caffemodel"
        if not model.exists():
            return None
        self.net.copy_from(str(model))
        self.clock.seconds = dict(state.seconds)
        progress.say(f"dec: goes on after round {state.number}")
        return state

    def _batch(self, phase: str) -> int:
        layers = data_layers(self.stage.net, phase)
        if not layers:
            raise DecError(f"{self.stage.source}: its net has no Data layer in {phase}")
        return layers[0].data_param.batch_size

    def _clusters(self) -> int:
        for layer in (*self.stage.net.layer, *self.stage.net.layers):
            if layer.HasField("multi_t_loss_param"):
                return layer.multi_t_loss_param.num_center
        raise DecError(f"{self.stage.source}: its net has no MultiTLoss layer")

    def _scores(self, assigned: np.ndarray) -> dict[str, float]:
        if self.labels is None:
            return {}
        return scores(self.labels, assigned, self.k)


def remove_state(folder: Path) -> None:
    """Removes what a run that has ended would go on from."""
    (folder / "dec_state.npz").unlink(missing_ok=True)
    for model in folder.glob("dec_round_*.caffemodel"):
        model.unlink()


def _line(entry: dict) -> str:
    parts = []
    if "acc" in entry:
        parts.append(f"accuracy {entry['acc']:6.2%}  NMI {entry['nmi']:.4f}")
    if "changed" in entry:
        parts.append(f"loss {entry['loss']:.4f}  changed {entry['changed']:6.2%}")
    return "  ".join(parts)


def _left(rounds: list[dict], tol: float) -> str:
    """A guess at the rounds left: the changes of the last ones go on to decay."""
    changed = np.array([entry["changed"] for entry in rounds[-10:]])
    if len(changed) < 5 or tol <= 0 or (changed <= tol).any():
        return ""
    slope, _ = np.polyfit(np.arange(len(changed)), np.log(changed), 1)
    if slope > -0.005:
        return ""
    left = np.log(tol / changed[-3:].mean()) / slope
    return f"  (about {max(1, round(left))} rounds left)"
