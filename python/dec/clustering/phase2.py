"""Phase 2: k-means centres, then rounds of targets and training.

The paper's section 3.1 and the loop of its code. All that grows with the number
of rows n and is held in memory are the code (n x d), the probabilities and the
targets (n x k); the rows themselves stream from the LevelDB.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.clustering.embedding import Embedding
from dec.clustering.graph import kmeans_graph
from dec.clustering.kmeans import kmeans, rows_of_restarts
from dec.clustering.state import Clock, State, save_sample
from dec.clustering.within import kmeans_within, partition
from dec.data.leveldb import write_rows
from dec.engine.experiment import Stage, clusters_of
from dec.nets.prototxt import data_layers
from dec.scores.clusters import scores

_BLOCK = 65536  # rows whose targets are computed in one go


def target_distribution(q: np.ndarray) -> np.ndarray:
    """The targets p of the probabilities q, both n x k (the paper's equation 3).

    p_ij is q_ij^2 / f_j, scaled so that every row sums to one; f_j, the size of
    cluster j, is the sum of q_ij over all rows.
    """
    size = q.sum(axis=0, dtype=np.float64)
    targets = np.empty_like(q, dtype=np.float32)
    for at in range(0, len(q), _BLOCK):
        part = q[at : at + _BLOCK].astype(np.float64)
        weight = np.divide(part * part, size, out=np.zeros_like(part), where=size > 0)
        targets[at : at + _BLOCK] = weight / weight.sum(axis=1, keepdims=True)
    return targets


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

    def __init__(
        self,
        stage: Stage,
        rows: int,
        labels: np.ndarray | None,
        tol: float,
        start: str,
    ):
        """start: what gives the first centres, the k-means "within" or "plain", or
        "graph", whose clusters the first rounds aim at, too."""
        self.stage, self.rows, self.labels, self.tol = stage, rows, labels, tol
        self.start = start
        self.interval = stage.solver.max_iter
        self.batch = self._batch("TRAIN")
        self.k = clusters_of(stage.net, stage.source)
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
        self.embedding = Embedding(self.stage, self.net, self.rows)
        state = self._state(key, max_rounds) or self._start(autoencoder, seed)
        while True:
            code, proba = self.embedding.tops("output", "proba")
            assigned = proba.argmax(axis=1)
            self.clock.lap("embed")
            if state.number > 0:
                self._report(state, assigned)
                if state.rounds[-1]["changed"] < self.tol:
                    break
            if state.number == max_rounds:
                break
            if state.number & (state.number - 1) == 0:  # 0, 1, 2, 4, 8, ...
                save_sample(self.folder, f"round_{state.number}", code, proba)
            targets = self._targets(state, proba)
            if state.number == 0:
                # For `caffe train` by hand, which does this round from it.
                write_rows(self.folder / "train_weight", targets)
            self.clock.lap("targets")
            loss = self._train(targets, state.number)
            state.number += 1
            state.assigned = assigned
            state.rounds.append({"round": state.number, "loss": loss})
            state.seconds = self.clock.seconds
            state.save(self.folder, self.net, key)
            self.clock.lap("write")
            del code, proba, targets  # before there are others
        save_sample(self.folder, "end", code, proba)
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

    def _targets(self, state: State, proba: np.ndarray) -> np.ndarray:
        """n x k. The graph's clusters, while the net still comes nearer to them."""
        if len(state.aim):
            away = [entry["away"] for entry in state.rounds[-2:]]
            if len(away) == 2 and away[1] > away[0] - self.tol:
                state.aim = state.aim[:0]
        if len(state.aim):
            return np.eye(self.k, dtype=np.float32)[state.aim]
        return target_distribution(proba)

    def _state(self, key: str, max_rounds: int) -> State | None:
        """Where this very run was left, if it was."""
        state = State.load(self.folder, self.net, key, max_rounds)
        if state:
            self.clock.seconds = dict(state.seconds)
            progress.say(f"dec: goes on after round {state.number}")
        return state

    def _start(self, autoencoder: Path, seed: int) -> State:
        """k-means centres on the autoencoder's code; writes init.caffemodel."""
        shutil.rmtree(self.folder / "codes", ignore_errors=True)
        self.net.copy_from(str(autoencoder))
        layer = "" if self.start == "plain" else self.embedding.code_layer()
        (code,) = self.embedding.tops("output")
        self.embedding.check(code, self.k)
        self.clock.lap("embed")
        aim = np.empty(0, np.int64)
        if self.start == "plain":
            centres, assigned = kmeans(code, self.k, seed)
        else:
            if self.start == "graph":
                aim = kmeans_graph(code, self.k, seed)
                found = partition(code.astype(np.float64), aim, self.k)
            else:
                found = kmeans_within(code, self.k, seed)
            basis = self.embedding.change_basis(layer, found.basis)
            centres, assigned = found.centres @ basis, found.assigned
        self.clock.lap("kmeans")
        seconds = round(self.clock.total(), 2)
        self.net.params["loss"][0].data[...] = centres.T
        self.net.save(str(self.folder / "init.caffemodel"))
        self.clock.lap("write")
        first = {**self._scores(assigned), "seconds": seconds}
        self.clock.lap("scores")
        if rows_of_restarts(self.rows) < self.rows:
            first["restarts_on"] = rows_of_restarts(self.rows)
        title = "graph" if self.start == "graph" else "k-means"
        progress.say(f"{title:<10}" + _line(first))
        return State(first=first, aim=aim)

    def _report(self, state: State, assigned: np.ndarray) -> None:
        changed = float(np.mean(assigned != state.assigned))
        seconds = round(self.clock.total(), 2)
        scores = self._scores(assigned)
        state.rounds[-1].update(changed=changed, seconds=seconds, **scores)
        if len(state.aim):
            state.rounds[-1]["away"] = float(np.mean(assigned != state.aim))
        self.clock.lap("scores")
        left = _left(state.rounds, self.tol)
        progress.say(f"round {state.number:3} {_line(state.rounds[-1])}{left}")

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
        loss = 0.0
        for i in range(self.interval):
            at = start + i * self.batch
            batch = np.arange(at, at + self.batch) % self.rows
            # Asked for each time: on a GPU that is what makes it be copied there.
            label = solver.net.blobs["label"].data
            label[...] = targets[batch].reshape(label.shape)
            solver.step(1)
            loss += float(solver.net.blobs["loss"].data)
        self.clock.lap("train")
        return loss / self.interval

    def _batch(self, phase: str) -> int:
        layers = data_layers(self.stage.net, phase)
        if not layers:
            raise DecError(f"{self.stage.source}: its net has no Data layer in {phase}")
        return layers[0].data_param.batch_size

    def _scores(self, assigned: np.ndarray) -> dict[str, float]:
        if self.labels is None:
            return {}
        return scores(self.labels, assigned, self.k)


def _line(entry: dict) -> str:
    parts = []
    if "acc" in entry:
        parts.append(f"accuracy {entry['acc']:6.2%}  NMI {entry['nmi']:.4f}")
    if "changed" in entry:
        parts.append(f"loss {entry['loss']:.4f}  changed {entry['changed']:6.2%}")
    if "away" in entry:
        parts.append(f"away from the graph's {entry['away']:6.2%}")
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
