"""Writes the prototxt folders of the other data sets from prototxt/mnist.

Nets and solvers are the same for all (the paper's section 4.3); what differs is
the width of the rows, the number of clusters and the update interval. `make
prototxts` runs this; edit prototxt/mnist or the table below, not what is derived.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent / "prototxt"


class DataSet(NamedTuple):
    """Numbers a row, clusters, and iterations between two updates of the targets."""

    width: int
    clusters: int
    interval: int


# Update intervals are the paper's: 160 for digits, 40 for STL, 20 for REUTERS.
DATA_SETS = {
    "fashion-mnist": DataSet(784, 10, 160),
    "stl": DataSet(1428, 10, 40),
    "photos": DataSet(4007, 3, 40),
    "reuters": DataSet(2000, 4, 20),
    "reuters10k": DataSet(2000, 4, 20),
    "20news": DataSet(2000, 20, 20),
    "reuters21578": DataSet(2000, 10, 20),
    "text": DataSet(2000, 10, 20),
    "npy": DataSet(784, 10, 160),
    "csv": DataSet(784, 10, 160),
}


def main() -> None:
    for name in ("mnist", *DATA_SETS):
        for path, text in derived(name).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def derived(name: str) -> dict[Path, str]:
    """The files of a data set's folder that are derived, and their texts."""
    files = {}
    for path in sorted((ROOT / "mnist").rglob("*.prototxt")):
        if path.name.startswith("frozen"):
            continue
        text = _for(name, path.read_text(encoding="utf-8"))
        to = ROOT / name / path.relative_to(ROOT / "mnist")
        if name != "mnist":
            files[to] = text
        if path.name.startswith("dec"):
            frozen = to.with_name(to.name.replace("dec", "frozen"))
            files[frozen] = _frozen(text)
    return files


def _for(name: str, text: str) -> str:
    """MNIST's file with another data set's name and numbers."""
    if name == "mnist":
        return text
    width, clusters, interval = DATA_SETS[name]
    for old, new in (
        (r'"mnist-', f'"{name}-'),
        (r"\b(data|runs|prototxt)/mnist\b", rf"\1/{name}"),
        (r"\bdata/mnist_", f"data/{name}_"),
        (r"\b0\.001275510204\b", f"{1 / width:.10g}"),
        (r"\b0\.035714\b", f"{width**-0.5:.6f}"),
        (r"\b784\b", str(width)),
        (r"\b(num_center: )10\b", rf"\g<1>{clusters}"),
        (r"\b(dim: 256 dim: )10\b", rf"\g<1>{clusters}"),
        (r"(\nmax_iter: )160\b", rf"\g<1>{interval}"),
    ):
        text = re.sub(old, new, text)
    return text


def _frozen(text: str) -> str:
    """DEC without backprop (the paper's table 3): only the centres are trained."""
    head = "# DEC without backprop: the encoder stays as it is, the centres move.\n#\n"
    text = text.replace('-dec"', '-frozen"').replace("/dec", "/frozen")
    return head + re.sub(r"lr_mult: [12] (?!}  # centres)", "lr_mult: 0 ", text)


if __name__ == "__main__":
    main()
