"""A step's time layer by layer, in float32 and in bfloat16.

    .venv/bin/python benchmarks/speed/layers.py dec-stack 256
    .venv/bin/python benchmarks/speed/layers.py caffenet 32

Milliseconds, the median of many steps, forward and backward; what the solver does
beside (the update of the weights) is the rest of its step.
"""

import argparse
import statistics
import time

import caffe_side

_SECONDS = 4.0  # of each measurement
_SIDES = ("ours", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", help="of nets.py")
    parser.add_argument("batch", type=int)
    options = parser.parse_args()
    found = {side: measure(options.net, options.batch, side) for side in _SIDES}
    print(f"{'':20}{'float32':^22}{'bfloat16':^22}")
    print(f"{'':20}" + f"{'forward':>11}{'backward':>11}" * len(_SIDES))
    for name in found["ours"]:
        times = [t for side in _SIDES for t in found[side][name]]
        print(f"{name:20}" + "".join(f"{1000 * t:11.2f}" for t in times))


def measure(net: str, batch: int, side: str) -> dict[str, tuple[float, float]]:
    """Seconds forward and backward by layer; the rest of a solver's step as "rest"."""
    job = {"net": net, "mode": "train", "batch": batch, "rows": "memory", "side": side}
    solver, net = caffe_side.load(caffe_side.network(job), job)
    solver.step(5)
    names = list(net._layer_names)
    forward, backward = ([[] for _ in names] for _ in range(2))
    for _ in repeated():
        for i in range(len(names)):
            forward[i].append(seconds(net._forward, i, i))
        for i in reversed(range(len(names))):
            backward[i].append(seconds(net._backward, i, i))
    step = statistics.median(seconds(solver.step, 1) for _ in repeated())
    found = {
        name: (statistics.median(forward[i]), statistics.median(backward[i]))
        for i, name in enumerate(names)
    }
    whole = sum(map(sum, found.values()))
    return found | {"rest": (0.0, step - whole), "step": (0.0, step)}


def repeated():
    """Steps for some seconds, three at least."""
    end, steps = time.monotonic() + _SECONDS, 0
    while steps < 3 or time.monotonic() < end:
        yield steps
        steps += 1


def seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
