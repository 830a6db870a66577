"""What waiting threads cost: training steps on an idle and on a busy machine.

With threads that sleep at once, that spin for a moment, as this project has them,
and that spin for as long as they wait; "busy" means one other program that computes
on every core.

make bench-busy
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

_NETS = {"dec-stack": 256, "dec-phase2": 256, "caffenet-small": 32}  # and batches
_WAITS = {
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
    "moment": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"},
    "spin": {"OMP_WAIT_POLICY": "ACTIVE"},
}
_TURNS = 3
_SIDE = Path(__file__).parent / "speed/caffe_side.py"
_SPIN = [sys.executable, "-c", "while True: pass"]


def milliseconds(net: str, waits: dict[str, str]) -> float:
    """The median training step of a net; rows in memory."""
    job = {"net": net, "mode": "train", "rows": "memory", "side": "ours"}
    job |= {"batch": _NETS[net]}
    environment = {n: v for n, v in os.environ.items() if n != "GOMP_SPINCOUNT"}
    result = subprocess.run(
        [sys.executable, str(_SIDE), "time", json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=environment | {"GLOG_minloglevel": "2"} | waits,
    )
    if result.returncode != 0:
        sys.exit("the step could not be timed; see above")
    return _NETS[net] * 1000 / json.loads(result.stdout.splitlines()[-1])["median"]


def busy_milliseconds(net: str, waits: dict[str, str]) -> float:
    others = [subprocess.Popen(_SPIN) for _ in range(os.cpu_count())]
    try:
        return milliseconds(net, waits)
    finally:
        for other in others:
            other.kill()


def main() -> None:
    print(f"milliseconds a step, medians of {_TURNS} turns")
    print(f"{'':16}" + "".join(f"{name:>18}" for name in _WAITS))
    print(f"{'':16}" + f"{'idle':>10}{'busy':>8}" * len(_WAITS))
    for net in _NETS:
        found = {
            name: [
                (milliseconds(net, waits), busy_milliseconds(net, waits))
                for _ in range(_TURNS)
            ]
            for name, waits in _WAITS.items()
        }
        row = f"{net:16}"
        for turns in found.values():
            idle, busy = map(statistics.median, zip(*turns, strict=True))
            row += f"{idle:10.1f}{busy:8.1f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
