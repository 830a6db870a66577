"""Phase 2 on much data: memory and time by the number of rows.

Writes N rows of 784 numbers (MNIST's width; made by a fixed generator, four fifths of
them zero as in MNIST), then runs phase 2 of prototxt/dec/mnist for some rounds from a
random encoder. Prints the time of each part and the greatest memory of the process. The
rows lie in build/large_data, about a gigabyte a million, and are removed at the end.

.venv/bin/python benchmarks/large_data.py 70000 700000 7000000
"""

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.clustering.phase2 import Clustering
from dec.clustering.state import Clock
from dec.data.leveldb import write_rows
from dec.engine.experiment import Experiment, Stage
from dec.engine.runs import Run
from dec.nets import caffe_process
from dec.nets.prototxt import data_layers

WIDTH, CLUSTERS, BLOCK = 784, 10, 4096
FOLDER = Path("build/large_data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--hidden",
        type=int,
        metavar="WIDTH",
        help="this width of the encoder's layers instead of 500-500-2000, for machines "
        "where the arithmetic takes too long: memory is the same",
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="seconds of all threads' processor time instead of the clock's, for "
        "machines that are busy with other work",
    )
    options = parser.parse_args()
    progress.say(
        "| rows | on disk | rows/s written | embedding, a pass | targets | training, a "
        "round | k-means | memory held | with mapped files | accuracy |"
    )
    for n in options.rows:
        try:
            measure(n, options)
        finally:
            shutil.rmtree(FOLDER, ignore_errors=True)


def measure(n: int, options: argparse.Namespace) -> None:
    """Prints one line of the table for n rows."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    run = Run(FOLDER / "run")
    now = time.process_time if options.cpu_time else time.monotonic
    start = now()
    write_rows(FOLDER / "rows", synthetic(n), synthetic_labels(n))
    wrote = now() - start
    disk = sum(path.stat().st_size for path in (FOLDER / "rows").iterdir())
    result = run.path / "result.json"
    caffe_process.run(lambda: cluster(run, n, options, result), run.log)
    found = json.loads(result.read_text())
    seconds, rounds = found["seconds"], options.rounds
    embed = seconds["embed"] / (rounds + 1)  # a pass for k-means, one after each round
    print(
        f"| {n:,} | {disk / 1e9:.1f} GB | {n / wrote:,.0f} | {embed:.1f} s "
        f"| {seconds['targets'] / rounds:.1f} s | {seconds['train'] / rounds:.1f} s "
        f"| {seconds['kmeans']:.1f} s | {found['anonymous'] / 1e9:.2f} GB "
        f"| {found['resident'] / 1e9:.2f} GB | {found['acc']:.1%} |",
        flush=True,
    )


def cluster(run: Run, n: int, options: argparse.Namespace, result: Path) -> None:
    """Phase 2 in this process; writes seconds, memory and accuracy."""
    import caffe

    memory = Memory()
    experiment = Experiment.find("mnist")
    stage = Stage.read(
        "dec", experiment, run, experiment.folder / "dec_solver.prototxt", "cpu", 1
    )
    stage.solver.train_state.stage.append("memory")
    del stage.solver.weights[:]
    for phase in ("TRAIN", "TEST"):
        for layer in data_layers(stage.net, phase):
            layer.data_param.source = str(FOLDER / "rows")
    for layer in stage.net.layer:
        if layer.type == "InnerProduct":
            layer.inner_product_param.weight_filler.type = "msra"
            if options.hidden and layer.name != "output":
                layer.inner_product_param.num_output = options.hidden
    stage.write()
    random = run.path / "random.caffemodel"
    caffe.set_random_seed(1)
    caffe.Net(str(stage.net_file), caffe.TEST).save(str(random))
    clustering = Clustering(stage, n, synthetic_labels(n), 0, "within")
    if options.cpu_time:
        clustering.clock = CpuClock()
    outcome = clustering.run(random, 1, options.rounds, "")
    facts = {"seconds": outcome.seconds, "acc": outcome.rounds[-1]["acc"]}
    result.write_text(json.dumps(facts | memory.greatest()))


class CpuClock(Clock):
    """Processor time of all threads, by what it was spent on."""

    def __init__(self):
        super().__init__({}, time.process_time())

    def lap(self, what: str) -> None:
        now = time.process_time()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now


class Memory:
    """Watches this process: what it holds, and with the files that it has mapped."""

    def __init__(self):
        self._most = {"RssAnon": 0, "VmRSS": 0}
        threading.Thread(target=self._watch, daemon=True).start()

    def greatest(self) -> dict[str, int]:
        """Bytes: `anonymous` is what cannot be given back, `resident` all of it."""
        return {
            "anonymous": self._most["RssAnon"] * 1024,
            "resident": self._most["VmRSS"] * 1024,
        }

    def _watch(self):
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in self._most:
                    self._most[name] = max(self._most[name], int(value.split()[0]))
            time.sleep(0.05)


def synthetic(n: int) -> Iterator[np.ndarray]:
    """Blocks of rows: a mask of ten clusters' own, on it one of 256 grey values."""
    rng = np.random.default_rng(0)
    masks = rng.random((CLUSTERS, WIDTH)) < 0.2
    means = rng.integers(64, 192, (CLUSTERS, WIDTH), np.int16)
    all_labels = synthetic_labels(n)
    for at in range(0, n, BLOCK):
        labels = all_labels[at : at + BLOCK]
        rng = np.random.default_rng([1, at])
        grey = means[labels] + rng.integers(-64, 64, (len(labels), WIDTH), np.int16)
        yield (grey * masks[labels] * 0.02).astype(np.float32)


def synthetic_labels(n: int) -> np.ndarray:
    """The cluster of each row, int32."""
    return (np.arange(n, dtype=np.int32) * 7) % CLUSTERS


if __name__ == "__main__":
    if not Path("prototxt/dec/mnist").is_dir():
        sys.exit("call it from the project's root")
    os.environ.setdefault("GLOG_minloglevel", "1")
    main()
