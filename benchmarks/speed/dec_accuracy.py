"""What the engine and bfloat16 do to DEC's phase 2 on MNIST: time and accuracy.

    .venv/bin/python benchmarks/speed/dec_accuracy.py

runs it from the encoder of the paper's schedule with Caffe's own layers, as it stands,
and with `bfloat16: true`, with the same seed, and prints a table. Runs are in
runs/engines/dec-VARIANT-SEED; those that are there are not made again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from accuracy import OUT, VARIANTS, change

from dec.base.text_tables import markdown
from dec.nets import prototxt

SOURCE = Path("prototxt/dec/mnist")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    for seed in options.seeds:
        for variant in VARIANTS:
            cluster(variant, seed)
    print(table(options.seeds))


def cluster(variant: str, seed: int) -> None:
    """`dec run`, into runs/engines/dec-VARIANT-SEED."""
    run = _run(variant, seed)
    if (run / "metrics.json").exists():
        return
    command = [Path(sys.executable).with_name("dec"), "run", "mnist"]
    command += ["--pretrain", "paper", "--seed", seed]
    command += ["--solver", write(variant), "--run", run]
    subprocess.run([str(word) for word in command], check=True)


def write(variant: str) -> Path:
    """Phase 2's solver and net with a variant's engine; returns the solver's file."""
    folder = OUT / "prototxt" / f"dec-{variant}"
    folder.mkdir(parents=True, exist_ok=True)
    net = prototxt.read_net(SOURCE / "dec.prototxt")
    change(net, variant)
    prototxt.write(folder / "dec.prototxt", net, f"{variant}: {SOURCE}")
    solver = prototxt.read_solver(SOURCE / "dec_solver.prototxt")
    solver.net = str(folder / "dec.prototxt")
    file = folder / "dec_solver.prototxt"
    prototxt.write(file, solver, f"{variant}: {SOURCE}")
    return file


def table(seeds: list[int]) -> str:
    header = ("layers", "seed", "accuracy", "NMI", "rounds", "phase 2")
    rows = []
    for variant in VARIANTS:
        for seed in seeds:
            found = json.loads((_run(variant, seed) / "metrics.json").read_text())
            scores = f"{found['acc']:.2%}", f"{found['nmi']:.4f}"
            seconds = f"{found['seconds']['dec']:.0f} s"
            rows.append((variant, seed, *scores, found["rounds"], seconds))
    return "\n".join(markdown(header, rows))


def _run(variant: str, seed: int) -> Path:
    return OUT / f"dec-{variant}-{seed}"


if __name__ == "__main__":
    main()
