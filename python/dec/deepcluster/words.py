"""Results as text for the terminal."""

from pathlib import Path

from dec.base.text_tables import aligned
from dec.base.words import duration

_FILES = {
    "metrics.json": "all numbers, epoch by epoch",
    "assignments.csv": "the cluster of every image",
    "final.caffemodel": "the weights; deploy.prototxt is their net",
    "model.npz": "PCA and centres, for new images",
    "prototxt/": "nets and solver as run",
    "log.txt": "Caffe's log",
}
HEAD = ("epoch", "loss", "SSE", "NMI to last", "guessed", "NMI", "AMI", "matched")


def summary(metrics: dict, folder: Path) -> str:
    """The readable end of a run: a line an epoch, time, files."""
    k, seed = metrics["k"], metrics["seed"]
    lines = [f"{metrics['n']:,} images, {k:,} clusters, seed {seed}", ""]
    history = metrics["history"]
    shown = history if len(history) <= 12 else [*history[::-1][:: len(history) // 10]]
    rows = [row(entry) for entry in sorted(shown, key=lambda entry: entry["epoch"])]
    lines += aligned([HEAD, *rows], (">5", *[">13"] * (len(HEAD) - 1)))
    if "train" in history[-1]:
        lines += ["", "NMI, AMI, matched: with the classes, which nothing was told of."]
    lines += ["", f"training, with its features and clusters: "
              f"{duration(metrics['train_seconds'])}"]  # fmt: skip
    lines += [f"Files, in {folder}:"]
    rows = [(f"  {name}", text) for name, text in _FILES.items()]
    return "\n".join([*lines, *aligned(rows, ("<20", "<0"))])


def row(entry: dict) -> tuple[str, ...]:
    """An epoch's numbers, as HEAD names them."""
    part = entry.get("test") or entry.get("train") or {}
    guessed = entry.get("guessed", {})
    return (
        str(entry["epoch"]),
        _number(entry.get("loss")),
        _number(entry["sse"]),
        _number(entry.get("nmi_previous")),
        _share(guessed.get("test", guessed.get("train"))),
        _number(part.get("nmi")),
        _number(part.get("ami")),
        _share(part.get("acc")),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
