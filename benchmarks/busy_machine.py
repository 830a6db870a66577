"""What waiting threads cost: a DEC step on an idle and on a busy machine.

With OMP_WAIT_POLICY=PASSIVE, which this project sets, and with OpenMP's ACTIVE;
"busy" means one other program that computes on every core.

make bench-busy    (needs data/mnist_total: make mnist-leveldb)
"""

import os
import subprocess
import sys

from phase2_step import OURS, milliseconds

_SPIN = [sys.executable, "-c", "while True: pass"]


def main() -> None:
    os.environ["GLOG_minloglevel"] = "1"
    for policy in ("PASSIVE", "ACTIVE"):
        os.environ["OMP_WAIT_POLICY"] = policy
        idle = milliseconds(OURS)
        others = [subprocess.Popen(_SPIN) for _ in range(os.cpu_count())]
        try:
            busy = milliseconds(OURS)
        finally:
            for other in others:
                other.kill()
        print(
            f"OMP_WAIT_POLICY={policy}: idle {idle:.0f} ms, busy {busy:.0f} ms a step"
        )


if __name__ == "__main__":
    main()
