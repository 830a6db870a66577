"""What a run came to, as text for the terminal."""

import statistics
from pathlib import Path

import numpy as np

from dec.metrics import columns

_NAMES = {
    "data": "data",
    "stack": "autoencoder",
    "dec": "phase 2",
}


def summary(metrics: dict, folder: Path) -> str:
    """The readable end of a run: scores, table, times, files."""
    parts = [_scores(metrics)]
    if "table" in metrics:
        parts.append(_table(metrics))
    parts += [_times(metrics), _files(folder)]
    return "\n\n".join(parts)


def table(runs: dict[str, dict]) -> str:
    """One row a run, name and metrics, and their medians, as Markdown."""
    lines = [
        "| run | seed | AE + k-means | DEC | NMI | ARI | rounds | phase 1 | phase 2 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, run in runs.items():
        phase1 = sum(run["seconds"].values()) - run["seconds"]["dec"]
        phase1 -= run["seconds"].get("data", 0)
        rounds = f"{run['rounds']}{'' if run['converged'] else ', not converged'}"
        lines.append(
            f"| {name} | {run['seed']} | {run['kmeans']['acc']:.2%} | {run['acc']:.2%} "
            f"| {run['nmi']:.4f} | {run['ari']:.4f} | {rounds} "
            f"| {phase1:.0f} s | {run['seconds']['dec']:.0f} s |"
        )
    kmeans, acc, nmi, ari = (
        statistics.median(values)
        for values in zip(
            *(
                (r["kmeans"]["acc"], r["acc"], r["nmi"], r["ari"])
                for r in runs.values()
            ),
            strict=True,
        )
    )
    lines.append(
        f"| median | | {kmeans:.2%} | {acc:.2%} | {nmi:.4f} | {ari:.4f} | | | |"
    )
    return "\n".join(lines)


def _scores(metrics: dict) -> str:
    rounds = f"{metrics['rounds']} rounds"
    if not metrics["converged"]:
        rounds += ", NOT converged: more --max-rounds go on from here"
    head = f"{metrics['n']:,} rows in {metrics['k']} clusters, seed {metrics['seed']}, "
    if "acc" not in metrics:
        return head + rounds
    lines = [head + rounds, "", f"{'':22}accuracy     NMI     ARI"]
    for name, row in (
        ("autoencoder + k-means", metrics["kmeans"]),
        ("DEC", metrics),
    ):
        lines.append(f"{name:22}{row['acc']:8.2%}{row['nmi']:8.4f}{row['ari']:8.4f}")
    return "\n".join(lines)


def _table(metrics: dict) -> str:
    table = np.array(metrics["table"])
    order = columns(metrics)
    width = max(6, len(str(table.max())) + 2)
    lines = ["Rows of each class (down) by cluster (across, matched to the classes):"]
    names = "".join(f"{f'c{c}':>{width}}" for c in order)
    lines.append(f" class |{names}  |  right")
    for i, row in enumerate(table):
        own = metrics["cluster_of_class"][i]
        right = row[own] / max(row.sum(), 1) if own >= 0 else 0.0
        cells = "".join(f"{row[c] or '.':>{width}}" for c in order)
        lines.append(f"{i:6} |{cells}  | {right:6.1%}")
    total = "".join(f"{table[:, c].sum():>{width}}" for c in order)
    lines.append(f"   all |{total}  |")
    return "\n".join(lines)


def _times(metrics: dict) -> str:
    on = metrics["machine"]
    lines = [
        f"Time, seconds ({on['processor']}, {on['threads']} threads, OpenBLAS kernels "
        f"for {on['kernels']}):"
    ]
    for name, seconds in metrics["seconds"].items():
        lines.append(f"  {_NAMES.get(name, name):14}{seconds:8.1f}")
    detail = ", ".join(f"{name} {s:.1f}" for name, s in metrics["dec_seconds"].items())
    lines[-1] += f"  ({detail})"
    lines.append(f"  {'together':14}{sum(metrics['seconds'].values()):8.1f}")
    return "\n".join(lines)


def _files(folder: Path) -> str:
    what = {
        "metrics.json": "all numbers, round by round",
        "assignments.csv": "the cluster of every row",
        "clusters.png": "a picture of them",
        "final.caffemodel": "the weights; deploy.prototxt is their net",
        "prototxt/": "nets and solvers as run",
        "log.txt": "Caffe's log",
    }
    lines = [f"Files, in {folder}:"]
    lines += [
        f"  {name:18}{text}" for name, text in what.items() if (folder / name).exists()
    ]
    return "\n".join(lines)
