"""PyTorch's side of a measurement, in a process of its own.

Called by bench.py with the Python of .venv-bench: torch_side.py TASK JOB [FILE];
prints its result as JSON. TASK is time, check (against FILE, which caffe_side.py has
written) or products; JOB is a JSON file.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from clock import measure

ROWS = 70000
Blobs = dict[str, torch.Tensor]


def main() -> None:
    task, job = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    torch.manual_seed(0)
    if task == "check":
        result = {
            f"{name}, {side}": apart
            for side in job["layouts"]
            for name, apart in check({**job, "side": side}, sys.argv[3]).items()
        }
    elif task == "products":
        result = [products(*shape) for shape in job["products"]]
    else:
        result = time_step(job)
    print(json.dumps(result))


class Net:
    """A plan's layers (nets.plan), run on blobs by name, as Caffe does.

    The weights are made when they are first needed: `given` (by "layer/number"), or
    drawn so that activations keep their size.
    """

    def __init__(self, job: dict, given: Blobs | None = None):
        self.layers, self.given = job["layers"], given or {}
        self.training = job["mode"] == "train"
        self.channels_last = job["side"] == "torch-channels-last"
        self.weights: Blobs = {}
        self.statistics: dict[str, list[torch.Tensor]] = {}

    def forward(self, blobs: Blobs) -> Blobs:
        """All blobs; those that a layer overwrites have their last values."""
        blobs = dict(blobs)
        for layer in self.layers:
            bottoms = [blobs[name] for name in layer["bottom"]]
            blobs[layer["top"]] = getattr(self, layer["type"])(layer, *bottoms)
        return blobs

    def loss(self, blobs: Blobs) -> torch.Tensor:
        """What is minimised; Caffe's blob itself is without its loss_weight."""
        last = self.layers[-1]
        return self.forward(blobs)[last["top"]] * last.get("weight", 1.0)

    def weight(self, layer: dict, i: int, *shape: int) -> torch.Tensor:
        name = f"{layer['name']}/{i}"
        if name not in self.weights:
            if name in self.given:
                weight = self.given[name].clone()
            elif len(shape) > 1:
                weight = torch.randn(shape) * (2 / math.prod(shape[1:])) ** 0.5
            else:
                weight = torch.rand(shape) * 0.1
            if self.channels_last and weight.ndim == 4:
                weight = weight.contiguous(memory_format=torch.channels_last)
            learns = self.training and layer["rates"][i][0] > 0
            self.weights[name] = weight.requires_grad_(learns)
        return self.weights[name]

    def Convolution(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        width, group, side = layer["width"], layer["group"], layer["kernel"]
        weight = self.weight(layer, 0, width, x.shape[1] // group, side, side)
        bias = self.weight(layer, 1, width) if layer["bias"] else None
        return F.conv2d(x, weight, bias, layer["stride"], layer["pad"], 1, group)

    def InnerProduct(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        weight = self.weight(layer, 0, layer["width"], x.shape[1])
        return F.linear(x, weight, self.weight(layer, 1, layer["width"]))

    def ReLU(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x, inplace=layer["top"] in layer["bottom"])

    def Pooling(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        # Caffe rounds the size of the result up.
        if layer["mean"]:
            return x.mean(dim=(2, 3), keepdim=True)
        return F.max_pool2d(x, layer["kernel"], layer["stride"], ceil_mode=True)

    def LRN(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        return F.local_response_norm(
            x, layer["size"], layer["alpha"], layer["beta"], layer["k"]
        )

    def BatchNorm(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        if layer["name"] not in self.statistics:
            mean, variance = torch.zeros(channels), torch.ones(channels)
            if not self.training and self.given:
                mean, variance, count = (
                    self.given[f"{layer['name']}/{i}"] for i in range(3)
                )
                mean, variance = mean / count, variance / count
            self.statistics[layer["name"]] = [mean, variance]
        mean, variance = self.statistics[layer["name"]]
        scale = {"name": layer["scale"], "rates": layer["rates"]}
        return F.batch_norm(
            x,
            mean,
            variance,
            self.weight(scale, 0, channels),
            self.weight(scale, 1, channels),
            self.training,
            1 - layer["fraction"],
            layer["eps"],
        )

    def Dropout(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, layer["ratio"], self.training)

    def Softmax(self, layer: dict, x: torch.Tensor) -> torch.Tensor:
        return F.softmax(x, 1)

    def SoftmaxWithLoss(self, layer: dict, x: torch.Tensor, label: torch.Tensor):
        return F.cross_entropy(x, label)

    def EuclideanLoss(self, layer: dict, x: torch.Tensor, y: torch.Tensor):
        return F.mse_loss(x, y, reduction="sum") / (2 * len(x))

    def MultiTLoss(self, layer: dict, z: torch.Tensor, p: torch.Tensor):
        """Student's t of one degree of freedom, KL(p || q), mean over the rows."""
        centres = self.weight(layer, 0, z.shape[1], layer["clusters"])
        t = 1 / (1 + torch.cdist(z, centres.T) ** 2 / layer["alpha"])
        q = t / t.sum(1, keepdim=True)
        return F.kl_div(q.log(), p, reduction="batchmean")


def optimizer(net: Net, job: dict) -> torch.optim.SGD:
    """SGD with every weight's own rate, decay and momentum; after a forward pass."""
    rates = {}
    for layer in net.layers:
        for i, three in enumerate(layer["rates"]):
            rates[f"{layer.get('scale', layer['name'])}/{i}"] = three
    groups = [
        {
            "params": [weight],
            "lr": job["rate"] * rates[name][0],
            "weight_decay": job["decay"] * rates[name][1],
            "momentum": job["momentum"] * rates[name][2],
        }
        for name, weight in net.weights.items()
        if weight.requires_grad
    ]
    return torch.optim.SGD(groups, lr=job["rate"], momentum=job["momentum"])


def training_step(net: Net, solver: torch.optim.SGD, blobs: Blobs) -> None:
    """Forward, backward, update."""
    solver.zero_grad()
    net.loss(blobs).backward()
    solver.step()


def inputs(job: dict) -> Iterator[Blobs]:
    """Batches without end: one that stays, or one after the other of many rows."""
    shapes, classes = job["inputs"], job["layers"][-2].get("width")
    count = ROWS if job["rows"] == "leveldb" else job["batch"]
    data = torch.rand(count, *shapes.get("data", [0, 784])[1:])
    if data.ndim == 4 and data.shape[1] == 3:
        data = data * 255 - 120
    if job["side"] == "torch-channels-last":
        data = data.contiguous(memory_format=torch.channels_last)
    blobs = {"data": data}
    if len(shapes.get("label", [])) == 2:
        alpha = torch.ones(shapes["label"][1])
        blobs["label"] = torch.distributions.Dirichlet(alpha).sample((count,))
    elif "label" in shapes:
        blobs["label"] = torch.randint(classes, (count,))
    at, size = 0, job["batch"]
    while True:
        yield {name: blob[at : at + size] for name, blob in blobs.items()}
        at = at + size if at + 2 * size <= count else 0


def time_step(job: dict) -> dict:
    """Speed and memory of the job's mode."""
    net, batches = Net(job), inputs(job)
    if job["mode"] == "train":
        net.forward(next(batches))
        solver = optimizer(net, job)
        result = measure(
            lambda: training_step(net, solver, next(batches)), job["batch"]
        )
    else:
        with torch.inference_mode():
            if job["rows"] == "leveldb":
                parts = torch.rand(ROWS, 784).split(job["batch"])
                result = measure(
                    lambda: torch.cat([last(net, {"data": x}) for x in parts]), ROWS
                )
            else:
                blobs = next(batches)
                result = measure(lambda: last(net, blobs), job["batch"])
    return result


def last(net: Net, blobs: Blobs) -> torch.Tensor:
    """What the last layer gives."""
    return net.forward(blobs)[net.layers[-1]["top"]]


def products(n: int, inputs: int, outputs: int, passes: str) -> dict[str, float]:
    """Seconds of an inner product's passes by torch.mm, each at its best."""
    x, w, y = (torch.rand(s) for s in ((n, inputs), (outputs, inputs), (n, outputs)))
    tasks = {"f": (x, w.T, y), "d": (y, w, x), "w": (y.T, x, w)}
    return {
        p: best(lambda p=p: torch.mm(*tasks[p][:2], out=tasks[p][2])) for p in passes
    }


def best(task: Callable[[], object]) -> float:
    """Seconds of the fastest of as many calls as go into 0.3 s, at least three."""
    task()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < 0.3:
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def check(job: dict, file: str) -> dict[str, float]:
    """How far PyTorch's blobs, gradients and trained weights are from Caffe's.

    In double precision here, so that PyTorch's rounding decides no tie in a pooling.
    The Euclidean norm of every difference, in the norm of what it is a difference
    of: a blob, the larger of the layer's gradients (a bias before a batch
    normalisation has none but rounding), how far two iterations move its weights.
    """
    torch.set_default_dtype(torch.float64)
    arrays = {k: torch.from_numpy(v).double() for k, v in np.load(file).items()}
    given = _below(arrays, "before")
    net = Net(job, given)
    blobs = _below(arrays, "input")
    if blobs.get("label", torch.zeros(0, 0)).ndim == 1:
        blobs["label"] = blobs["label"].long()
    if net.channels_last and blobs["data"].ndim == 4:
        blobs["data"] = blobs["data"].contiguous(memory_format=torch.channels_last)
    found = net.forward(blobs)
    tops = {layer["top"] for layer in net.layers}
    caffes = _below(arrays, "blob")
    result = {f"blob {top}": _apart(found[top], caffes[top]) for top in tops}
    if not net.training:
        return result
    net.loss(blobs).backward()
    learned = {name: w for name, w in net.weights.items() if w.requires_grad}
    gradients = _below(arrays, "gradient")
    scale = _scales({name: gradients[name] for name in learned})
    for name, weight in learned.items():
        result[f"gradient {name}"] = _apart(
            weight.grad, gradients[name], scale[name.split("/")[0]]
        )
    solver = optimizer(net, job)
    for _ in range(2):
        training_step(net, solver, blobs)
    after = _below(arrays, "after")
    moved = {name: after[name] - given[name] for name in learned}
    scale = _scales(moved)
    for name, weight in learned.items():
        result[f"update {name}"] = _apart(
            weight.detach() - given[name], moved[name], scale[name.split("/")[0]]
        )
    return result


def _below(arrays: Blobs, folder: str) -> Blobs:
    start = f"{folder}/"
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def _scales(arrays: Blobs) -> dict[str, float]:
    """The largest norm among the arrays of each layer."""
    result: dict[str, float] = {}
    for name, array in arrays.items():
        layer = name.split("/")[0]
        result[layer] = max(result.get(layer, 0.0), array.norm().item())
    return result


def _apart(a: torch.Tensor, b: torch.Tensor, scale: float | None = None) -> float:
    difference = (a.detach().reshape(b.shape) - b).norm().item()
    norm = b.norm().item() if scale is None else scale
    return difference / norm if norm > 0 else float(difference > 0)


if __name__ == "__main__":
    main()
