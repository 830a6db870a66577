"""The part on samples: the most and the least certain rows of each cluster."""

import numpy as np

from dec.clustering.report.pictures import LARGEST, Pictures, png
from dec.clustering.report.results import Results
from dec.page.html import Html, Section, join, section, tag
from dec.page.plotting import Figures, inline, plot

_TEN = 10
_MOST_CLUSTERS = 50  # shown, the largest ones


class Samples:
    """Ten rows of each cluster at either end of certainty, and their pictures.

    also: further rows whose pictures will be asked for.
    """

    def __init__(self, results: Results, also: list[int]):
        self.results = results
        sizes = np.array(results.metrics["cluster_sizes"])
        largest = np.argsort(-sizes, kind="stable")[:_MOST_CLUSTERS].tolist()
        self.shown = [c for c in results.order if c in largest and sizes[c]]
        rows = {c: results.members(c) for c in self.shown}
        self.best = {c: rows[c][:_TEN].tolist() for c in self.shown}
        self.least = {c: rows[c][::-1][:_TEN].tolist() for c in self.shown}
        every = [r for part in (self.best, self.least) for c in part for r in part[c]]
        self.pictures = Pictures(results.database, every + also)

    def sections(self, figures: Figures) -> list[Section]:
        note = []
        if self.pictures.why:
            note.append(tag("p", self.pictures.why, class_="note"))
        empty = self.results.metrics["cluster_sizes"].count(0)
        if empty:
            are = "cluster is" if empty == 1 else "clusters are"
            note.append(tag("p", f"{empty} {are} empty.", class_="note"))
        if len(self.shown) + empty < self.results.k:
            words = (
                f"Of {self.results.k} clusters the {_MOST_CLUSTERS} largest are shown."
            )
            note.append(tag("p", words, class_="note"))
        marks = ""
        if self.results.labels is not None and self.pictures.tiles:
            marks = (
                " A red frame marks a row of another class than the one its cluster is "
                "matched to; below it stands its class"
            )
            every = len(self.results.class_of) == self.results.k
            marks += "." if every else ", as below rows of clusters without one."
        if self.pictures.kind == "bars":
            marks += " Each bar is one number of the row, all on one scale."
        parts = (
            (
                "best",
                "Most typical samples",
                "The ten rows that each cluster is most certain of, the best first: "
                "what the cluster stands for.",
                self.best,
            ),
            (
                "least_certain",
                "Least certain samples",
                "The ten rows of each cluster with the lowest probability, the lowest "
                "first: where the clusters touch, and the first place to look for "
                "mistakes.",
                self.least,
            ),
        )
        return [
            section(
                title,
                tag("p", words + marks),
                *note,
                self._clusters(name, chosen, figures),
            )
            for name, title, words, chosen in parts
        ]

    def _clusters(self, name: str, chosen: dict, figures: Figures) -> Html:
        if self.pictures.tiles:
            self._sheet(name, chosen, figures)
        groups = []
        for cluster, rows in chosen.items():
            size = f" · {self.results.metrics['cluster_sizes'][cluster]:,} rows"
            if cluster in self.results.class_of:
                name = self.results.class_name(self.results.class_of[cluster])
                size = f" · matched to class {name}{size}"
            title = tag("h3", f"Cluster c{cluster}", tag("span", size))
            groups.append(tag("div", title, self.strip(rows, cluster)))
        return tag("div", *groups, class_="clusters")

    def strip(self, rows: list[int], cluster: int, notes: list[str] | None = None):
        """A line of rows, as pictures where there are any, with what is to be said."""
        items = [
            self._item(row, cluster, notes[i] if notes else "")
            for i, row in enumerate(rows)
        ]
        tile = next(iter(self.pictures.tiles.values()), None)
        kind = "tiles" if tile is not None else "tiles plain"
        if self.pictures.kind == "image" and max(tile.shape[:2]) >= LARGEST / 2:
            kind = "tiles photos"  # larger than digits, to be seen
        return tag("ol", *items, class_=kind)

    def _item(self, row: int, cluster: int, note: str) -> Html:
        results = self.results
        words = f"row {row}, probability {results.confidence[row]:.3f}"
        wrong = alone = False
        label = ""
        if results.labels is not None:
            label = results.class_name(results.labels[row])
            words += f", class {label}"
            alone = cluster not in results.class_of
            wrong = not alone and results.labels[row] != results.class_of[cluster]
        kind = "other" if wrong else None
        named = wrong or alone
        below = tag("b", label) if named else join()
        if note:
            below = join(note, " " if named else "", below)
        tile = self.pictures.tiles.get(row)
        if tile is None:
            text = f"row {row}", tag("br"), f"p {results.confidence[row]:.3f}"
            more = (tag("br"), f"class {label}") if label else ()
            return tag("li", *text, *more, class_=kind)
        bars = self.pictures.kind == "bars"
        small = max(tile.shape[:2]) < LARGEST / 2 or bars
        look = " ".join(["bars"] * bars + ["pixels"] * small) or None
        picture = inline(png(tile), words, title=words, class_=look)
        return tag("li", picture, below, class_=kind)

    def _sheet(self, name: str, chosen: dict, figures: Figures) -> None:
        """All of them in one PNG, for slides."""
        tiles = self.pictures.tiles
        height, width, *_ = next(iter(tiles.values())).shape
        gap = max(1, height // 14)
        sheet = np.full(
            (len(chosen) * (height + gap), _TEN * (width + gap), 3), 255, np.uint8
        )
        for i, rows in enumerate(chosen.values()):
            for j, row in enumerate(rows):
                tile = tiles[row]
                tile = tile if tile.ndim == 3 else tile[..., None]
                y, x = i * (height + gap), j * (width + gap)
                sheet[y : y + height, x : x + width] = tile
        shape = sheet.shape[0] / sheet.shape[1]
        figure, axes = plot(6, min(6 * shape + 0.4, 40), "")
        axes.imshow(sheet, interpolation="nearest" if height < 64 else "antialiased")
        at = np.arange(len(chosen)) * (height + gap) + height / 2
        axes.set_yticks(at, [f"c{cluster}" for cluster in chosen])
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        figures.add(name, figure, "")
