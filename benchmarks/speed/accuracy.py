"""What the engine and bfloat16 do to a fine-tuning: time and accuracy, same seeds.

    .venv/bin/python benchmarks/speed/accuracy.py prototxt/caffenet/small PHOTOS

trains on the photos in class folders with Caffe's own layers, as it stands, and with
`bfloat16: true`, seeds 1, 2, 3, and prints a table. Runs are in
runs/engines/VARIANT-SEED; those that are there are not made again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import nets
from caffe.proto import caffe_pb2

from dec.base.text_tables import aligned
from dec.nets import prototxt

VARIANTS = ("stock", "ours", "bfloat16")
OUT = Path("runs/engines")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    options = parser.parse_args()
    for seed in options.seeds:
        for variant in VARIANTS:
            folder = write(options.experiment, variant)
            train(folder, options.photos, seed)
    print(table(options.seeds))


def write(experiment: Path, variant: str) -> Path:
    """The experiment's prototxts in a folder of their own, with a variant's net."""
    folder = OUT / "prototxt" / variant
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train_val", "deploy"):
        net = prototxt.read_net(experiment / f"{name}.prototxt")
        change(net, variant)
        prototxt.write(folder / f"{name}.prototxt", net, f"{variant}: {experiment}")
    solver = prototxt.read_solver(experiment / "solver.prototxt")
    solver.net = str(folder / "train_val.prototxt")
    prototxt.write(folder / "solver.prototxt", solver, f"{variant}: {experiment}")
    return folder


def change(net: caffe_pb2.NetParameter, variant: str) -> None:
    if variant == "stock":
        nets.stock(net)
    elif variant == "bfloat16":
        net.bfloat16 = True


def train(folder: Path, photos: Path, seed: int) -> None:
    """`dec finetune`, into runs/engines/VARIANT-SEED."""
    run = OUT / f"{folder.name}-{seed}"
    if (run / "metrics.json").exists():
        return
    command = [Path(sys.executable).with_name("dec"), "finetune", folder]
    command += ["--from", photos, "--seed", seed, "--run", run]
    subprocess.run([str(word) for word in command], check=True)


def table(seeds: list[int]) -> str:
    rows = [("", "seconds of training", "val, % right", "test")]
    for variant in VARIANTS:
        found = [
            json.loads((OUT / f"{variant}-{seed}" / "metrics.json").read_text())
            for seed in seeds
        ]
        training = [m["seconds"]["training"] for m in found]
        right = (
            [100 * m[which]["accuracy"] for m in found] for which in ("val", "test")
        )
        rows.append((variant, *map(_cell, (training, *right))))
    lines = aligned(rows, ("<10", ">30", ">26", ">26"))
    lines += [f"Seeds {', '.join(map(str, seeds))}; behind /: medians."]
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    text = " ".join(f"{value:.1f}" for value in values)
    return f"{text} / {statistics.median(values):.1f}"


if __name__ == "__main__":
    main()
