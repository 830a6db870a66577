"""DEC as a plain PyTorch loop on our own schedule: the control.

The same networks, solvers, order of rows, dropout, k-means and rounds as ours, by
the plan that plan.py reads from the prototxts; PyTorch's kernels instead of Caffe's,
and rows in memory instead of a LevelDB. Weights and dropout masks are drawn by
PyTorch, so that one seed gives other numbers than ours.

Called by run.py with the Python of .venv-bench: torch_dec.py JOB RESULT.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from course import Course

from dec.clustering.within import kmeans_within

Weights = dict[str, list[torch.Tensor]]


def main() -> None:
    job, result = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    plan = job["plan"]
    torch.manual_seed(job["seed"])
    torch.set_num_threads(job["threads"])
    rows = {name: torch.from_numpy(np.load(f)) for name, f in job["rows"].items()}
    labels = np.load(job["labels"])
    course = Course(f"torch, seed {job['seed']}")
    weights: Weights = {}
    for stage in plan["stages"]:
        train(stage, weights, rows[stage["rows"]["source"]])
        course.lap(stage["name"])
    phase1 = course.total()
    whole = rows[plan["dec"]["rows"]["source"]]
    cluster(plan["dec"], weights, whole, labels, job, course)
    facts = {
        "pretraining": phase1,
        "clustering": course.total() - phase1,
        "parts": course.seconds,
        "course": course.points,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    result.write_text(json.dumps(facts))


def train(stage: dict, weights: Weights, rows: torch.Tensor) -> float:
    """One stage of phase 1; changes `weights`, returns the last batch's loss."""
    net = Net(stage["layers"], weights, rows.shape[1])
    solver = Solver(stage["solver"], net)
    for i in range(stage["solver"]["iterations"]):
        loss = net.forward(_batch(stage, rows, stage["rows"]["first"], i))["loss"]
        solver.step(loss)
    return loss.item()


def cluster(
    dec: dict,
    weights: Weights,
    rows: torch.Tensor,
    labels: np.ndarray,
    job: dict,
    course: Course,
) -> np.ndarray:
    """Phase 2 from the autoencoder's weights; returns the clusters of all rows."""
    net = Net(dec["layers"], weights, rows.shape[1])
    *encoder, loss_layer = dec["layers"]
    k, alpha = loss_layer["clusters"], loss_layer["alpha"]
    size, interval = dec["embedding_batch"], dec["solver"]["iterations"]

    def embed() -> torch.Tensor:
        with torch.no_grad():
            parts = [net.forward(part, encoder)["output"] for part in rows.split(size)]
        return torch.cat(parts)

    code = embed()
    course.lap("embed")
    found = kmeans_within(code.numpy(), k, job["seed"])
    basis = torch.from_numpy(found.basis)
    turned = [(basis @ w.double()).float() for w in net.weights["output"]]
    net.add("output", turned, net.rates["output"])
    centres = torch.from_numpy(found.centres) @ basis
    net.add("loss", [centres.float()], loss_layer["rates"])
    course.lap("kmeans")
    course.look("k-means", labels, found.assigned, k)
    before, number = None, 0
    while True:
        with torch.no_grad():
            q = probabilities(embed(), net.weights["loss"][0], alpha)
        assigned = q.argmax(1).numpy()
        course.lap("embed")
        if number:
            course.look(f"round {number}", labels, assigned, k)
            if np.mean(assigned != before) < job["tol"]:
                return assigned
        if number == job["max_rounds"]:
            return assigned
        before = assigned
        targets = target_distribution(q)
        course.lap("targets")
        first = dec["rows"]["first"] + number * dec["rows"]["batch"] * interval
        solver = Solver(dec["solver"], net)  # its momentum starts at 0
        for i in range(interval):
            z = net.forward(_batch(dec, rows, first, i), encoder)["output"]
            q = probabilities(z, net.weights["loss"][0], alpha)
            p = _batch(dec, targets, first, i)
            solver.step(F.kl_div(q.log(), p, reduction="batchmean"))
        course.lap("train")
        number += 1


class Net:
    """A prototxt's layers, run in their order on blobs by name, as Caffe does."""

    def __init__(self, layers: list[dict], weights: Weights, width: int):
        self.layers, self.weights = layers, weights
        self.rates: dict[str, list[float]] = {}
        widths = {"data": width}
        for layer in layers:
            bottom = widths[layer["bottom"][0]]
            if layer["type"] == "InnerProduct":
                name, shape = layer["name"], (layer["width"], bottom)
                start = weights.get(name) or [
                    _filled(shape, layer["filler"]),
                    torch.zeros(shape[0]),
                ]
                self.add(name, start, layer["rates"])
            widths[layer["top"]] = layer.get("width", bottom)

    def add(self, name: str, start: list[torch.Tensor], rates: list[float]) -> None:
        """Weights of a layer; those of rate 0 are frozen."""
        self.rates[name] = rates
        self.weights[name] = [
            w.detach().requires_grad_(r > 0) for w, r in zip(start, rates, strict=True)
        ]

    def parameters(self) -> list[tuple[torch.Tensor, float]]:
        """What is trained, with its factor of the learning rate."""
        return [
            (w, rate)
            for name, rates in self.rates.items()
            for w, rate in zip(self.weights[name], rates, strict=True)
            if rate > 0
        ]

    def forward(self, rows: torch.Tensor, layers: list[dict] | None = None) -> dict:
        """The blobs of these layers (all) on a batch of rows."""
        blobs = {"data": rows}
        for layer in layers or self.layers:
            x, kind = blobs[layer["bottom"][0]], layer["type"]
            if kind == "InnerProduct":
                x = F.linear(x, *self.weights[layer["name"]])
            elif kind == "ReLU":
                x = F.relu(x)
            elif kind == "Dropout":
                x = F.dropout(x, layer["ratio"])
            else:  # EuclideanLoss
                error = F.mse_loss(x, blobs[layer["bottom"][1]], reduction="sum")
                x = layer["weight"] * error / (2 * len(rows))
            blobs[layer["top"]] = x
        return blobs


class Solver:
    """Caffe's SGD, with the growing momentum, and its Adam.

    PyTorch's own differ while rate or momentum change: there the rate is not part
    of what momentum remembers.
    """

    def __init__(self, facts: dict, net: Net):
        self.facts, self.iteration = facts, 0
        self.parameters = net.parameters()
        self.history = [
            (torch.zeros_like(w), torch.zeros_like(w) if self._adam else None)
            for w, _ in self.parameters
        ]

    def step(self, loss: torch.Tensor) -> None:
        loss.backward()
        rate, momentum = self._rate(), self._momentum()
        with torch.no_grad():
            for (w, factor), (v, squares) in zip(
                self.parameters, self.history, strict=True
            ):
                if self._adam:
                    self._adam_step(w, v, squares, rate * factor)
                else:
                    v.mul_(momentum).add_(w.grad, alpha=rate * factor)
                    w.sub_(v)
                w.grad = None
        self.iteration += 1

    def _adam_step(self, w, v, squares, rate: float) -> None:
        beta1, beta2 = self.facts["momentum"], self.facts["momentum2"]
        t = self.iteration + 1
        v.mul_(beta1).add_(w.grad, alpha=1 - beta1)
        squares.mul_(beta2).addcmul_(w.grad, w.grad, value=1 - beta2)
        rate *= math.sqrt(1 - beta2**t) / (1 - beta1**t)
        w.addcdiv_(v, squares.sqrt().add_(self.facts["delta"]), value=-rate)

    @property
    def _adam(self) -> bool:
        return self.facts["type"] == "Adam"

    def _momentum(self) -> float:
        burnin = self.facts["momentum_burnin"]
        share = self.iteration / burnin if self.iteration < burnin else 1.0
        return self.facts["momentum"] * share

    def _rate(self) -> float:
        facts = self.facts
        steps = {
            "fixed": lambda: 0,
            "step": lambda: self.iteration // facts["stepsize"],
            "multistep": lambda: sum(v <= self.iteration for v in facts["stepvalue"]),
        }[facts["lr_policy"]]()
        return facts["base_lr"] * facts["gamma"] ** steps


def probabilities(z: torch.Tensor, centres: torch.Tensor, alpha: float) -> torch.Tensor:
    """q, n x k: Student's t of the distances (the paper's equation 1)."""
    squared = (z.unsqueeze(1) - centres).pow(2).sum(2)
    t = (1 + squared / alpha).pow(-(alpha + 1) / 2)
    return t / t.sum(1, keepdim=True)


def target_distribution(q: torch.Tensor) -> torch.Tensor:
    """p, n x k, over all rows (the paper's equation 3)."""
    q = q.double()
    weight = q * q / q.sum(0)
    return (weight / weight.sum(1, keepdim=True)).float()


def _batch(stage: dict, rows: torch.Tensor, first: int, i: int) -> torch.Tensor:
    """Rows in their order, the first ones again after the last."""
    size = stage["rows"]["batch"]
    at = (first + i * size) % len(rows)
    if at + size <= len(rows):
        return rows[at : at + size]
    return rows[torch.arange(at, at + size) % len(rows)]


def _filled(shape: tuple[int, int], filler: dict) -> torch.Tensor:
    if filler["type"] == "gaussian":
        return torch.randn(shape) * filler["std"]
    if filler["type"] == "uniform":
        return torch.empty(shape).uniform_(filler["min"], filler["max"])
    return torch.zeros(shape)  # filled from a stage before, or k-means


if __name__ == "__main__":
    main()
