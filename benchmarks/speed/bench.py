"""Speed and memory: ours beside stock Caffe, PyTorch 2.13 and the processor's limits.

make bench    (needs data/mnist_total: make mnist-leveldb)

Every measurement is a process of its own, whose result is written to
runs/bench-speed/ as soon as it is there; Caffe and PyTorch take turns. Called again,
it runs what is missing, or was measured with another build of Caffe; --table only
prints the tables of what is there. Before the first time that a net is timed, it is
checked that PyTorch's side computes what Caffe's does.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nets
import pieces
import report
from lines import LARGE, LINES, Line

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
THEIR_PYTHON = ROOT / ".venv-bench/bin/python"
# Of norms. A tie in a pooling, or a unit at 0, that rounding decides otherwise changes
# no blob, but gradients: one tie of 20,000 moves them by 1%. So PyTorch computes in
# double precision there, and where Caffe's rounding decides one, another draw of
# weights and inputs has none; other nets differ in every draw. Updates of a net with
# batch normalisation of four photos are within 2% in float32.
TOLERANCE = {"blob": 1e-4, "gradient": 1e-3, "update": 3e-2}
DRAWS = 3
CHECK_BATCH = 4
_PR_SET_PDEATHSIG = 1


def main() -> int:
    options = _parser().parse_args()
    try:
        if not options.table:
            _need()
            for turn in range(1, options.turns + 1):
                _large(turn, options)
                for line in options.lines:
                    _turn(line, turn, options)
        print(report.tables(options.out, options.lines))
    except DecError as error:
        progress.say(f"bench: error: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("bench: interrupted; the same command measures what is missing")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    keys = {line.key: line for line in LINES}

    def named(key: str) -> Line:
        if key not in keys:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(keys)}")
        return keys[key]

    add("--table", action="store_true", help="print the tables of what is there")
    add("--turns", type=int, default=5, help="repetitions of each measurement (5)")
    add("--lines", nargs="+", type=named, default=LINES, help="instead of all of them")
    add("--out", type=Path, default=Path("runs/bench-speed"), help="folder")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser


def _need() -> None:
    """DecError for what has to be there before anything is measured."""
    if not THEIR_PYTHON.exists():
        raise DecError(f"{THEIR_PYTHON}: there is none; `make bench` installs it")
    if not Path("data/mnist_total").is_dir():
        raise DecError("there is no data/mnist_total: call make mnist-leveldb first")


def _turn(line: Line, turn: int, options: argparse.Namespace) -> None:
    """All measurements of one line that are missing, side by side."""
    for side in ("stock", "ours"):
        check(line, side, options)
    for batch in line.batches:
        for side in line.sides():
            job = _job(line, side, batch, options)
            _measure(job, _file(options.out, line.key, f"{side}-{batch}", turn))
        job = _job(line, "ceiling", batch, options) | _program()
        file = _file(options.out, line.key, f"ceiling-{batch}", turn)
        if line.rows == "memory" and not _there(job, file):
            ours = _file(options.out, line.key, f"ours-{batch}", turn)
            _ceiling(json.loads(ours.read_text())["pieces"], job, file)


def _large(turn: int, options: argparse.Namespace) -> None:
    """The large matrix product."""
    job = {**_common(options), "net": "large", "side": "ceiling", "order": LARGE}
    job |= _program()
    file = _file(options.out, "large", "ceiling", turn)
    if not _there(job, file):
        shape, flop = [LARGE] * 3, 2 * LARGE**3
        piece = {"kind": "product", "shape": shape, "passes": "f", "flop": flop}
        _ceiling([piece], job, file)


def _common(options: argparse.Namespace) -> dict:
    build = Path(ROOT / "build/caffe/.inputs").read_text().strip()[:16]
    return {"threads": options.threads, "build": build}


def _job(line: Line, side: str, batch: int, options: argparse.Namespace) -> dict:
    """What decides a measurement's result."""
    what = {"net": line.net, "mode": line.mode, "rows": line.rows}
    return {**_common(options), **what, "side": side, "batch": batch}


def _program() -> dict:
    """What measures the ceilings, which decides them, too."""
    return {"program": pieces.digest()}


def _facts(job: dict, dropout: bool = True) -> dict:
    """A job as PyTorch's side takes it: with the net as plain data."""
    net = nets.build(job["net"], job["mode"], job["batch"], "memory")
    if not dropout:
        nets.without_dropout(net)
    return job | nets.facts(net, job["net"])


def _file(out: Path, key: str, side: str, turn: int) -> Path:
    return out / key / f"{turn}-{side}.json"


def _there(job: dict, file: Path) -> bool:
    try:
        return json.loads(file.read_text())["job"] == job
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return False


def _write(file: Path, job: dict, result: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    result = {"job": job, "machine": machine(), **result}
    result["finished"] = time.strftime("%Y-%m-%d %H:%M:%S")
    write_text_atomic(file, json.dumps(result, indent=1) + "\n")


def _measure(job: dict, file: Path) -> None:
    """One side's speed, if it is not there already."""
    if _there(job, file):
        return
    if job["side"].startswith("torch"):
        result = _torch("time", _facts(job), file)
    else:
        result = json.loads(_call(_caffe("time", job), job["threads"]))
    what = "rows" if job["net"].startswith("dec-") else "images"
    progress.say(f"{file}: {result['median']:,.1f} {what} a second")
    _write(file, job, result)


def _ceiling(parts: list[dict], job: dict, file: Path) -> None:
    """The parts of a step one by one, by oneDNN, OpenBLAS and PyTorch."""
    program = pieces.program()
    products = [i for i, part in enumerate(parts) if part["kind"] == "product"]

    def ask(asked: list[dict]) -> list[dict]:
        text = pieces.request(asked)
        return pieces.read(_call([program], job["threads"], text))

    found = ask(parts)
    cold: list[dict] = [{} for _ in parts]
    asked = [{**parts[i], "kind": "cold"} for i in products]
    for i, seconds in zip(products, ask(asked), strict=True):
        cold[i] = seconds
    shapes = [[*parts[i]["shape"], parts[i]["passes"]] for i in products]
    theirs = _torch("products", {**job, "products": shapes}, file)
    for i, seconds in zip(products, theirs, strict=True):
        for name, value in seconds.items():
            found[i][name]["PyTorch"] = value
    _write(file, job, {"pieces": parts, "seconds": found, "cold": cold})
    progress.say(f"{file}: the parts of a step")


def check(line: Line, side: str, options: argparse.Namespace) -> None:
    """DecError where PyTorch's net is not the one that Caffe runs.

    Looks at every blob, at the gradient of every weight, and at where two iterations
    of the solver take the weights; without dropout.
    """
    if line.rows != "memory":
        return
    layouts = [layout for layout in line.sides() if layout.startswith("torch")]
    job = {**_job(line, side, CHECK_BATCH, options), "layouts": layouts}
    file = options.out / "checks" / f"{line.net}-{line.mode}-{side}.json"
    if _there(job, file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(DRAWS):
        found = _apart({**job, "seed": seed}, file)
        bad = [n for n, d in found.items() if not d < TOLERANCE[n.split()[0]]]
        if not bad:
            break
    if bad:
        raise DecError(
            f"{line.name}: {bad[0]}: PyTorch's is {found[bad[0]]:.1e} from Caffe's "
            f"({side}); they are not the same net"
        )
    _write(file, job, {"apart": found})
    worst = max(found, key=found.__getitem__)
    progress.say(f"{file}: at most {found[worst]:.0e} apart ({worst})")


def _apart(job: dict, file: Path) -> dict[str, float]:
    """How far PyTorch's numbers are from Caffe's, for weights and inputs of a seed."""
    arrays = file.with_suffix(".npz")
    _call(_caffe("check", job, arrays), job["threads"], OMP_WAIT_POLICY="PASSIVE")
    found = _torch("check", _facts(job, dropout=False), file, arrays)
    arrays.unlink()
    return found


def _caffe(task: str, job: dict, *more: Path) -> list:
    return [sys.executable, HERE / "caffe_side.py", task, json.dumps(job), *more]


def _torch(task: str, job: dict, file: Path, *more: Path):
    """What torch_side.py prints for a job."""
    file.parent.mkdir(parents=True, exist_ok=True)
    job_file = file.with_suffix(".job")
    write_text_atomic(job_file, json.dumps(job))
    command = [THEIR_PYTHON, HERE / "torch_side.py", task, job_file, *more]
    # Spinning threads are for what is timed.
    waits = {"OMP_WAIT_POLICY": "PASSIVE"} if task == "check" else {}
    try:
        return json.loads(_call(command, job["threads"], **waits))
    finally:
        job_file.unlink()


def _call(command: list, threads: int, text: str | None = None, **more: str) -> str:
    """The last line (all lines, for a program that is given text) of a command.

    Both sides get the same cores and choose the kernels for this processor
    themselves, whatever the shell says. more: for its environment.
    """
    left_out = ("OPENBLAS_", "OMP_", "MKL_", "GOMP_", "KMP_", "ONEDNN_", "DNNL_")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(left_out)}
    environment |= {"OMP_NUM_THREADS": str(threads), "GLOG_minloglevel": "2", **more}
    result = subprocess.run(
        [str(word) for word in command],
        env=environment,
        input=text,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=lambda: _restrict(threads),
    )
    if result.returncode in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if result.returncode != 0:
        words = " ".join(Path(word).name for word in command[:3])
        raise DecError(f"{words} ... failed ({result.returncode}); see above")
    if text is None:
        return result.stdout.splitlines()[-1] if result.stdout else ""
    return result.stdout


def _restrict(cores: int) -> None:
    """For a child: so many cores, and no life after the benchmark's own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
