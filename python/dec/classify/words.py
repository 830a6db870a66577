"""Results as text for the terminal."""

import statistics
from pathlib import Path

from dec.base.files import printable
from dec.base.text_tables import aligned
from dec.base.words import duration
from dec.data.labelled.split import SETS

_FILES = {
    "metrics.json": "all numbers",
    "predictions.csv": "the guess for every photo",
    "final.caffemodel": "the weights; deploy.prototxt is their net",
    "prototxt/": "nets and solver as run",
    "log.txt": "Caffe's log",
}


def accuracy(score: dict) -> str:
    """A share with its interval: 93.7% (86.0 to 97.3)."""
    low, high = score["interval"]
    return f"{score['accuracy']:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def summary(metrics: dict, folder: Path) -> str:
    """The readable end of a fine-tuning run: scores, table, time, files."""
    trained = f"{metrics['iterations']:,} iterations, seed {metrics['seed']}"
    if metrics["patience"]:
        trained += f", the weights of iteration {metrics['iteration']:,}"
    rows = [("", "photos", "  accuracy, 95% interval")]
    for which in SETS:
        score = metrics[which]
        rows.append((which, f"{score['n']:,}", f"  {accuracy(score)}"))
    lines = [trained, "", *aligned(rows, ("<8", ">7", "<0"))]
    seconds = metrics["seconds"]
    lines += ["", table(metrics), ""]
    lines += [", ".join(f"{name} {duration(s)}" for name, s in seconds.items())]
    lines += [f"Files, in {folder}:"]
    rows = [(f"  {name}", text) for name, text in _FILES.items()]
    lines += aligned(rows, ("<20", "<0"))
    lines += [
        f"New photos: dec classify {folder} photo.jpg folder/",
        f"A page to look at: dec report {folder}",
    ]
    return "\n".join(lines)


def table(metrics: dict) -> str:
    """The test photos: actual class by predicted one, recall, precision."""
    names = [printable(name) for name in metrics["classes"]]
    test = metrics["test"]
    column = max(8, *(len(name) + 2 for name in names))
    words = "Test photos of each class (down) by what they were taken for (across):"
    rows = [("", *names, "recall")]
    for name, row, recall in zip(names, test["table"], test["recall"], strict=True):
        rows.append((name, *(n or "." for n in row), percent(recall)))
    rows.append(("precision", *map(percent, test["precision"])))
    columns = ("<0", *[f">{column}"] * len(names), ">10")
    return "\n".join([words, *aligned(rows, columns)])


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def median(runs: list[dict], which: str) -> float:
    """Of the accuracies of several runs on a set."""
    return statistics.median(run[which]["accuracy"] for run in runs)
