"""The parts on the clusters: their table with the classes, sizes, confidence."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from dec.clustering.report.results import Results
from dec.page.html import Html, Section, section, table, tag
from dec.page.plotting import BLUE, GREY, GRID, INK, ORANGE, Figures, plot
from dec.scores.clusters import class_names

_MOST_CELLS = 400  # with numbers in them
_MOST_NAMES = 40  # below an axis


def class_table(results: Results, figures: Figures) -> Section | None:
    """Actual classes by clusters, matched: numbers and heat map."""
    if "table" not in results.metrics:
        return None
    counts = np.array(results.metrics["table"])
    own = results.metrics["cluster_of_class"]
    rows = []
    names = class_names(results.metrics)
    for i, row in enumerate(counts):
        right = row[own[i]] / max(row.sum(), 1) if own[i] >= 0 else 0.0
        cells = [_cell(row[c], c == own[i]) for c in results.order]
        rows.append([_class(names[i]), *cells, f"{row.sum():,}", f"{right:.1%}"])
    sums = counts.sum(axis=0)
    rows.append(["all", *(f"{sums[c]:,}" for c in results.order), f"{results.n:,}", ""])
    head = ["", *(f"c{c}" for c in results.order), "rows", "right"]
    return section(
        "Classes and clusters",
        tag(
            "p",
            "How many rows of each actual class (down) went to each cluster (across). "
            "Clusters have no names of their own; each is put below the class that it "
            "is matched to, so a good result stands on the diagonal. Two large numbers "
            "in one column are classes that the clusters do not tell apart. The last "
            "column is the share of the class that is in its own cluster.",
        ),
        table(head, rows, "Rows of each class by cluster"),
        tag("div", _heat_map(results, counts, figures), class_="one"),
    )


def _class(name: str) -> str:
    return f"class {name}" if name.isdigit() else name


def _cell(count: int, is_own: bool) -> Html:
    kind = "own" if is_own else None if count else "zero"
    return tag("td", f"{count:,}", class_=kind)


def _heat_map(results: Results, counts: np.ndarray, figures: Figures) -> Html:
    counts = counts[:, results.order]
    classes, k = counts.shape
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(0.5 * k + 1, 3.6), 12), min(max(0.38 * classes + 1, 2.2), 9)
    figure, axes = plot(*size, "Share of each class by cluster")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if counts.size <= _MOST_CELLS:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                ink = "white" if share[i, j] > 0.5 else INK
                axes.text(j, i, f"{count:,}", ha="center", va="center", color=ink,
                          size=7.5)  # fmt: skip
    _name_clusters(axes, results.order)
    names = class_names(results.metrics)
    if classes <= _MOST_NAMES:
        axes.set_yticks(range(classes), names)
    axes.set_xlabel("cluster, matched to the class")
    axes.set_ylabel("class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    matched = results.metrics["cluster_of_class"]
    alt = "Heat map of the table above. Share in its own cluster: " + ", ".join(
        f"{_class(names[i])} {share[i, results.order.index(c)]:.0%}"
        for i, c in enumerate(matched)
        if c >= 0
    )
    return figures.add("table", figure, alt + ".")


def _name_clusters(axes, order: list[int]) -> None:
    if len(order) <= _MOST_NAMES:
        axes.set_xticks(range(len(order)), [f"c{c}" for c in order])
    else:
        axes.set_xticks([])


def sizes(results: Results, figures: Figures) -> Section:
    """Cluster sizes, and how certain the rows are of their clusters."""
    return section(
        "Sizes and confidence",
        tag(
            "p",
            "How many rows each cluster has. One that takes much more than its share, "
            "or nearly nothing, deserves a look at its samples.",
        ),
        tag(
            "p",
            "A row's confidence is the probability of its own cluster. Training pushes "
            "rows towards one cluster, so they move to the right; what stays on the "
            "left lies between clusters.",
        ),
        tag(
            "div",
            _sizes(results, figures),
            _confidence(results, figures),
            class_="grid two",
        ),
    )


def _sizes(results: Results, figures: Figures) -> Html:
    total = np.array(results.metrics["cluster_sizes"])[results.order]
    figure, axes = plot(5.6, 3.6, "Rows of each cluster")
    at = np.arange(results.k)
    if "table" in results.metrics:
        counts = np.array(results.metrics["table"])
        own = [
            counts[results.class_of[c], c] if c in results.class_of else 0
            for c in results.order
        ]
        axes.bar(at, own, color=BLUE, label="of the matched class")
        axes.bar(at, total - own, bottom=own, color=GREY, label="of other classes")
        axes.set_ylim(0, 1.18 * total.max())
        axes.legend(loc="upper left", ncols=2, frameon=False)
    else:
        axes.bar(at, total, color=BLUE)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlabel("cluster")
    axes.set_ylabel("rows")
    _name_clusters(axes, results.order)
    alt = (
        f"Bar chart of cluster sizes, from {total.min():,} to {total.max():,} rows; "
        f"{int((total == 0).sum())} empty."
    )
    return figures.add("sizes", figure, alt)


def _confidence(results: Results, figures: Figures) -> Html:
    edges = np.linspace(0, 1, 41)
    figure, axes = plot(5.6, 3.6, "Confidence of the rows")
    end = results.confidence
    weights = np.full(len(end), 1 / max(len(end), 1))
    axes.hist(end, edges, weights=weights, color=BLUE, alpha=0.85, label="at the end")
    start = next((s for s in results.snapshots if s.number == 0 and not s.end), None)
    if start is not None:
        best = start.proba.max(axis=1)
        axes.hist(best, edges, weights=np.full(len(best), 1 / len(best)), color=ORANGE,
                  histtype="step", linewidth=1.8, label="at the start")  # fmt: skip
        axes.legend(loc="best", frameon=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlabel("probability of the row's own cluster")
    axes.set_ylabel("share of rows")
    alt = f"Histogram of confidence: half of the rows are above {np.median(end):.2f}"
    alt += f", at the start above {np.median(best):.2f}." if start is not None else "."
    return figures.add("confidence", figure, alt)
