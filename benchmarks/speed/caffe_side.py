"""Caffe's side of a measurement, in a process of its own.

Called by bench.py from the project's root: caffe_side.py time|check JOB [FILE];
prints its result as JSON. JOB is the measurement's settings as JSON, FILE where
`check` puts weights, blobs and gradients for PyTorch's side.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import caffe
import nets
import numpy as np
from clock import measure
from google.protobuf.message import Message

from dec.nets import prototxt

ROWS = 70000


def main() -> None:
    task, job = sys.argv[1], json.loads(sys.argv[2])
    if task == "check":
        check(job, sys.argv[3])
    elif job["net"] == "dec-encoder" and job["rows"] == "leveldb":
        print(json.dumps(time_embedding(job)))
    else:
        print(json.dumps(time_step(job)))


def network(job: dict) -> Message:
    """The job's net; with stock layers or in bfloat16 where its side is that."""
    net = nets.build(job["net"], job["mode"], job["batch"], job["rows"])
    if job["side"] == "stock":
        nets.stock(net)
    net.bfloat16 = job["side"] == "bfloat16"
    return net


def load(message: Message, job: dict) -> tuple:
    """(solver or None, net) with weights and inputs filled in."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.prototxt"
        if job["mode"] == "train":
            prototxt.write(file, nets.solver(message, job["net"]), "for a benchmark")
            solver = caffe.get_solver(str(file))
            net = solver.net
        else:
            prototxt.write(file, message, "for a benchmark")
            solver, net = None, caffe.Net(str(file), caffe.TEST)
    rng = np.random.default_rng(job.get("seed", 0))
    fill_weights(net, rng)
    fill_inputs(net, message, rng)
    return solver, net


def fill_weights(net: caffe.Net, rng: np.random.Generator) -> None:
    """Weights under which activations keep their size from layer to layer.

    But for the last one's before a softmax, whose loss would leave float32's range.
    """
    products = [name for name, blobs in net.params.items() if len(blobs) == 2]
    kinds = dict(zip(net._layer_names, (x.type for x in net.layers), strict=True))
    for name, blobs in net.params.items():
        if kinds[name] == "BatchNorm":
            # Averages of a trained net; in training they are not looked at.
            mean, variance, count = (blob.data for blob in blobs)
            mean[...] = rng.standard_normal(mean.shape)
            variance[...] = 1 + rng.random(variance.shape)
            count[...] = 1
            continue
        for i, blob in enumerate(blobs):
            shape = blob.data.shape
            noise = rng.standard_normal(shape, np.float32)
            if kinds[name] == "MultiTLoss":
                if i == 0:
                    blob.data[...] = noise
            elif kinds[name] == "Scale":
                blob.data[...] = 0.1 * noise + (1 if i == 0 else 0)
            elif len(shape) > 1:
                softmax = "SoftmaxWithLoss" in kinds.values()
                size = 0.05 if softmax and name == products[-1] else 1
                blob.data[...] = noise * size * math.sqrt(2 / math.prod(shape[1:]))
            else:
                blob.data[...] = 0.1 * np.abs(noise)


def fill_inputs(net: caffe.Net, message: Message, rng: np.random.Generator) -> None:
    """Pixels around 0 and classes, or rows within 0 to 1 and targets."""
    for layer in message.layer:
        for top in layer.top if layer.type == "Input" else ():
            blob = net.blobs[top].data
            if top == "label" and blob.ndim == 2:
                blob[...] = rng.dirichlet(np.ones(blob.shape[1]), len(blob))
            elif top == "label":
                blob[...] = rng.integers(0, classes(message), len(blob))
            elif blob.ndim == 4 and blob.shape[1] == 3:
                blob[...] = rng.random(blob.shape, np.float32) * 255 - 120
            else:
                blob[...] = rng.random(blob.shape, np.float32).reshape(blob.shape)


def classes(message: Message) -> int:
    """The width of the last inner product."""
    products = [x for x in message.layer if x.type == "InnerProduct"]
    return products[-1].inner_product_param.num_output


def time_step(job: dict) -> dict:
    """Speed and memory; and what products and convolutions a step consists of."""
    message = network(job)
    solver, net = load(message, job)
    if solver is None:
        result = measure(net.forward, job["batch"])
    elif job["rows"] == "leveldb":
        rng = np.random.default_rng(1)
        shape = net.blobs["label"].data.shape
        targets = rng.dirichlet(np.ones(shape[1]), ROWS).astype(np.float32)
        at = np.arange(shape[0])

        def step() -> None:
            net.blobs["label"].data[...] = targets[at]
            at[:] = (at + shape[0]) % ROWS
            solver.step(1)

        result = measure(step, job["batch"])
    else:
        result = measure(lambda: solver.step(1), job["batch"])
    last = net.blobs[message.layer[-1].top[0] if solver is None else "loss"].data
    if not np.isfinite(last).all():
        sys.exit(f"{job['net']}: its numbers are no longer finite")
    return result | {"pieces": pieces(message, net, job["mode"] == "train")}


def pieces(message: Message, net: caffe.Net, train: bool) -> list[dict]:
    """The convolutions, products and weight updates of a step, with their shapes.

    passes: f forward, d backward to the data, w backward to the weights.
    """
    found, needs_gradient, weights = [], set(), 0
    for layer in nets.plan(message):
        learns = train and any(rates[0] > 0 for rates in layer["rates"])
        blobs = net.params.get(layer["name"], ()) if learns else ()
        weights += sum(blob.count for blob in blobs)
        passes = "f"
        if train and needs_gradient & set(layer["bottom"]):
            passes += "d"
        if blobs:
            passes += "w"
        if len(passes) > 1:
            needs_gradient.add(layer["top"])
        if layer["type"] not in ("Convolution", "InnerProduct"):
            continue
        bottom = net.blobs[layer["bottom"][0]].data.shape
        if layer["type"] == "InnerProduct":
            shape = [bottom[0], math.prod(bottom[1:]), layer["width"]]
            kind = "product"
            flop = 2 * math.prod(shape)
        else:
            shape = [bottom[0], layer["group"], bottom[1], layer["width"], bottom[2]]
            shape += [layer["kernel"], layer["stride"], layer["pad"]]
            kind = "convolution"
            top = net.blobs[layer["top"]].data.shape
            kernel = layer["kernel"] ** 2 * bottom[1] // layer["group"]
            flop = 2 * math.prod(top) * kernel
        found.append({"kind": kind, "shape": shape, "passes": passes, "flop": flop})
    if weights:
        found.append({"kind": "update", "shape": [weights], "passes": "u", "flop": 0})
    return found


def time_embedding(job: dict) -> dict:
    """All rows of data/mnist_total, by the code and the prototxts of phase 2."""
    from dec.clustering.embedding import Embedding
    from dec.engine.experiment import Experiment, Stage
    from dec.engine.runs import Run

    with tempfile.TemporaryDirectory() as folder:
        mnist = Experiment.find("mnist")
        solver = mnist.folder / "dec_solver.prototxt"
        stage = Stage.read("dec", mnist, Run(Path(folder)), solver, "cpu", 1)
        for layer in prototxt.data_layers(stage.net, "TEST"):
            layer.data_param.batch_size = job["batch"]
        if job["side"] == "stock":
            nets.stock(stage.net)
        stage.write()
        net = caffe.Net(str(stage.net_file), caffe.TEST)
        fill_weights(net, np.random.default_rng(0))
        embedding = Embedding(stage, net, ROWS)
        return measure(lambda: embedding.tops("output", "proba"), ROWS)


def check(job: dict, file: str) -> None:
    """Puts into a file what PyTorch's side has to come to.

    `input/`, weights `before/`, `blob/` after the forward pass; in training
    `gradient/` and weights `after/` two iterations of the solver.
    """
    message = network(job)
    nets.without_dropout(message)
    solver, net = load(message, job)
    arrays = {
        f"input/{top}": net.blobs[top].data
        for layer in message.layer
        for top in layer.top
        if layer.type == "Input"
    }
    arrays |= _params(net, "before")
    arrays = {name: array.copy() for name, array in arrays.items()}
    net.forward()
    arrays |= {f"blob/{name}": blob.data.copy() for name, blob in net.blobs.items()}
    if solver:
        net.clear_param_diffs()
        net.backward()
        arrays |= {
            f"gradient/{name}/{i}": blob.diff.copy()
            for name, blobs in net.params.items()
            for i, blob in enumerate(blobs)
        }
        solver.step(2)
        arrays |= _params(net, "after")
    np.savez(file, **arrays)


def _params(net: caffe.Net, when: str) -> dict[str, np.ndarray]:
    return {
        f"{when}/{name}/{i}": blob.data
        for name, blobs in net.params.items()
        for i, blob in enumerate(blobs)
    }


if __name__ == "__main__":
    main()
