"""How both sides time a step, and what they tell of it; the standard library alone."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

SECONDS, LEAST = 1.5, 3  # a measurement takes so long, or so many steps


def measure(step: Callable[[], object], samples: int) -> dict:
    """Times a step that handles so many images or rows, after two that warm up.

    Returns images or rows a second, of the best and of the median step; the process's
    peak of resident memory in MB; and what share of the machine others had meanwhile.
    """
    for _ in range(2):
        step()
    seconds: list[float] = []
    others, begin = _others(), time.monotonic()
    while len(seconds) < LEAST or sum(seconds) < SECONDS:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {
        "best": samples / min(seconds),
        "median": samples / statistics.median(seconds),
        "steps": len(seconds),
        "memory": peak_memory(),
        "others": (_others() - others) / (time.monotonic() - begin) / os.cpu_count(),
    }


def _others() -> float:
    """Seconds of processor time that all but this process have had since the start."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system


def peak_memory() -> float:
    """MB that this process had in memory at most (VmHWM of Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")
