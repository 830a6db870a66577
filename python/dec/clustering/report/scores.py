"""The parts on scores: the headlines, and the curves by round."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from dec.base.words import duration
from dec.clustering.report.results import Results
from dec.page.html import Html, Section, section, tag
from dec.page.plotting import BLUE, GREEN, GRID, ORANGE, SOFT, Figures, plot

_SCORES = {"acc": "accuracy", "nmi": "NMI", "ari": "ARI"}


def headlines(results: Results) -> Section:
    metrics = results.metrics
    first = metrics.get("kmeans") or {}
    cards = [
        _card(name.capitalize() if key == "acc" else name, *_score(key, metrics, first))
        for key, name in _SCORES.items()
        if key in metrics
    ]
    ended = "converged" if metrics["converged"] else "not converged yet"
    cards += [
        _card("Rows", f"{results.n:,}", f"in {results.k} clusters"),
        _card("Rounds", str(metrics["rounds"]), ended),
        _card("Time", duration(sum(metrics["seconds"].values())), "all stages"),
    ]
    if "acc" not in metrics:
        words = tag(
            "p",
            "The rows have no labels, so nothing here says how right the clusters are: "
            "judge them by their samples and, where there are any, by the signs below.",
        )
    else:
        words = tag(
            "dl",
            tag("dt", "Accuracy"),
            tag(
                "dd",
                "share of rows in the cluster that is matched to their class; every "
                "class gets one cluster, so that most rows agree.",
            ),
            tag("dt", "NMI"),
            tag(
                "dd",
                "how much the cluster tells about the class: 0 nothing, 1 everything.",
            ),
            tag("dt", "ARI"),
            tag(
                "dd",
                "agreement over pairs of rows: 0 what chance gives, 1 perfect.",
            ),
        )
    return section("In short", tag("div", *cards, class_="cards"), words)


def _card(name: str, value: str, note: str) -> Html:
    return tag("div", tag("span", name), tag("b", value), tag("span", note),
               class_="card")  # fmt: skip


def _score(key: str, metrics: dict, first: dict) -> tuple[str, str]:
    as_text = "{:.2%}" if key == "acc" else "{:.4f}"
    note = f"k-means: {as_text.format(first[key])}" if key in first else ""
    return as_text.format(metrics[key]), note


def curves(results: Results, figures: Figures) -> Section | None:
    """Scores, loss and changes by round."""
    history = results.metrics["history"]
    if not history:
        return None
    pictures = [_loss(history, figures), _changed(results, figures)]
    words = (
        "A round trains the net for a while and then asks again for the cluster of "
        "every row. Training ends when hardly any row changes its cluster any more. "
        "The loss says how far the clusters are from the clearer ones (targets) that "
        "each round aims at; it may rise at first, while the targets get clearer."
    )
    if "acc" in history[-1]:
        pictures.insert(0, _scores(results, figures))
        words += " Round 0 is k-means on the autoencoder's code, before any of it"
        if results.metrics.get("start") == "graph":
            words = words.replace("k-means on", "the neighbour graph of")
        elif results.metrics.get("start") == "within":
            words += ", with distances in units of the clusters' own spread"
        words += "."
    columns = "three" if len(pictures) == 3 else "two"
    grid = tag("div", *pictures, class_=f"grid {columns}")
    return section("Round by round", tag("p", words), grid)


def _scores(results: Results, figures: Figures) -> Html:
    rounds = range(len(results.metrics["history"]) + 1)
    entries = [results.scores_after(i) for i in rounds]
    figure, axes = plot(4.6, 3.4, "Agreement with the classes")
    alt = f"Scores by round, from 0 to {rounds[-1]}."
    for (key, name), color in zip(_SCORES.items(), (BLUE, ORANGE, GREEN), strict=True):
        values = [entry.get(key, np.nan) for entry in entries]
        axes.plot(rounds, values, color=color, label=name, linewidth=1.8)
        alt += f" {name}: from {values[0]:.3f} to {values[-1]:.3f}."
    axes.legend(loc="best", frameon=False)
    _by_round(axes, "score")
    return figures.add("scores", figure, alt)


def _loss(history: list[dict], figures: Figures) -> Html:
    values = [entry["loss"] for entry in history]
    figure, axes = plot(4.6, 3.4, "Loss")
    axes.plot(*_points(history, "loss"), color=BLUE, linewidth=1.8)
    axes.set_ylim(0, 1.05 * max(values) or 1)
    _by_round(axes, "mean KL divergence of a round")
    alt = f"Loss by round, from {values[0]:.4f} to {values[-1]:.4f}."
    return figures.add("loss", figure, alt)


def _changed(results: Results, figures: Figures) -> Html:
    history = results.metrics["history"]
    rounds, shares = _points(history, "changed")
    figure, axes = plot(4.6, 3.4, "Rows that changed cluster")
    axes.plot(rounds, shares, color=BLUE, linewidth=1.8)
    if max(shares, default=0) == 0:
        axes.set_ylim(0, 1)
    else:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
        axes.yaxis.set_minor_formatter("")
    tol = results.metrics.get("tol")
    if tol:
        axes.axhline(tol, color=SOFT, linestyle="--", linewidth=1)
        axes.annotate(f"ends below {tol:.2%}", (rounds[0], tol), xytext=(0, 3),
                      textcoords="offset points", color=SOFT, size=8)  # fmt: skip
    _by_round(axes, "share of rows")
    alt = "Share of rows that changed cluster, by round"
    alt += f", from {shares[0]:.2%} to {shares[-1]:.2%}." if shares else "."
    return figures.add("changed", figure, alt)


def _points(history: list[dict], key: str) -> tuple[list[int], list[float]]:
    pairs = [(entry["round"], entry[key]) for entry in history if key in entry]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _by_round(axes, what: str) -> None:
    axes.set_xlabel("round")
    axes.set_ylabel(what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.grid(color=GRID, linewidth=0.8)
    lines = axes.get_lines()
    if lines and len(lines[0].get_xdata()) == 1:
        for line in lines:
            line.set_marker("o")
