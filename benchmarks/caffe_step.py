"""Times phase 2's training step as dec runs it; prints milliseconds a step.

Called by phase2_step.py: caffe_step.py STEPS, from the project's root.
"""

import sys
import tempfile
import time
from pathlib import Path

import caffe
import numpy as np

from dec import prototxt

BATCH, CLUSTERS = 256, 10


def make_solver(folder: Path) -> caffe.SGDSolver:
    """The solver of prototxt/mnist in the form in which phase 2 runs it."""
    solver = prototxt.read_solver("prototxt/mnist/dec_solver.prototxt")
    solver.train_state.stage.append("memory")
    del solver.weights[:]
    prototxt.write(folder / "solver.prototxt", solver, "for a benchmark")
    return caffe.get_solver(str(folder / "solver.prototxt"))


def main() -> None:
    steps = int(sys.argv[1])
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        solver = make_solver(Path(folder))
    for name in ("inner1", "inner2", "inner3", "output"):
        weight = solver.net.params[name][0].data
        weight[...] = rng.normal(size=weight.shape) * 0.03
    solver.net.params["loss"][0].data[...] = rng.normal(size=(10, CLUSTERS))
    targets = rng.dirichlet(np.ones(CLUSTERS), 70000).astype(np.float32)

    def step(i: int) -> None:
        batch = np.arange(i * BATCH, (i + 1) * BATCH) % len(targets)
        solver.net.blobs["label"].data[...] = targets[batch]
        solver.step(1)

    for i in range(10):
        step(i)
    start = time.perf_counter()
    for i in range(steps):
        step(i)
    print((time.perf_counter() - start) / steps * 1000)


if __name__ == "__main__":
    main()
