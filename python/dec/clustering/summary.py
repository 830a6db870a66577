"""What a run came to, as text for the terminal."""

import statistics
from pathlib import Path

import numpy as np

from dec.base.text_tables import aligned, markdown
from dec.clustering.choice import CRITERIA, disagreement
from dec.scores.clusters import class_names, columns

_AE = "autoencoder + k-means"
_STARTS = {"plain": "plain k-means", "graph": "graph"}
_RUNS = ("run", "method", "seed", "accuracy", "NMI", "ARI", "rounds")
_RUNS += ("phase 1", "phase 2")
_MEDIANS = ("method", "seeds", "accuracy", "lowest", "highest", "NMI", "ARI")
_CLEARLY = 0.01  # of NMI
_MOST_DOUBTS = 6  # that are told
_NAMES = {
    "data": "data",
    "stack": "autoencoder",
    "dec": "phase 2",
    "compare": "comparison",
    "auto": "how many clusters",
}


def summary(metrics: dict, folder: Path) -> str:
    """The readable end of a run: table, times, files and, last, the scores.

    Of another method's than DEC: one table.
    """
    if "rounds" not in metrics:
        return (table if "acc" in metrics else unlabelled)({folder.name: metrics})
    parts = [_table(metrics)] if "table" in metrics else []
    parts += [_times(metrics), _files(folder)]
    parts += [_auto(metrics["auto"])] if "auto" in metrics else []
    parts += [_comparison(metrics)] if "comparison" in metrics else []
    parts += [_signs(metrics["signs"])] if "signs" in metrics else []
    parts.append(_scores(metrics))
    return "\n\n".join(parts)


def table(runs: dict[str, dict]) -> str:
    """One row a run, name and metrics, then the medians by method, as Markdown."""
    by_method: dict[str, list[dict]] = {}
    rows = []
    for name, run in runs.items():
        method = _method(run)
        by_method.setdefault(method, []).append(run)
        rows.append((name, method, run["seed"], *_row(run)))
        # A run with another's code would tell of the same k-means again.
        if run.get("kmeans") and run.get("method", "DEC") == "DEC":
            name = _start(run, _STARTS)
            by_method.setdefault(name, []).append(run["kmeans"])
    medians = []
    for method in sorted(by_method, key=lambda m: _median(by_method[m], "acc")):
        found = by_method[method]
        acc = [entry["acc"] for entry in found]
        medians.append(
            (
                method,
                len(found),
                f"{_median(found, 'acc'):.2%}",
                f"{min(acc):.2%}",
                f"{max(acc):.2%}",
                f"{_median(found, 'nmi'):.4f}",
                f"{_median(found, 'ari'):.4f}",
            )
        )
    return "\n".join([*markdown(_RUNS, rows), "", *markdown(_MEDIANS, medians)])


def unlabelled(runs: dict[str, dict]) -> str:
    """One row a run, where there are no labels to score by, as Markdown."""
    rows = [
        (name, _method(run), run["seed"], run["n"], run["k"], min(sizes), max(sizes))
        for name, run in runs.items()
        for sizes in [run["cluster_sizes"]]
    ]
    head = ("run", "method", "seed", "rows", "clusters", "smallest", "largest")
    return "\n".join(markdown(head, rows))


def _start(run: dict, names: dict[str, str]) -> str:
    """What came before phase 2, a start called as `names` has it."""
    return _AE.replace("k-means", names.get(run.get("start", "plain"), "k-means"))


def _method(run: dict) -> str:
    """The method and, for DEC from another start than the default, from which."""
    start = _STARTS.get(run.get("start", "plain")) if "kmeans" in run else None
    return run.get("method", "DEC") + (f" from {start}" if start else "")


def _row(run: dict) -> tuple[str, ...]:
    seconds = dict(run["seconds"])
    own = ("dec", "kmeans", "ldmgi", "sec", "neighbours")
    phase2 = sum(seconds.pop(name, 0) for name in own)
    for name in ("data", "compare"):
        seconds.pop(name, None)
    phase1 = f"{sum(seconds.values()):.0f} s" if seconds else ""
    rounds = f"{run['rounds']}" if "rounds" in run else ""
    if not run.get("converged", True):
        rounds += ", not converged"
    scores = f"{run['acc']:.2%}", f"{run['nmi']:.4f}", f"{run['ari']:.4f}"
    return (*scores, rounds, phase1, f"{phase2:.0f} s")


def _median(entries: list[dict], score: str) -> float:
    return statistics.median(entry[score] for entry in entries)


def _scores(metrics: dict) -> str:
    rounds = f"{metrics['rounds']} rounds"
    if not metrics["converged"]:
        rounds += ", NOT converged: more --max-rounds go on from here"
    head = f"{metrics['n']:,} rows in {metrics['k']} clusters, seed {metrics['seed']}, "
    if "acc" not in metrics:
        return head + rounds
    rows = [("", "accuracy", "NMI", "ARI")]
    for name, row in (
        (_start(metrics, {"graph": "graph"}), metrics["kmeans"]),
        (metrics.get("method", "DEC"), metrics),
    ):
        numbers = f"{row['acc']:.2%}", f"{row['nmi']:.4f}", f"{row['ari']:.4f}"
        rows.append((name, *numbers))
    return "\n".join([head + rounds, "", *aligned(rows, ("<22", ">8", ">8", ">8"))])


def _auto(found: dict) -> str:
    """How the number of clusters was chosen."""
    lines = [
        f"How many clusters, by {found['rows']:,} rows and {found['validation']:,} for "
        "validation:"
    ]
    table = [("", *CRITERIA)]
    for entry in found["curve"]:
        row = []
        for name in CRITERIA:
            value = "-" if entry[name] is None else f"{entry[name]:.3f}"
            row.append(value + ("*" if found["votes"][name] == entry["k"] else " "))
        table.append((f"  {entry['k']}", *row))
    lines += aligned(table, ("<6", ">12", ">13", ">19"))
    lines.append(f"  *: what it names. {found['why']}")
    if not found["agree"]:
        words = disagreement(found)
        lines.append(f"  Warning: {words}.")
    return "\n".join(lines)


def _comparison(metrics: dict) -> str:
    """Simple methods beside the run; what is better than it is said."""
    found, method = metrics["comparison"], metrics.get("method", "DEC")
    rows = found["rows"]
    where = "all rows" if rows == metrics["n"] else f"{rows:,} of the rows"
    lines = [f"Simple methods on {where}, beside this run:"]
    if not found["methods"]:
        return f"{lines[0]} none could be had."
    labelled = "run" in found
    head = ("", "accuracy", "NMI", "as this run (ARI)")
    entries = [(entry["method"], entry) for entry in found["methods"]]
    entries += [(method, found["run"])] if labelled else []
    table = [head if labelled else (head[0], head[-1])]
    for name, entry in entries:
        scores = (f"{entry['acc']:.2%}", f"{entry['nmi']:.4f}") if labelled else ()
        alike = f"{entry['agreement']:.4f}" if "agreement" in entry else ""
        table.append((f"  {name}", *scores, alike))
    widths = ("<24", ">8", ">8", ">19") if labelled else ("<24", ">19")
    lines += aligned(table, widths)
    if labelled and (better := simple_methods_better(found)):
        lines.append(f"{' and '.join(better)}: better than {method} here.")
    return "\n".join(lines)


def simple_methods_better(found: dict) -> list[str]:
    """Those simple methods of a comparison whose NMI is clearly above the run's."""
    bar = found["run"]["nmi"] + _CLEARLY
    return [entry["method"] for entry in found["methods"] if entry["nmi"] > bar]


def _signs(found: dict) -> str:
    """Silhouette and stability, where they are defined."""
    lines = []
    if found["silhouette"] is not None:
        lines.append(
            f"  silhouette  {found['silhouette']:7.3f}   (before phase 2: "
            f"{found['silhouette_start']:.3f}; 1 apart, 0 none, below: mixed up)"
        )
    if found["stability"] is not None:
        lines.append(
            f"  stability   {found['stability']:7.3f}   (1: half of the rows give the "
            "same clusters; 0: chance)"
        )
    if not lines:
        return "Signs without labels: too few rows or clusters for any."
    lines += [f"  {words}" for words in doubts(found)]
    return "\n".join([f"Signs without labels, on {found['rows']:,} rows:", *lines])


def doubts(signs: dict) -> list[str]:
    """Which clusters new starts join or cut in two, as sentences.

    Those of one start alone are chance and left out. Empty where signs were not taken.
    """
    if "starts" not in signs:
        return []
    of = signs["starts"]["number"]
    lines = []
    for entry in signs["merged"]:
        if entry["starts"] > 1:
            one, other = entry["clusters"]
            lines.append(f"c{one} and c{other} are one in {entry['starts']} of {of}")
    for entry in signs["split"]:
        if entry["starts"] > 1:
            lines.append(f"c{entry['cluster']} is two in {entry['starts']} of {of}")
    if not lines:
        return [f"{of} new starts on halves of the rows join or split no cluster."]
    more = len(lines) - _MOST_DOUBTS
    if more > 0:
        lines = [*lines[:_MOST_DOUBTS], f"and {more} more, in metrics.json"]
    return [f"Of {of} new starts on halves of the rows: {'; '.join(lines)}."]


def _table(metrics: dict) -> str:
    table = np.array(metrics["table"])
    order = columns(metrics)
    width = max(6, len(str(table.max())) + 2)
    words = "Rows of each class (down) by cluster (across, matched to the classes):"
    bars = " |", "  |"
    rows = [("class", bars[0], *(f"c{c}" for c in order), bars[1], "right")]
    for i, name in enumerate(class_names(metrics)):
        row, own = table[i], metrics["cluster_of_class"][i]
        right = row[own] / max(row.sum(), 1) if own >= 0 else 0.0
        cells = (row[c] or "." for c in order)
        rows.append((_short(name), bars[0], *cells, bars[1], f"{right:.1%}"))
    rows.append(("all", bars[0], *(table[:, c].sum() for c in order), bars[1]))
    widths = (">6", "<2", *[f">{width}"] * len(order), "<3", ">7")
    return "\n".join([words, *aligned(rows, widths)])


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


def _times(metrics: dict) -> str:
    on = metrics["machine"]
    lines = [
        f"Time, seconds ({on['processor']}, {on['threads']} threads, OpenBLAS kernels "
        f"for {on['kernels']}):"
    ]
    seconds = metrics["seconds"]
    detail = ", ".join(f"{name} {s:.1f}" for name, s in metrics["dec_seconds"].items())
    rows = [
        (f"  {_NAMES.get(name, name)}", f"{s:.1f}", f"  ({detail})" * (name == "dec"))
        for name, s in seconds.items()
    ]
    rows.append(("  together", f"{sum(seconds.values()):.1f}"))
    return "\n".join([*lines, *aligned(rows, ("<16", ">8", "<0"))])


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
    rows = [(f"  {n}", text) for n, text in what.items() if (folder / n).exists()]
    return "\n".join([f"Files, in {folder}:", *aligned(rows, ("<20", "<0"))])
