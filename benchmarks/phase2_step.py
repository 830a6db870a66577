"""Phase 2's training step: ours beside PyTorch's, in turns, as a ratio.

The same network (784-500-500-2000-10 and ten centres), batch (256), SGD with
momentum, float32 and threads (all cores). Ours reads its rows from the LevelDB and
takes its targets as in a run; PyTorch's lie ready in memory.

make bench    (needs data/mnist_total: make mnist-leveldb)
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

TURNS, STEPS = 5, 100
OURS = [sys.executable, "benchmarks/caffe_step.py", str(STEPS)]
THEIRS = [".venv-bench/bin/python", "benchmarks/torch_step.py", str(STEPS)]


def milliseconds(command: list[str]) -> float:
    """What one timing program prints."""
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed")
    return float(result.stdout.split()[-1])


def main() -> None:
    if not Path("data/mnist_total").is_dir():
        sys.exit("there is no data/mnist_total: call make mnist-leveldb first")
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GLOG_minloglevel="1")
    # Both sides choose the kernels for this processor.
    for name in [name for name in os.environ if name.startswith("OPENBLAS_")]:
        print(f"(left out: {name}={os.environ.pop(name)})")
    ours, theirs = [], []
    for turn in range(TURNS):
        ours.append(milliseconds(OURS))
        theirs.append(milliseconds(THEIRS))
        print(f"turn {turn + 1}: ours {ours[-1]:.1f} ms, PyTorch {theirs[-1]:.1f} ms")
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"DEC step, batch 256, {os.cpu_count()} cores, median of {TURNS} turns:")
    print(f"  Caffe {a:.1f} ms, PyTorch {b:.1f} ms")
    print(f"  speed of Caffe / speed of PyTorch = {b / a:.2f}")


if __name__ == "__main__":
    main()
