"""Phase 2: k-means centres, then rounds of targets and training.

The paper's section 3.1 and the loop of its code. All that grows with the number
of rows n and is held in memory are the code (n x d), the probabilities and the
targets (n x k); the rows themselves stream from the LevelDB.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dec import progress
from dec.data.leveldb import write_rows
from dec.errors import DecError
from dec.experiment import Stage
from dec.kmeans import kmeans
from dec.metrics import scores
from dec.prototxt import data_layers


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
class Result:
    """What phase 2 came to. `assigned` is n, `proba` n x k, one entry a round."""

    assigned: np.ndarray
    proba: np.ndarray
    kmeans: dict
    rounds: list[dict]
    seconds: dict[str, float]
    converged: bool


class Clustering:
    """The loop's state: the net with its weights, and where the next round starts."""

    def __init__(self, stage: Stage, rows: int, labels: np.ndarray | None, tol: float):
        self.stage, self.rows, self.labels, self.tol = stage, rows, labels, tol
        self.interval = stage.solver.max_iter
        self.batch = self._batch("TRAIN")
        self.k = self._clusters()
        self.clock = Clock()
        self.solver = None

    def run(self, autoencoder: Path, seed: int, max_rounds: int) -> Result:
        """Clusters from the autoencoder's weights to convergence."""
        import caffe

        if self.stage.solver.solver_mode:
            caffe.set_mode_gpu()
        caffe.set_random_seed(seed)
        centres, assigned = self._first_centres(autoencoder, seed)
        first = {"seed": seed, **self._scores(assigned)}
        progress.say("k-means   " + _line(first))
        self._write_init(autoencoder, centres)
        rounds, converged, previous = [], False, None
        for number in range(max_rounds + 1):
            _, proba = self._embed()
            assigned = proba.argmax(axis=1)
            self.clock.lap("embed")
            if previous is not None:
                changed = float(np.mean(assigned != previous))
                rounds[-1].update(changed=changed, **self._scores(assigned))
                left = _left(rounds, self.tol)
                progress.say(f"round {number:3} {_line(rounds[-1])}{left}")
                converged = changed < self.tol
            if converged or number == max_rounds:
                break
            previous = assigned
            targets = target_distribution(proba)
            if number == 0:
                self._write_targets(targets)
            self.clock.lap("targets")
            loss = self._train(targets, number)
            rounds.append({"round": number + 1, "loss": loss})
        self.solver.net.save(str(self.stage.run.path / "final.caffemodel"))
        self.clock.lap("write")
        return Result(
            assigned, proba, first, rounds, dict(self.clock.seconds), converged
        )

    def _first_centres(self, autoencoder: Path, seed: int):
        self.stage.write()
        code, _ = self._embed(autoencoder)
        self.clock.lap("embed")
        centres, assigned = kmeans(code, self.k, seed)
        self.clock.lap("kmeans")
        return centres, assigned

    def _write_init(self, autoencoder: Path, centres: np.ndarray) -> None:
        """The weights that round 1 starts from: encoder and k-means centres."""
        import caffe

        net = caffe.Net(str(self.stage.net_file), caffe.TEST, weights=str(autoencoder))
        net.params["loss"][0].data[...] = centres.T
        init = self.stage.run.path / "init.caffemodel"
        net.save(str(init))
        del self.stage.solver.weights[:]
        self.stage.solver.weights.append(str(init))
        self._new_solver(0)
        self.clock.lap("write")

    def _write_targets(self, targets: np.ndarray) -> None:
        """Round 1's targets as a LevelDB, for `caffe train` by hand."""
        write_rows(self.stage.run.path / "train_weight", targets)

    def _embed(self, weights: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Code (n x d) and probabilities (n x k) of all rows, in their order."""
        import caffe

        net = caffe.Net(str(self.stage.net_file), caffe.TEST)
        if weights is None:
            net.share_with(self.solver.net)
        else:
            net.copy_from(str(weights))
        code, proba = [], []
        seen = 0
        while seen < self.rows:
            out = net.forward()
            code.append(net.blobs["output"].data.copy())
            proba.append(out["proba"].copy())
            seen += len(code[-1])
        # The last batch runs on with the first rows again.
        return (
            np.concatenate(code)[: self.rows],
            np.concatenate(proba)[: self.rows],
        )

    def _train(self, targets: np.ndarray, number: int) -> float:
        """One round of SGD; returns its mean loss."""
        start = number * self.batch * self.interval % self.rows
        if number > 0:
            self._new_solver(start)
        self.clock.lap("solver")
        label = self.solver.net.blobs["label"].data
        loss = 0.0
        for row in self._batch_starts(start):
            batch = np.arange(row, row + self.batch) % self.rows
            label[...] = targets[batch].reshape(label.shape)
            self.solver.step(1)
            loss += float(self.solver.net.blobs["loss"].data)
        self.clock.lap("train")
        return loss / self.interval

    def _batch_starts(self, start: int) -> Iterator[int]:
        for i in range(self.interval):
            yield (start + i * self.batch) % self.rows

    def _new_solver(self, start: int) -> None:
        """A new solver (momentum at 0) that goes on with the weights, from a row."""
        import caffe

        for layer in data_layers(self.stage.net, "TRAIN", stage="memory"):
            layer.data_param.seek = f"{start:08d}"
        self.stage.write()
        solver = caffe.get_solver(str(self.stage.solver_file))
        if self.solver is not None:
            solver.net.share_with(self.solver.net)
        self.solver = solver

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


def _line(entry: dict) -> str:
    parts = []
    if "acc" in entry:
        parts.append(f"accuracy {entry['acc']:6.2%}  NMI {entry['nmi']:.4f}")
    if "changed" in entry:
        parts.append(f"loss {entry['loss']:.4f}  changed {entry['changed']:6.2%}")
    return "  ".join(parts)


def _left(rounds: list[dict], tol: float) -> str:
    """A guess at the rounds left, from how fast the changes became fewer."""
    window = 5
    if len(rounds) <= window or not 0 < tol < rounds[-1]["changed"]:
        return ""
    past, now = rounds[-1 - window]["changed"], rounds[-1]["changed"]
    if now >= past:
        return ""
    left = np.log(tol / now) / (np.log(now / past) / window)
    return f"  (about {max(1, round(left))} rounds left)"
