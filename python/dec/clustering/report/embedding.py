"""The part on the code: t-SNE of the same rows at some moments of the run."""

import numpy as np
from matplotlib.patheffects import withStroke
from scipy.linalg import orthogonal_procrustes
from sklearn.manifold import TSNE

from dec.base import progress
from dec.clustering.report.results import Results, Snapshot
from dec.page.html import Html, Section, section, tag
from dec.page.plotting import Figures, colors, plot

_POINTS = 2000
_FEWEST = 10
_MOMENTS = 4
_MOST_NAMES = 20  # written onto a picture
_PERPLEXITY, _SEED = 30, 0
_FEW = 1000  # points that have found their places after half of scikit-learn's
_ITERATIONS, _FEW_ITERATIONS = 1000, 500
_HALO = withStroke(linewidth=3, foreground="white")


def layouts(codes: list[np.ndarray]) -> list[np.ndarray]:
    """Every code (rows x dims) on a plane, each laid out from the one before.

    Starting from the last layout, and turned as it was, what did not move stays in
    its place, so that the pictures can be compared.
    """
    found: list[np.ndarray] = []
    for code in codes:
        if code.shape[1] <= 2:
            found.append(np.pad(code, ((0, 0), (0, 2 - code.shape[1]))))
            continue
        code = code.astype(np.float32)
        start = "random"
        if found:
            spread = found[-1].std(axis=0)
            start = (found[-1] / np.maximum(spread, 1e-12) * 1e-4).astype(np.float32)
        elif code.std() > 0:
            start = "pca"
        model = TSNE(
            perplexity=min(_PERPLEXITY, (len(code) - 1) / 3),
            init=start,
            max_iter=_ITERATIONS if len(code) > _FEW else _FEW_ITERATIONS,
            random_state=_SEED,
        )
        plane = model.fit_transform(code)
        plane -= plane.mean(axis=0)
        if found:
            plane = plane @ orthogonal_procrustes(plane, found[-1])[0]
        found.append(plane)
        progress.say(f"report: t-SNE {len(found)} of {len(codes)}")
    return found


def moments(results: Results) -> list[Snapshot]:
    """The start, the end, and two between, about equally many doublings apart."""
    found = [s for s in results.snapshots if len(s.rows) >= _FEWEST]
    at = np.linspace(0, len(found) - 1, min(_MOMENTS, len(found)))
    return [found[i] for i in dict.fromkeys(np.rint(at).astype(int))]


def code_pictures(results: Results, figures: Figures) -> Section | None:
    chosen = moments(results)
    if not chosen:
        return None
    codes = [s.code.reshape(len(s.code), -1)[:_POINTS] for s in chosen]
    planes = layouts(codes)
    plain = codes[0].shape[1] <= 2
    pictures = []
    for snapshot, plane in zip(chosen, planes, strict=True):
        rows = snapshot.rows[:_POINTS]
        group = results.assigned if results.labels is None else results.labels
        pictures.append(_scatter(results, snapshot, plane, group[rows], figures))
    what = "cluster that it has in the end" if results.labels is None else "class"
    words = (
        f"{len(planes[0]):,} rows picked at random, the same in every picture, each a "
        f"point in the colour of its {what}. "
    )
    words += (
        "The code has no more than two numbers and is drawn as it is."
        if plain
        else "The code's numbers are brought onto a plane by t-SNE, which keeps "
        "neighbours together: look at which points are mixed and which keep apart; "
        "distances between far groups, and their sizes, mean nothing."
    )
    if results.labels is not None:
        words += " The training never saw the classes."
    return section(
        "The code as training goes on",
        tag("p", words),
        tag("div", *pictures, class_="grid two" if len(pictures) > 1 else "grid one"),
    )


def _scatter(
    results: Results,
    snapshot: Snapshot,
    plane: np.ndarray,
    group: np.ndarray,
    figures: Figures,
) -> Html:
    title = _title(results, snapshot)
    letter = "c" if results.labels is None else ""
    count = results.k if results.labels is None else int(results.labels.max()) + 1
    palette = np.array(colors(count), dtype=object)
    figure, axes = plot(5.2, 5.0, title)
    axes.scatter(*plane.T, s=6, c=list(palette[group]), linewidths=0, alpha=0.8)
    if count <= _MOST_NAMES:
        for i in np.unique(group):
            own = plane[group == i]
            middle = np.median(own, axis=0)
            x, y = own[((own - middle) ** 2).sum(axis=1).argmin()]
            text = axes.text(x, y, f"{letter}{i}", ha="center", va="center", size=13)
            text.set(weight="bold", path_effects=[_HALO])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#dde3ea")
    name = "code_end" if snapshot.end else f"code_round_{snapshot.number}"
    alt = f"Scatter plot of the code on a plane. {title}."
    return figures.add(name, figure, alt)


def _title(results: Results, snapshot: Snapshot) -> str:
    if snapshot.number == 0:
        text = "Start: autoencoder and k-means"
    elif snapshot.end:
        text = f"End: after round {snapshot.number}"
    else:
        text = f"After round {snapshot.number}"
    scores = results.scores_after(snapshot.number)
    return text + (f", accuracy {scores['acc']:.1%}" if "acc" in scores else "")
