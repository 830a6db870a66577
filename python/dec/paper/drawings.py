"""The figures themselves, from numbers to matplotlib."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dec.page.plotting import BLUE, GREY, GRID, ORANGE, colors

_CELL = 0.45  # inches of a picture on a sheet


def sheet(rows: list[list[np.ndarray]], names: list[str]) -> Figure:
    """Pictures in rows with a name each; white where a row is shorter."""
    across = max(len(row) for row in rows)
    height, width = rows[0][0].shape[:2]
    whole = np.full((len(rows) * height, across * width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            at = np.s_[i * height : (i + 1) * height, j * width : (j + 1) * width]
            # Grey ones are white on black, as MNIST's: ink on paper is easier to see.
            whole[at] = image if image.ndim == 3 else 255 - image[..., None]
    figure = Figure(
        figsize=(_CELL * across + 0.8, _CELL * len(rows) * height / width + 0.2),
        layout="constrained",
    )
    axes = figure.subplots()
    axes.imshow(whole)
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height, names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def sweep(title: str, accuracy: dict[str, list[float]]) -> Figure:
    """Accuracy of every method (Figure 3.3) by the number of its value, from 1."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    palette = colors(max(len(accuracy), 1))
    for (name, values), color in zip(accuracy.items(), palette, strict=False):
        at = range(1, len(values) + 1)
        axes.plot(at, values, marker="o", markersize=4, color=color, label=name)
    axes.set_title(title)
    axes.set_xlabel("value of the parameter, from the smallest")
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=GRID)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def gradients(
    text: tuple[str, np.ndarray, np.ndarray, np.ndarray],
    code: tuple[str, np.ndarray, np.ndarray],
) -> Figure:
    """|dL/dz| against q (Figure 3.4): as the text says, and as the code draws it.

    text: title, q, length, and whether a row is the cluster's own. code: title, q, and
    the signed term.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    title, q, length, own = text
    left.scatter(q[~own], length[~own], s=6, color=GREY, linewidths=0, label="others")
    left.scatter(q[own], length[own], s=6, color=BLUE, linewidths=0, label="its rows")
    left.set_title(title)
    left.set_ylabel("|dL/dz|")
    left.legend(frameon=False, markerscale=2)
    title, q, term = code
    right.scatter(q, term, s=6, color=BLUE, linewidths=0)
    right.set_title(title)
    right.set_ylabel("2 (p - q) |z - mu| / (1 + d²)")
    for axes in (left, right):
        axes.set_xlabel("q")
        axes.grid(color=GRID)
    return figure


def course(
    planes: list[tuple[str, np.ndarray]],
    labels: np.ndarray,
    accuracy: tuple[list[float], list[float]],
) -> Figure:
    """The code on a plane at some epochs, and accuracy by epoch (Figure 3.5).

    planes: title and points (m x 2). labels: m. accuracy: epochs and accuracies.
    """
    count = len(planes) + 1
    across = min(count, 3)
    down = -(-count // across)
    figure = Figure(figsize=(3.6 * across, 3.4 * down), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across)).ravel()
    palette = np.array(colors(int(labels.max()) + 1), dtype=object)
    for i, (title, plane) in enumerate(planes):
        axes[i].scatter(*plane.T, s=4, c=list(palette[labels]), linewidths=0)
        axes[i].set_title(f"({chr(97 + i)}) {title}", size=10)
        axes[i].set_xticks([])
        axes[i].set_yticks([])
    last = axes[count - 1]
    last.plot(*accuracy, color=BLUE)
    last.set_title(f"({chr(96 + count)}) accuracy by epoch", size=10)
    last.set_xlabel("epoch")
    last.yaxis.set_major_formatter(PercentFormatter(1))
    last.grid(color=GRID)
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure


def number(title: str, curve: list[dict]) -> Figure:
    """NMI and generalizability by the number of clusters (Figure 3.6)."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    ks = [entry["k"] for entry in curve]
    axes.plot(ks, [entry["nmi"] for entry in curve], color=BLUE, marker="o")
    axes.set_xlabel("clusters")
    axes.set_ylabel("NMI", color=BLUE)
    axes.set_title(title)
    axes.grid(color=GRID)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    known = [entry for entry in curve if entry["generalizability"] is not None]
    other = axes.twinx()
    other.errorbar(
        [entry["k"] for entry in known],
        [entry["generalizability"] for entry in known],
        [entry["error"] for entry in known],
        color=ORANGE,
        marker="s",
        capsize=2,
    )
    other.set_ylabel("generalizability (± standard error)", color=ORANGE)
    return figure
