"""One picture of a run: the most typical rows of each cluster, and the table."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dec.data.images.row_images import RowImages

_BEST = 12  # samples a cluster


def draw(
    path: Path,
    database: Path,
    assigned: np.ndarray,
    confidence: np.ndarray,
    table: np.ndarray | None,
    order: list[int],
    classes: list[str],
) -> bool:
    """Draws what there is to show; False, and no file, when that is nothing.

    assigned, confidence: n, every row's cluster and its probability. table: classes x
    clusters, or None without labels. order: the clusters from left to right. classes:
    their names. Samples are drawn where the rows are, or were made of, images.
    """
    images = RowImages.find(database)
    parts = (images is not None) + (table is not None)
    if not parts:
        return False
    figure = Figure(figsize=(6.4 * parts, 0.55 * len(order) + 1), layout="constrained")
    axes = list(figure.subplots(1, parts, squeeze=False)[0])
    if images:
        _samples(axes.pop(0), images, assigned, confidence, order)
    if table is not None:
        _heat_map(axes.pop(0), table, order, classes)
    figure.savefig(path, dpi=110)
    return True


def _samples(axes, images, assigned, confidence, order) -> None:
    height, width = images.size
    sheet = np.full((len(order) * height, _BEST * width, 3), 255, np.uint8)
    for i, cluster in enumerate(order):
        rows = np.flatnonzero(assigned == cluster)
        best = rows[np.argsort(-confidence[rows], kind="stable")[:_BEST]]
        for j, image in enumerate(images.read(best.tolist())):
            at = np.s_[i * height : (i + 1) * height, j * width : (j + 1) * width]
            # Grey ones are white on black, as MNIST's: ink on paper is easier to see.
            sheet[at] = image if image.ndim == 3 else 255 - image[..., None]
    axes.imshow(sheet, aspect="equal")
    axes.set_yticks(
        (np.arange(len(order)) + 0.5) * height, [f"c{cluster}" for cluster in order]
    )
    axes.set_xticks([])
    axes.set_title("The rows that each cluster is most certain of")


def _heat_map(axes, table, order, classes) -> None:
    table = table[:, order]
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(table):
        if count:
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, f"{count}", ha="center", va="center", color=color, size=8)
    axes.set_xticks(range(len(order)), [f"c{cluster}" for cluster in order])
    axes.set_yticks(range(len(table)), classes)
    axes.set_xlabel("cluster, matched to the class")
    axes.set_ylabel("class")
    axes.set_title("Rows of each class in each cluster")
