"""What a run came to, as text for the terminal."""

import statistics
from pathlib import Path

import numpy as np

from dec.scores.clusters import class_names, columns

_AE = "autoencoder + k-means"
_NAMES = {
    "data": "data",
    "stack": "autoencoder",
    "dec": "phase 2",
}


def summary(metrics: dict, folder: Path) -> str:
    """The readable end of a run: table, times, files and, last, the scores."""
    parts = [_table(metrics)] if "table" in metrics else []
    parts += [_times(metrics), _files(folder), _scores(metrics)]
    return "\n\n".join(parts)


def table(runs: dict[str, dict]) -> str:
    """One row a run, name and metrics, then the medians by method, as Markdown."""
    lines = [
        "| run | method | seed | accuracy | NMI | ARI | rounds | phase 1 | phase 2 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    by_method: dict[str, list[dict]] = {}
    for name, run in runs.items():
        method = _method(run)
        by_method.setdefault(method, []).append(run)
        lines.append(f"| {name} | {method} | {run['seed']} | {_row(run)} |")
        # A run with another's code would tell of the same k-means again.
        if run.get("kmeans") and run.get("method", "DEC") == "DEC":
            name = _AE.replace("k-means", "plain k-means") if _plain(run) else _AE
            by_method.setdefault(name, []).append(run["kmeans"])
    lines += ["", "| method | seeds | accuracy | lowest | highest | NMI | ARI |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    by_acc = sorted(by_method, key=lambda m: _median(by_method[m], "acc"))
    for method in by_acc:
        found = by_method[method]
        acc = [entry["acc"] for entry in found]
        lines.append(
            f"| {method} | {len(found)} | {_median(found, 'acc'):.2%} | {min(acc):.2%} "
            f"| {max(acc):.2%} | {_median(found, 'nmi'):.4f} "
            f"| {_median(found, 'ari'):.4f} |"
        )
    return "\n".join(lines)


def _method(run: dict) -> str:
    """The method and, for DEC from the paper's k-means, that it is."""
    return run.get("method", "DEC") + (" from plain k-means" if _plain(run) else "")


def _plain(run: dict) -> bool:
    return "kmeans" in run and run.get("start", "plain") == "plain"


def _row(run: dict) -> str:
    seconds = dict(run["seconds"])
    phase2 = seconds.pop("dec", None) or seconds.pop("kmeans", 0)
    seconds.pop("data", None)
    phase1 = f"{sum(seconds.values()):.0f} s" if seconds else ""
    rounds = f"{run['rounds']}" if "rounds" in run else ""
    if not run.get("converged", True):
        rounds += ", not converged"
    return (
        f"{run['acc']:.2%} | {run['nmi']:.4f} | {run['ari']:.4f} | {rounds} | {phase1} "
        f"| {phase2:.0f} s"
    )


def _median(entries: list[dict], score: str) -> float:
    return statistics.median(entry[score] for entry in entries)


def _scores(metrics: dict) -> str:
    rounds = f"{metrics['rounds']} rounds"
    if not metrics["converged"]:
        rounds += ", NOT converged: more --max-rounds go on from here"
    head = f"{metrics['n']:,} rows in {metrics['k']} clusters, seed {metrics['seed']}, "
    if "acc" not in metrics:
        return head + rounds
    lines = [head + rounds, "", f"{'':22}accuracy     NMI     ARI"]
    for name, row in (
        (_AE, metrics["kmeans"]),
        (metrics.get("method", "DEC"), metrics),
    ):
        lines.append(f"{name:22}{row['acc']:8.2%}{row['nmi']:8.4f}{row['ari']:8.4f}")
    return "\n".join(lines)


def _table(metrics: dict) -> str:
    table = np.array(metrics["table"])
    order = columns(metrics)
    width = max(6, len(str(table.max())) + 2)
    lines = ["Rows of each class (down) by cluster (across, matched to the classes):"]
    classes = [_short(name) for name in class_names(metrics)]
    left = max(6, *map(len, classes))
    names = "".join(f"{f'c{c}':>{width}}" for c in order)
    lines.append(f"{'class':>{left}} |{names}  |  right")
    for i, row in enumerate(table):
        own = metrics["cluster_of_class"][i]
        right = row[own] / max(row.sum(), 1) if own >= 0 else 0.0
        cells = "".join(f"{row[c] or '.':>{width}}" for c in order)
        lines.append(f"{classes[i]:>{left}} |{cells}  | {right:6.1%}")
    total = "".join(f"{table[:, c].sum():>{width}}" for c in order)
    lines.append(f"{'all':>{left}} |{total}  |")
    return "\n".join(lines)


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


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
        "report.html": "a page to look at",
    }
    lines = [f"Files, in {folder}:"]
    lines += [
        f"  {name:18}{text}" for name, text in what.items() if (folder / name).exists()
    ]
    return "\n".join(lines)
