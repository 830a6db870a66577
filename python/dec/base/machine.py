"""What a run was computed on: its numbers hold, bit for bit, for the same."""

import os
import platform

from threadpoolctl import threadpool_info


def machine() -> dict[str, str | int]:
    """Processor, cores, and the threads and kernels of the BLAS that Caffe uses.

    OpenBLAS chooses its kernels by the processor, or by OPENBLAS_CORETYPE; other
    kernels round otherwise, and training then takes another course.
    """
    blas = [
        library
        for library in threadpool_info()
        if library["internal_api"] == "openblas"
        and "openblas-openmp" in library["filepath"]
    ]
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": blas[0]["num_threads"] if blas else 0,
        "kernels": blas[0].get("architecture", "?") if blas else "?",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
