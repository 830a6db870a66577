"""What the processor reaches on a step's parts: ceilings.cpp, built when needed."""

import hashlib
import json
import subprocess
from pathlib import Path

from dec.base.errors import DecError

_SOURCE = Path(__file__).with_name("ceilings.cpp")
_FLAGS = ["-std=c++14", "-O3", "-march=native", "-fopenmp"]


def program(folder: Path = Path("build/bench")) -> Path:
    """The built program; built again where its source has changed.

    It is linked with the OpenBLAS that Caffe is linked with (caffe_layers/CMakeLists),
    and with Debian's oneDNN. Raises DecError where the compiler does not succeed.
    """
    arch = subprocess.run(
        ["g++", "-print-multiarch"], capture_output=True, text=True, check=False
    ).stdout.strip()
    blas = Path("/usr/lib") / arch / "openblas-openmp"
    headers = Path("/usr/include") / arch / "openblas-openmp"
    made = folder / f"ceilings-{digest()}"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    partial = made.with_suffix(".partial")
    command = ["g++", *_FLAGS, f"-I{headers}", _SOURCE, "-o", partial]
    command += [f"-L{blas}", f"-Wl,-rpath,{blas}", "-ldnnl", "-lopenblas"]
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise DecError(
            f"{_SOURCE}: cannot be built; it needs libdnnl-dev 2 and "
            f"libopenblas-openmp-dev:\n{result.stderr}"
        )
    partial.rename(made)
    return made


def digest() -> str:
    """Of the program's source."""
    return hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]


def request(pieces: list[dict]) -> str:
    """The pieces as the program reads them, a line each."""
    return "".join(
        f"{piece['kind']} {' '.join(map(str, piece['shape']))} {piece['passes']}\n"
        for piece in pieces
    )


def read(output: str) -> list[dict]:
    """What the program wrote: seconds by pass and by what computed it."""
    return [json.loads(line) for line in output.splitlines()]


def fastest(seconds: dict[str, float]) -> tuple[float, str]:
    """The fastest of one pass, and what it was.

    Winograd's transform is left out: it needs fewer multiplications than the
    direct convolution, for which the ceiling is.
    """
    direct = {name: value for name, value in seconds.items() if name != "winograd"}
    name = min(direct, key=direct.__getitem__)
    return direct[name], name
