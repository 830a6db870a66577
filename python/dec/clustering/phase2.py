"""Phase 2: k-means centres, then rounds of targets and training.

The paper's section 3.1 and the loop of its code. All that grows with the number
of rows n and is held in memory are the code (n x d), the probabilities and the
targets (n x k); the rows themselves stream from the LevelDB.
"""

import json
import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.clustering.kmeans import kmeans, rows_of_restarts
from dec.clustering.within import kmeans_within
from dec.data.leveldb import write_rows
from dec.engine.experiment import Stage, clusters_of
from dec.engine.forward import over_database
from dec.engine.prototxt import data_layers
from dec.scores.clusters import scores

_SAMPLE = 5000  # rows whose code is kept
_BLOCK = 65536  # rows whose targets are computed in one go
_MANY = 500_000  # rows whose embedding takes long enough for a bar


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
class Clock:
    """Seconds by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, what: str) -> None:
        """Books the time since the last lap on `what`."""
        now = time.monotonic()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now

    def total(self) -> float:
        """All of it but scoring, which clusters nothing."""
        return sum(s for what, s in self.seconds.items() if what != "scores")


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

    def __init__(
        self,
        stage: Stage,
        rows: int,
        labels: np.ndarray | None,
        tol: float,
        start: str,
    ):
        """start: "within" or "plain", the k-means that gives the first centres."""
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
        state = self._load_state(key, max_rounds) or self._start(autoencoder, seed)
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
            del code, proba, targets  # before there are others
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
        layer = self._code_layer() if self.start == "within" else ""
        (code,) = self._embed("output")
        self._check_finite(code)
        self._check_different(code)
        self.clock.lap("embed")
        if layer:
            found = kmeans_within(code, self.k, seed)
            basis = found.basis_for_training()
            self._change_basis(layer, basis)
            centres, assigned = found.centres @ basis, found.assigned
        else:
            centres, assigned = kmeans(code, self.k, seed)
        self.clock.lap("kmeans")
        seconds = round(self.clock.total(), 2)
        self.net.params["loss"][0].data[...] = centres.T
        self.net.save(str(self.folder / "init.caffemodel"))
        self.clock.lap("write")
        first = {**self._scores(assigned), "seconds": seconds}
        self.clock.lap("scores")
        if rows_of_restarts(self.rows) < self.rows:
            first["restarts_on"] = rows_of_restarts(self.rows)
        progress.say("k-means   " + _line(first))
        return State(first=first)

    def _code_layer(self) -> str:
        """The layer whose weights can give the code another basis, or DecError."""
        made_by = [name for name, t in self.net.top_names.items() if "output" in t]
        types = dict(zip(self.net._layer_names, self.net.layers, strict=True))
        (*_, layer) = made_by
        turned = [x.inner_product_param.transpose for x in self.stage.net.layer]
        if len(made_by) > 1 or types[layer].type != "InnerProduct" or any(turned):
            raise DecError(
                f"{self.stage.source}: the code of its net, the blob output, is not "
                "made by one InnerProduct layer (without transpose), so it cannot be "
                "given another basis; --kmeans plain leaves it as it is"
            )
        return layer

    def _change_basis(self, layer: str, basis: np.ndarray) -> None:
        """Makes the code z @ basis where it was z; `basis` is symmetric."""
        for blob in self.net.params[layer]:
            blob.data[...] = basis @ blob.data

    def _report(self, state: State, assigned: np.ndarray) -> None:
        changed = float(np.mean(assigned != state.assigned))
        seconds = round(self.clock.total(), 2)
        scores = self._scores(assigned)
        state.rounds[-1].update(changed=changed, seconds=seconds, **scores)
        self.clock.lap("scores")
        left = _left(state.rounds, self.tol)
        progress.say(f"round {state.number:3} {_line(state.rounds[-1])}{left}")

    def _embed(self, *tops: str) -> list[np.ndarray]:
        """Tops of the TEST net for all rows, in their order: n x their widths.

        The net is run up to the last of them.
        """
        net = self._test_net()
        (*_, end) = (name for name, made in net.top_names.items() if tops[-1] in made)
        whole = [
            np.empty((self.rows, *net.blobs[top].shape[1:]), np.float32) for top in tops
        ]
        many = self.rows >= _MANY
        with (
            progress.bar(self.rows, "embed", " rows") if many else nullcontext() as bar
        ):
            for at, parts in over_database(net, self.rows, tops, end):
                for array, part in zip(whole, parts, strict=True):
                    array[at : at + len(part)] = part
                if bar is not None:
                    bar.update(len(parts[0]))
        return whole

    def _test_net(self):
        """A TEST net with the present weights, at the first row."""
        import caffe

        net = caffe.Net(str(self.stage.net_file), caffe.TEST)
        net.share_with(self.net)
        return net

    def _check_finite(self, code: np.ndarray) -> None:
        """DecError that tells a row with NaN in it from weights with NaN in them."""
        bad = np.flatnonzero(~np.isfinite(code).all(axis=1))
        if not len(bad):
            return
        layer = data_layers(self.stage.net, "TEST")[0]
        net = self._test_net()
        batch = net.blobs[layer.top[0]].shape[0]
        for _ in range(bad[0] // batch + 1):
            net.forward(end=layer.name)
        row = net.blobs[layer.top[0]].data[bad[0] % batch]
        source = layer.data_param.source
        if not np.isfinite(row).all():
            raise DecError(
                f"{source}: row {bad[0]} has NaN or infinity in it; "
                f"`dec data verify {source}` shows all such rows"
            )
        raise DecError(
            f"the autoencoder's code of row {bad[0]} is NaN or infinite: phase 1 "
            "diverged; a smaller base_lr in its solvers helps"
        )

    def _check_different(self, code: np.ndarray) -> None:
        """DecError where rows have one code; rounding depends on a row's place."""
        if self.k > 1 and np.ptp(code, axis=0).max() <= 1e-5 * np.abs(code).max():
            raise DecError(
                f"all rows have the same code, which cannot make {self.k} clusters: "
                "either the rows are equal (`dec data verify` tells) or phase 1 has "
                "learned nothing"
            )

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

    def _load_state(self, key: str, max_rounds: int) -> State | None:
        """The state on disk and its weights, if this very run comes by it."""
        try:
            with np.load(self.folder / "dec_state.npz") as file:
                facts = json.loads(str(file["facts"]))
                state = State(assigned=file["assigned"])
        except (FileNotFoundError, KeyError, ValueError, BadZipFile):
            return None
        if facts.pop("key") != key:
            return None
        vars(state).update(facts)
        if state.number > max_rounds:
            return None
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
