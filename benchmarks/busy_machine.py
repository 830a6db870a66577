"""What waiting threads cost: a DEC step on an idle and on a busy machine.

With OMP_WAIT_POLICY=PASSIVE, which this project sets, and with OpenMP's ACTIVE;
"busy" means one other program that computes on every core.

make bench-busy    (needs data/mnist_total: make mnist-leveldb)
"""

import json
import os
import subprocess
import sys
from pathlib import Path

_JOB = {"net": "dec-phase2", "mode": "train", "rows": "leveldb", "side": "ours"}
_JOB |= {"batch": 256}
_SIDE = Path(__file__).parent / "speed/caffe_side.py"
_OURS = [sys.executable, str(_SIDE), "time", json.dumps(_JOB)]
_SPIN = [sys.executable, "-c", "while True: pass"]


def milliseconds() -> float:
    """Phase 2's median training step, rows from the LevelDB."""
    result = subprocess.run(_OURS, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit("the step could not be timed; see above")
    return _JOB["batch"] * 1000 / json.loads(result.stdout.splitlines()[-1])["median"]


def main() -> None:
    if not Path("data/mnist_total").is_dir():
        sys.exit("there is no data/mnist_total: call make mnist-leveldb first")
    os.environ["GLOG_minloglevel"] = "1"
    for policy in ("PASSIVE", "ACTIVE"):
        os.environ["OMP_WAIT_POLICY"] = policy
        idle = milliseconds()
        others = [subprocess.Popen(_SPIN) for _ in range(os.cpu_count())]
        try:
            busy = milliseconds()
        finally:
            for other in others:
                other.kill()
        print(
            f"OMP_WAIT_POLICY={policy}: idle {idle:.0f} ms, busy {busy:.0f} ms a step"
        )


if __name__ == "__main__":
    main()
