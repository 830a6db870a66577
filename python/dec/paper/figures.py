"""`dec paper figures`: the paper's Figures 3.2 to 3.6, made again."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

from dec.base import progress
from dec.base.atomic import partial_path, replace_dir
from dec.base.errors import DecError
from dec.base.files import refuse_to_replace
from dec.clustering import auto, pipeline
from dec.clustering.report.embedding import layouts, moments
from dec.clustering.report.gradient import Start
from dec.clustering.report.results import Results as ARun
from dec.clustering.span import Span
from dec.data.images.row_images import RowImages
from dec.engine.runs import Run
from dec.page.html import Html
from dec.page.plotting import Figures
from dec.paper import drawings
from dec.paper.cells import Results
from dec.paper.methods import METHODS
from dec.paper.pages import Part, write_pages
from dec.paper.sources import TITLES, Source
from dec.paper.tables import folder_of, found

_NAMES = re.compile(r"figure_3_\d\w*\.png")
_SEED = 1
_SPAN, _QUICK_SPAN = Span(3, 20), Span(5, 13)
_POINTS = 2000
_TOP = 10


def figures(name: str, quick: bool) -> Path:
    """Writes figures.html, figures.md and figures/ of one data set; returns the page.

    One run of DEC as the paper's (its start, its schedule's encoder where that ships)
    is what Figures 3.2, 3.4 and 3.5 show; Figure 3.3 shows the cells that `dec paper
    tables` has computed; Figure 3.6 takes trials of its own, from the paper's start and
    from ours. What is up to date is not computed again.
    """
    sources, _ = found((name,), quick)
    source, folder = sources[name], folder_of(quick)
    results = _run(source)
    own = _Drawn(source, results, folder, quick)
    target = folder / "figures"
    refuse_to_replace(target, "the paper's figures", _NAMES)
    partial = partial_path(target)
    try:
        partial.mkdir()
        drawn = Figures(partial)
        parts = [
            own.top_ten(drawn),
            own.sweep(drawn),
            own.gradient(drawn),
            own.course(drawn),
            own.number(drawn),
        ]
        replace_dir(partial, target)
    except OSError as error:
        raise DecError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    title = f"The figures of the DEC paper, made again: {TITLES[name]}"
    words = f"{source.n:,} rows of {source.width:,} numbers in {source.k} clusters. "
    words += "Figures 3.2, 3.4 and 3.5 are of one run of DEC from plain k-means, seed "
    words += f"{_SEED}, on the encoder of the {source.schedule('paper')} schedule."
    return write_pages(folder, "figures", title, words, parts)


def _run(source: Source) -> ARun:
    run = Run(source.folder / "figures-run" / source.name)
    weights = source.encoder("paper", _SEED)
    settings = source.settings("plain", _SEED, None)
    pipeline.run_phase2(source.experiment, run, weights, {}, settings)
    return ARun.read(run.path)


class _Drawn:
    """The figures of one data set, each a part of the page."""

    def __init__(self, source: Source, results: ARun, folder: Path, quick: bool):
        self.source, self.results, self.folder = source, results, folder
        self.quick = quick
        self.images = RowImages.find(source.database)

    def top_ten(self, figures: Figures) -> Part:
        title = "Figure 3.2: the ten rows that score highest in each cluster"
        if self.images is None:
            return Part(title, "The rows are no pictures.")
        order = [c for c in self.results.order if len(self.results.members(c))]
        rows = [
            self.images.read(self.results.members(c)[:_TOP].tolist()) for c in order
        ]
        names = [self._name(c) for c in order]
        figure = drawings.sheet(rows, names)
        alt = "Ten pictures of each cluster, by probability."
        words = "By probability, the highest first; clusters in the order of classes."
        return _part(title, words, "2", figure, alt, figures)

    def _name(self, cluster: int) -> str:
        own = self.results.class_of.get(cluster)
        return f"c{cluster}" + ("" if own is None else f" ({own})")

    def sweep(self, figures: Figures) -> Part:
        title = "Figure 3.3: accuracy for each value of a method's parameter"
        kept = Results(self.folder / "cells.jsonl").records.values()
        part = Part(
            title,
            "Values in their order: lambda, mu and the update interval as `dec paper "
            "tables` tries them; k-means by its seeds. The first seed of the others.",
        )
        for data in dict.fromkeys(entry["data"] for entry in kept):
            accuracy = {}
            for method, known in METHODS.items():
                own = [
                    x
                    for x in kept
                    if (x["data"], x["method"], x["retention"]) == (data, method, None)
                ]
                if known.parameter and own:
                    first = min(x["seed"] for x in own)
                    own = [x for x in own if x["seed"] == first]
                own.sort(key=lambda x: (x["value"] or 0, x["seed"]))
                if own:
                    accuracy[known.name] = [x["acc"] for x in own]
            name = f"3_{data.replace('-', '_')}"
            figure = drawings.sweep(TITLES.get(data, data), accuracy)
            alt = f"Lines of accuracy by value, {data}: " + "; ".join(
                f"{x} {min(y):.1%} to {max(y):.1%}" for x, y in accuracy.items()
            )
            _add(part, name, figure, alt, figures)
        if not part.pictures:
            part.words = "No cells yet: `dec paper tables` computes them."
        return part

    def gradient(self, figures: Figures) -> Part:
        title = "Figure 3.4: the gradient against q before the first round"
        start = Start.read(self.results)
        if start is None:
            return Part(title, "The run did not keep what it takes.")
        snapshot = self.results.snapshots[0]
        cluster, rows, q, term = as_the_code_draws(snapshot, start.centres)
        figure = drawings.gradients(
            (f"as the text: cluster {start.cluster}", start.q, start.size, start.own),
            (f"as the original's code: cluster {cluster}", q, term),
        )
        words = (
            "Left, as the text says: the length of dL/dz, targets by equation 3.3, "
            "for the largest cluster (the paper: a random one), "
            f"{len(start.q):,} rows. Right, as the original's code draws it: the "
            "smallest cluster, only its own rows, targets without the cluster sizes "
            "f_j, and the term of this cluster alone, signed, times the sum of "
            "absolute differences."
        )
        alt = "Two scatter plots of gradient against q."
        part = _part(title, words, "4", figure, alt, figures)
        if self.images is not None and len(rows):
            at = np.rint(np.linspace(0, len(rows) - 1, min(_TOP, len(rows)))).astype(
                int
            )
            ten = rows[np.argsort(-q, kind="stable")][at]
            strip = drawings.sheet([self.images.read(ten.tolist())], [f"c{cluster}"])
            alt = f"Ten rows of cluster {cluster} from the highest q to the lowest."
            _add(part, "4_rows", strip, alt, figures)
        return part

    def course(self, figures: Figures) -> Part:
        title = "Figure 3.5: the code as phase 2 goes on"
        chosen = moments(self.results)
        history = self.results.metrics["history"]
        if not chosen or self.results.labels is None:
            return Part(title, "The run did not keep what it takes.")
        each = self.results.metrics["interval"] * _batch(self.results) / self.source.n
        planes = layouts([s.code.reshape(len(s.code), -1)[:_POINTS] for s in chosen])
        titled = [
            (f"epoch {s.number * each:.1f}", plane)
            for s, plane in zip(chosen, planes, strict=True)
        ]
        epochs = [i * each for i in range(len(history) + 1)]
        accuracy = [self.results.scores_after(i)["acc"] for i in range(len(epochs))]
        labels = self.results.labels[chosen[0].rows[:_POINTS]]
        figure = drawings.course(titled, labels, (epochs, accuracy))
        words = (
            f"t-SNE (perplexity 30) of {len(labels):,} rows drawn at random, coloured "
            f"by class. An epoch is {self.source.n:,} rows seen."
        )
        alt = f"t-SNE at {len(planes)} moments; accuracy {accuracy[0]:.1%} to "
        alt += f"{accuracy[-1]:.1%}."
        return _part(title, words, "5", figure, alt, figures)

    def number(self, figures: Figures) -> Part:
        part = Part(
            "Figure 3.6: how many clusters",
            "NMI of the rows that the trials of `--clusters auto` train on looks at "
            "labels; generalizability, training loss / validation loss, does not. "
            "docs/paper.md says how rows are split and trained on.",
            ["start", "clusters", "NMI", "generalizability", "stability", "silhouette"],
        )
        for start, which in (("plain", "paper"), ("within", "default")):
            found = self._numbers(start, which)
            schedule = self.source.schedule(which)
            title = f"{start}, the {schedule} schedule's encoder"
            figure = drawings.number(title, found["curve"])
            best = max(found["curve"], key=lambda entry: entry["nmi"])
            alt = f"NMI is highest at {best['k']}; {found['why']}"
            _add(part, f"6_{start}", figure, alt, figures)
            for entry in found["curve"]:
                names = ("nmi", "generalizability", "stability", "silhouette")
                cells = ("-" if entry[x] is None else f"{entry[x]:.3f}" for x in names)
                part.rows.append([start, f"{entry['k']}", *cells])
            named = ", ".join(f"{x} {k}" for x, k in found["votes"].items())
            part.rows.append([f"{start}: named by", named, *[""] * 4])
        return part

    def _numbers(self, start: str, which: str) -> dict:
        """The trials of `--clusters auto`, and the NMI of each."""
        source = self.source
        span = _QUICK_SPAN if self.quick else _SPAN
        span = Span(span.least, min(span.most, source.n // auto.EACH))
        run = Run(source.folder / "figures-run" / f"{source.name}-number-{start}")
        settings = replace(source.settings(start, _SEED, None), clusters=None)
        weights = source.encoder(which, _SEED)
        # As the paper's: all rows, to the end. The quick form is as `dec run` tries it.
        whole = () if self.quick else (source.n, settings.max_rounds)
        found = auto.choose(source.experiment, run, weights, settings, span, *whole)
        labels = source.labels[np.load(run.path / "auto/rows.npy")]
        for entry in found["curve"]:
            with np.load(run.path / "auto" / f"{entry['k']}.npz") as file:
                nmi = normalized_mutual_info_score(labels, file["assigned"])
            entry["nmi"] = float(nmi)
        return found


def as_the_code_draws(
    snapshot, centres: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """What the original's code puts into Figure 3.4.

    snapshot: code (m x d) and q (m x k) of some rows; centres: d x k. Returns the
    smallest cluster, the numbers of the rows in it, their q, and 2 (p - q) / (1 + d²)
    times the sum over the code's numbers of |z - mu|, with p = q² / (sum of q²).
    """
    q = snapshot.proba.astype(np.float64)
    assigned = q.argmax(axis=1)
    sizes = np.bincount(assigned, minlength=q.shape[1])
    cluster = int(np.where(sizes > 0, sizes, sizes.max() + 1).argmin())
    own = assigned == cluster
    p = q**2 / (q**2).sum(axis=1, keepdims=True)
    code = snapshot.code.reshape(len(q), -1).astype(np.float64)
    apart = code[own] - centres[:, cluster]
    kernel = 1 / (1 + (apart**2).sum(axis=1))
    pull = 2 * (p[own, cluster] - q[own, cluster]) * kernel
    term = pull * np.abs(apart).sum(axis=1)
    return cluster, snapshot.rows[own], q[own, cluster], term


def _batch(results: ARun) -> int:
    from dec.nets import prototxt

    net = prototxt.read_net(results.folder / "prototxt" / "dec.prototxt")
    return prototxt.data_layers(net, "TRAIN")[0].data_param.batch_size


def _part(title, words, number, figure, alt, figures) -> Part:
    part = Part(title, words)
    _add(part, number, figure, alt, figures)
    return part


def _add(part: Part, number: str, figure, alt: str, figures: Figures) -> Html:
    name = f"figure_3_{number}"
    part.pictures.append(figures.add(name, figure, alt))
    part.files.append(f"figures/{name}.png")
    progress.say(f"paper: {name}.png")
