"""`dec report` of a run of DeepCluster: report.html, and its figures as PNG."""

import io
import json
import re
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from PIL import Image

from dec.base.errors import DecError
from dec.base.words import duration
from dec.deepcluster import probe
from dec.deepcluster.images import Images
from dec.deepcluster.points import points_of
from dec.deepcluster.strongest import strongest
from dec.engine.runs import read_metrics
from dec.page.html import Html, Section, section, table, tag
from dec.page.page import page
from dec.page.plotting import BLUE, GREEN, GRID, ORANGE, Figures, inline, plot
from dec.page.write import write_report

_WORDS = (
    "DeepCluster trains a net without labels: the clusters of its own features are "
    "what it learns to tell apart, again and again. Where images have classes, these "
    "only judge the result."
)
_FIGURES = re.compile(r"(loss|scores|sse|sizes|filters)\.png")
_QUERIES, _NEAR, _TILE = 10, 9, 64


def report(folder: Path) -> None:
    """Writes report.html and figures/ into the folder of a finished run.

    Raises DecError where there is no finished run, or figures/ holds other things.
    """
    metrics = read_metrics(folder)
    write_report(folder, _FIGURES, lambda figures: _page(folder, metrics, figures))


def _page(folder: Path, metrics: dict, figures: Figures) -> str:
    parts = [
        _curves(metrics, figures),
        _probes(folder),
        _filters(folder, figures),
        *_images(folder, metrics),
        _sizes(metrics, figures),
        _epochs(metrics),
        _settings(metrics),
    ]
    facts = f"{metrics['n']:,} images, {metrics['k']:,} clusters, seed "
    facts += f"{metrics['seed']}, {metrics['settings']['epochs']} epochs, "
    facts += duration(metrics["train_seconds"])
    title = f"{folder.resolve().name}: images by DeepCluster"
    return page(title, facts, _WORDS, [part for part in parts if part])


def _curves(metrics: dict, figures: Figures) -> Section:
    history = metrics["history"]
    named = {
        "loss": {"loss": [entry.get("loss") for entry in history]},
        "sse": {
            "k-means": [entry["sse"] for entry in history],
            "as large clusters at random": [entry["sse_random"] for entry in history],
        },
        "scores": {
            "with the clusters before": [e.get("nmi_previous") for e in history]
        },
    }
    for part in ("train", "test"):
        if part in history[-1]:
            own = [entry[part]["nmi"] for entry in history]
            named["scores"][f"with the classes, {part}"] = own
    titles = {
        "loss": "Loss on the clusters, mean of an epoch",
        "sse": "Mean squared distance to the centres",
        "scores": "NMI of the clusters",
    }
    at = [entry["epoch"] for entry in history]
    pictures = []
    for name, lines in named.items():
        figure, axes = plot(5.4, 3.4, titles[name])
        for (label, values), color in zip(
            lines.items(), (BLUE, ORANGE, GREEN), strict=False
        ):
            points = [(x, y) for x, y in zip(at, values, strict=True) if y is not None]
            axes.plot(*zip(*points, strict=True), "o-", ms=3, color=color, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        if name == "scores":
            axes.set_ylim(0, 1)  # which leaves room for the names of the lines
        axes.grid(color=GRID, linewidth=0.8)
        if len(lines) > 1:
            axes.legend(frameon=False)
        ends = ", ".join(f"{k} {v[0]} to {v[-1]}" for k, v in lines.items())
        pictures.append(figures.add(name, figure, f"{titles[name]}: {ends}."))
    return section(
        "Epochs",
        tag(
            "p",
            "A high NMI with the clusters before says that clusters are stable, not "
            "that they are good; the loss is smaller with fewer clusters. What the net "
            "has learned, the probes below say.",
        ),
        tag("div", *pictures, class_="grid three"),
    )


def _probes(folder: Path) -> Section:
    file = folder / probe.FILE
    if not file.exists():
        words = f"Not probed yet: dec probe {folder}, then this report again."
        return section("Probes", tag("p", words))
    done = {k: v for k, v in json.loads(file.read_text()).items() if type(v) is dict}
    rows = [
        [
            name,
            f"{found['width']:,}",
            f"{found['linear']:.2%}",
            " to ".join(f"{100 * x:.1f}" for x in found["interval"]),
            f"{found['neighbours']:.2%}",
        ]
        for name, found in done.items()
    ]
    head = ["", "numbers", "linear", "95%", f"{probe.NEIGHBOURS} neighbours"]
    text = (
        "Test images whose class a linear classifier, or the nearest training images, "
        "get right, by what a layer says (averages over a grid of places); beside "
        "random weights, the pixels, and k-means on patches, which uses no net."
    )
    return section("Probes", tag("p", text), table(head, rows, "Probes by layer"))


def _filters(folder: Path, figures: Figures) -> Section | None:
    """The first layer's filters, a row an input channel."""
    from caffe.proto import caffe_pb2

    raw = (folder / "final.caffemodel").read_bytes()
    layers = caffe_pb2.NetParameter.FromString(raw).layer
    found = next((x for x in layers if x.type == "Convolution" and x.blobs and
                  x.blobs[0].shape.dim[2] > 3), None)  # fmt: skip
    if found is None:
        return None
    shape = tuple(found.blobs[0].shape.dim)
    weights = np.array(found.blobs[0].data).reshape(shape)
    figure, axes = plot(11, 0.4 + 0.44 * shape[1] * -(-shape[0] // 24), found.name)
    rows = []
    for at in range(0, shape[0], 24):
        for channel in range(shape[1]):
            tiles = [_framed(w[channel]) for w in weights[at : at + 24]]
            tiles += [np.ones_like(tiles[0])] * (24 - len(tiles))
            rows.append(np.concatenate(tiles, axis=1))
    axes.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=1)
    axes.axis("off")
    alt = f"{shape[0]} filters of {shape[2]} x {shape[3]} on {shape[1]} channels."
    text = (
        f"The weights of {found.name}; below one another, those for the slope to the "
        "left and for that upwards, of the same filter. Each from black to white."
    )
    return section("Filters", tag("p", text), figures.add("filters", figure, alt))


def _framed(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.pad((values - low) / (high - low or 1), 1, constant_values=1)


def _images(folder: Path, metrics: dict) -> list[Section]:
    """What the net says of the training images, in pictures."""
    try:
        train = Images(
            metrics["settings"]["train"],
            metrics["only"],
            metrics["settings"]["images"][0],
        )
        points = points_of(folder, metrics, train)
        strong = strongest(folder, metrics, train)
    except DecError as error:
        return [section("Images", tag("p", f"They could not be read: {error}"))]
    return [_strongest(train, strong), _neighbours(train, points)]


def _strongest(train: Images, strong: dict) -> Section:
    rows = []
    for layer, filters in strong.items():
        rows.append(tag("h3", layer))
        for number, images in filters:
            name = tag("li", f"filter {number}")
            tiles = [tag("li", _tile(train[i])) for i in images]
            rows.append(tag("ul", name, *tiles, class_="tiles"))
    text = (
        "Of every layer some filters, each with the training images for which it says "
        "most, in the mean over all places."
    )
    return section("Activations", tag("p", text), *rows)


def _neighbours(train: Images, points: np.ndarray) -> Section:
    """Ten images and those nearest to them, by the clustered features."""
    chosen = np.random.default_rng(0).choice(
        len(train), min(_QUERIES, len(train)), replace=False
    )
    rows = []
    for query in chosen.tolist():
        alike = points @ points[query]
        alike[query] = np.inf
        near = np.argsort(-alike, kind="stable")[: _NEAR + 1].tolist()
        own = train.labels[query]
        tiles = [
            tag(
                "li",
                _tile(train[i]),
                class_="other" if train.has_labels and train.labels[i] != own else None,
            )
            for i in near
        ]
        rows.append(tag("ul", *tiles, class_="tiles"))
    text = (
        "Ten images drawn at random (first in each row) and the nearest of all "
        "training images, by the features that are clustered."
    )
    if train.has_labels:
        text += " Framed in red: of another class."
    return section("Neighbours", tag("p", text), *rows)


def _tile(pixels: np.ndarray) -> Html:
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    image.thumbnail((_TILE, _TILE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return inline(file.getvalue(), "an image", class_="pixels")


def _sizes(metrics: dict, figures: Figures) -> Section:
    sizes = np.sort(metrics["history"][-1]["sizes"])[::-1]
    figure, axes = plot(10, 3, "Images of each cluster, largest first")
    axes.bar(np.arange(len(sizes)), sizes, width=1, color=BLUE)
    axes.set_xlabel("cluster")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    alt = f"Sizes of {len(sizes)} clusters: {sizes[-1]:,} to {sizes[0]:,} images."
    return section("Sizes", figures.add("sizes", figure, alt), tag("p", alt))


def _epochs(metrics: dict) -> Section:
    from dec.deepcluster.words import HEAD, row

    rows = [list(row(entry)) for entry in metrics["history"]]
    text = (
        "guessed: how often the last layer says the cluster that it was trained to say "
        "(test images, where there are some): chance is 1/k. matched: clusters paired "
        "one to one with classes by the training images."
    )
    seconds: dict[str, float] = {}
    for entry in metrics["history"]:
        for name, value in entry.get("seconds", {}).items():
            seconds[name] = seconds.get(name, 0) + value
    words = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
    return section(
        "Numbers",
        tag("p", text),
        table(list(HEAD), rows, "Numbers by epoch"),
        tag("p", f"Of the time: {words}."),
    )


def _settings(metrics: dict) -> Section:
    on = metrics["machine"]
    rows = [[name, str(value)] for name, value in metrics["settings"].items()]
    rows.append(["machine", f"{on['processor']}, {on['threads']} threads"])
    return section("Settings", table(["", ""], rows, "Settings"))
