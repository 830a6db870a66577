"""The embedding pass: rows a second, ours beside PyTorch's, in turns.

All rows of data/mnist_total through 784-500-500-2000-10, float32, the same cores:

- ours: what phase 2 does, from the LevelDB to the code and the probabilities;
- ours, the net alone: its forward passes on one batch that lies in the blob;
- PyTorch: rows in memory to the code, without gradients, in the batch that is
  fastest there (of those in BATCHES).

make bench    (needs data/mnist_total: make mnist-leveldb)
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TURNS = 3
BATCHES = (256, 1000, 4000, 70000)
ROWS = 70000
OURS = [sys.executable, __file__, "ours"]
THEIRS = [".venv-bench/bin/python", __file__, "torch"]


def rate(embed: Callable[[], object], rows: int) -> float:
    """Rows a second, after one pass that warms up."""
    embed()
    start = time.perf_counter()
    embed()
    return rows / (time.perf_counter() - start)


def ours() -> dict[str, float]:
    """With the code of phase 2 on its own prototxts, in a folder of their own."""
    import tempfile

    import caffe
    import numpy as np

    from dec.experiment import Experiment, Stage
    from dec.phase2 import Clustering
    from dec.runs import Run

    with tempfile.TemporaryDirectory() as folder:
        solver = Experiment.find("mnist").folder / "dec_solver.prototxt"
        stage = Stage.read("dec", Run(Path(folder)), solver, "cpu", 1)
        stage.solver.train_state.stage.append("memory")
        del stage.solver.weights[:]
        stage.write()
        clustering = Clustering(stage, ROWS, None, 0.0)
        net = clustering.net = caffe.Net(str(stage.net_file), caffe.TEST)
        rng = np.random.default_rng(0)
        for name in ("inner1", "inner2", "inner3", "output"):
            weight = net.params[name][0].data
            weight[...] = rng.normal(size=weight.shape) * 0.03
        net.params["loss"][0].data[...] = rng.normal(size=(10, 10))
        whole = rate(lambda: clustering._embed("output", "proba"), ROWS)
        first = net._layer_names[1]
        net.forward()
        batch = len(net.blobs["data"].data)
        passes = ROWS // batch

        def alone() -> None:
            for _ in range(passes):
                net.forward(start=first)

        return {
            "phase 2, from the LevelDB": whole,
            f"the net alone, batch {batch}": rate(alone, passes * batch),
        }


def theirs() -> dict[str, float]:
    """PyTorch's nn.Sequential under inference_mode."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    widths = (784, 500, 500, 2000, 10)
    layers = []
    for bottom, top in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(bottom, top), nn.ReLU()]
    encoder = nn.Sequential(*layers[:-1])
    rows = torch.rand(ROWS, widths[0])

    def embed(size: int) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([encoder(part) for part in rows.split(size)])

    return {f"PyTorch, batch {b}": rate(lambda b=b: embed(b), ROWS) for b in BATCHES}


def measured(command: list[str]) -> dict[str, float]:
    """What this script prints, called for one side."""
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed")
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    if not Path("data/mnist_total").is_dir():
        sys.exit("there is no data/mnist_total: call make mnist-leveldb first")
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GLOG_minloglevel="1")
    # Both sides choose the kernels for this processor.
    for name in [name for name in os.environ if name.startswith("OPENBLAS_")]:
        print(f"(left out: {name}={os.environ.pop(name)})")
    turns = [measured(OURS) | measured(THEIRS) for _ in range(TURNS)]
    rates = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    print(f"Embedding pass, {os.cpu_count()} cores, rows a second, median of {TURNS}:")
    for name, value in rates.items():
        print(f"  {name:28}{value:10,.0f}")
    best = max(value for name, value in rates.items() if name.startswith("PyTorch"))
    for name, value in list(rates.items())[:2]:
        print(f"  {name} / the best of PyTorch = {value / best:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"ours": ours, "torch": theirs}[sys.argv[1]]()))
    else:
        main()
