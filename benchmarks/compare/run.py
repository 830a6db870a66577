"""DEC on the same rows and cores: ours, ClustPy's, and ours in PyTorch.

make bench-dec    (hours; needs data/mnist_*: make mnist-leveldb)

Every method and seed is a process of its own, whose result is written to
runs/bench/ as soon as it is there. Called again, it runs what is missing, or was
run with other settings; --table only prints the table of what is there. To try it
with small settings, give another --out.
"""

import argparse
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from plan import read_plan, sources
from table import NAMES, table

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.data import leveldb
from dec.engine.experiment import Experiment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
THEIR_PYTHON = ROOT / ".venv-bench/bin/python"
OUR_DEC = ROOT / ".venv/bin/dec"
_PR_SET_PDEATHSIG = 1
_NO_PHASE_1 = ("data", "dec", "compare")  # among the seconds of a run


def main() -> int:
    options = _parser().parse_args()
    try:
        jobs = None if options.table else _jobs(options)
        for job in jobs or []:
            _run(job)
        files = sorted(options.out.glob("*-seed*.json"))
        done = [json.loads(file.read_text()) for file in files]
        print(table(done) if done else f"{options.out}: there are no results yet")
    except DecError as error:
        progress.say(f"compare: error: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("compare: interrupted; the same command runs what is missing")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--table", action="store_true", help="print the table of what is there")
    add("--experiment", default="mnist", help="a folder of prototxt/ (mnist)")
    add("--schedule", default="short", help="phase 1's, ours and PyTorch's (short)")
    add("--methods", nargs="+", choices=NAMES, default=["ours", "torch", "clustpy"])
    add("--seeds", nargs="+", type=int, default=[1, 2, 3])
    add("--out", type=Path, default=Path("runs/bench"), help="folder (runs/bench)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--tol", type=float, default=0.001, help="as dec run's (0.001)")
    add("--max-rounds", type=int, default=200, help="as dec run's (200)")
    add(
        "--clustpy-epochs",
        nargs=2,
        type=int,
        default=[100, 150],
        metavar=("PRETRAINING", "CLUSTERING"),
        help="instead of ClustPy's defaults, to try the benchmark (100 150)",
    )
    return parser


def _jobs(options: argparse.Namespace) -> list[dict]:
    """What is to be run, method by method for every seed; skips what is there."""
    if not THEIR_PYTHON.exists() and set(options.methods) - {"ours"}:
        raise DecError(f"{THEIR_PYTHON}: there is none; `make bench-dec` installs it")
    experiment = Experiment.find(options.experiment)
    plan = read_plan(experiment, options.schedule)
    rows, labels, digest = _export(sources(plan), options.out / "rows")
    whole = list(rows)[-1]
    common = {"threads": options.threads, "data": digest}
    schedule = {
        "experiment": experiment.name,
        "schedule": options.schedule,
        "plan": plan,
        "tol": options.tol,
        "max_rounds": options.max_rounds,
        "kmeans": "within",
    }
    epochs = {
        "epochs": options.clustpy_epochs,
        "clusters": plan["dec"]["layers"][-1]["clusters"],
    }
    settings = {
        "ours": schedule,
        "torch": schedule,
        "clustpy": epochs | {"scale": "same"},
        "clustpy-z": epochs | {"scale": "z"},
    }
    jobs = []
    for seed in options.seeds:
        for method in options.methods:
            job = {
                "settings": {
                    "method": method,
                    "seed": seed,
                    **common,
                    **settings[method],
                },
                "out": str(options.out),
                "rows": rows if method == "torch" else rows[whole],
                "labels": labels,
            }
            if _there(job):
                progress.say(f"{method}, seed {seed}: there already")
            else:
                jobs.append(job)
    return jobs


def _export(databases: list[str], folder: Path) -> tuple[dict[str, str], str, str]:
    """Rows and the last one's labels as files of NumPy's; and a digest of all."""
    files, whole = {}, hashlib.sha256()
    folder.mkdir(parents=True, exist_ok=True)
    progress.say(f"writing the rows of {', '.join(databases)} to {folder}")
    for source in databases:
        with leveldb.open_reader(source) as reader:
            parts = list(reader.batches(size=4096))
        rows = np.concatenate([x for x, _ in parts]).reshape(reader.rows, -1)
        labels = np.concatenate([y for _, y in parts])
        files[source] = _save(folder / f"{Path(source).name}.npy", rows)
        for array in (rows, labels):
            whole.update(np.ascontiguousarray(array).data)
    if (labels < 0).any():
        raise DecError(f"{source}: it has no labels, so no accuracy can be told")
    labels_file = _save(folder / f"{Path(source).name}_labels.npy", labels)
    return files, labels_file, whole.hexdigest()


def _save(file: Path, array: np.ndarray) -> str:
    partial = file.with_suffix(".partial.npy")
    np.save(partial, array)
    os.replace(partial, file)
    return str(file)


def _file(job: dict) -> Path:
    settings = job["settings"]
    return Path(job["out"]) / f"{settings['method']}-seed{settings['seed']}.json"


def _there(job: dict) -> bool:
    try:
        before = json.loads(_file(job).read_text())["settings"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return False
    return before == job["settings"]


def _run(job: dict) -> None:
    """One method with one seed, in a process of its own; writes its result."""
    settings = job["settings"]
    method, seed = settings["method"], settings["seed"]
    progress.say(f"{method}, seed {seed}: begins")
    load, start = os.getloadavg()[0], time.monotonic()
    result = _ours(job) if method == "ours" else _theirs(job)
    result = {
        "method": method,
        "seed": seed,
        "settings": settings,
        "machine": machine(),
        "load": load,
        "wall": time.monotonic() - start,
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        **result,
    }
    write_text_atomic(_file(job), json.dumps(result, indent=1) + "\n")


def _theirs(job: dict) -> dict:
    """Runs one of the scripts here; their words go to the terminal."""
    settings, file = job["settings"], _file(job)
    script = "torch_dec.py" if settings["method"] == "torch" else "clustpy_dec.py"
    job_file, result_file = file.with_suffix(".job"), file.with_suffix(".result")
    write_text_atomic(job_file, json.dumps({**settings, **job}))
    command = [THEIR_PYTHON, HERE / script, job_file, result_file]
    _call(command, settings, PYTHONPATH=str(ROOT / "python"))
    result = json.loads(result_file.read_text())
    for file in (job_file, result_file):
        file.unlink()
    return result


def _ours(job: dict) -> dict:
    """`dec run` from nothing, and what its metrics.json tells."""
    settings, folder = job["settings"], _file(job).with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    command = [OUR_DEC, "run", settings["experiment"], "--run", folder]
    command += [
        "--pretrain",
        f"train-{settings['schedule']}",
        "--seed",
        settings["seed"],
    ]
    command += ["--kmeans", settings["kmeans"]]
    command += ["--tol", settings["tol"], "--max-rounds", settings["max_rounds"]]
    _call(command, settings)
    metrics = json.loads((folder / "metrics.json").read_text())
    stages = {n: s for n, s in metrics["seconds"].items() if n not in _NO_PHASE_1}
    # Phase 2 looks at accuracy after every round, which is no part of its work.
    phase2 = {n: s for n, s in metrics["dec_seconds"].items() if n != "scores"}
    phase1 = sum(stages.values())
    points = [{"at": "k-means", **metrics["kmeans"]}]
    points += [{"at": f"round {p['round']}", **p} for p in metrics["history"]]
    for point in points:
        seconds = point.get("seconds")
        point["seconds"] = None if seconds is None else phase1 + seconds
    return {
        "pretraining": phase1,
        "clustering": sum(phase2.values()),
        "parts": stages | phase2,
        "course": points,
        "machine": metrics["machine"],
        "versions": {"Caffe, kernels": metrics["machine"]["kernels"]} | _commit(),
    }


def _commit() -> dict[str, str]:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"commit": result.stdout.strip()} if result.returncode == 0 else {}


def _call(command: list, settings: dict, **more: str) -> None:
    """Runs a command on as many cores and threads as all get."""
    threads = settings["threads"]
    # Everyone chooses the kernels for this processor, and how its threads wait.
    left_out = ("OPENBLAS_", "OMP_", "MKL_", "GOMP_", "KMP_")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(left_out)}
    environment |= {"OMP_NUM_THREADS": str(threads), **more}
    result = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdout=sys.stderr,
        check=False,
        preexec_fn=lambda: _restrict(threads),
    )
    if result.returncode == 130 or result.returncode == -2:
        raise KeyboardInterrupt
    if result.returncode != 0:
        words = " ".join(str(word) for word in command[:3])
        raise DecError(f"{words} ... failed ({result.returncode}); see above")


def _restrict(cores: int) -> None:
    """For a child: so many cores, and no life after the benchmark's own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
