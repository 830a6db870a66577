"""`dec probe`: what a run's net has learned, told by the classes.

Of every layer of convolutions: a linear classifier (ridge regression) and the k nearest
neighbours, on its averages over a grid of places; beside the same of a net with random
weights, of the pixels, and of Coates and Ng's patches (dec.deepcluster.patches).
Classes of all training images teach the classifiers, also where the net has seen some
of the images only; the test images judge them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.digest import sha256_of
from dec.base.errors import DecError
from dec.base.text_tables import aligned
from dec.deepcluster import fixed
from dec.deepcluster.experiment import GREY, SOBEL
from dec.deepcluster.images import Feed, Images, Views
from dec.deepcluster.patches import Patches
from dec.engine.runs import read_metrics
from dec.nets import caffe_process
from dec.nets.forward import Deployed
from dec.nets.prototxt import read_net
from dec.scores.classes import interval

FILE = "probes.json"
WIDTH = 1024  # numbers a layer, at most
NEIGHBOURS = 20
NEAR_ROWS = 10_000  # training images among which neighbours are looked for
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # by the number of rows
_BLOCK = 1000  # images


def probe(folder: Path, device: str = "cpu", patches: int = 400) -> str:
    """Probes a finished run, of images with classes and a test set; a table as text.

    Each probe that is done is kept in probes.json, so a call that was stopped goes on.
    patches: Coates and Ng's centres; 0: without them. Raises DecError without classes
    or tests.
    """
    metrics = read_metrics(folder)
    if metrics.get("kind") != "deepcluster":
        raise DecError(f"{folder}: is no run of dec deepcluster")
    settings = metrics["settings"]
    if not settings["test"] or not metrics["classes"]:
        raise DecError(
            f"{folder}: images with classes and a test set (deepcluster.toml) are "
            "needed, or there is nothing to tell by"
        )
    only = metrics["only"]
    train, test = Images(settings["train"], only), Images(settings["test"], only)
    file, key = folder / FILE, sha256_of(folder / "final.caffemodel")
    done = json.loads(file.read_text()) if file.exists() else {}
    if done.get("key") != key:
        done = {"key": key}
    net = read_net(folder / "deploy.prototxt")
    layers = [x.name for x in net.layer if x.type == "Convolution"]
    layers = [x for x in layers if x not in (GREY, SOBEL)]
    layers.append(settings["features"])
    views = Views(
        tuple(net.layer[0].input_param.shape[0].dim[2:]),
        settings["resize"],
        (1, 1),
        (1, 1),
        False,
    )

    def keep(name: str, rows: tuple[np.ndarray, np.ndarray]) -> None:
        done[name] = judged(rows[0], train.labels, rows[1], test.labels, name)
        write_text_atomic(file, json.dumps(done, indent=1) + "\n")

    def work() -> None:
        for start in ("trained", "random"):
            left = [layer for layer in layers if f"{layer}, {start}" not in done]
            if not left:
                continue
            deployed = _net(folder, net, start, settings, metrics["seed"], device)
            rows = [_rows(deployed, left, x, views) for x in (train, test)]
            for layer in left:
                keep(f"{layer}, {start}", tuple(part.pop(layer) for part in rows))
        if "pixels" not in done:
            keep("pixels", tuple(_pixels(x, views) for x in (train, test)))
        name = f"{patches} patches (Coates and Ng)"
        if patches and name not in done:
            found = Patches.fit(_images(train, views), patches, metrics["seed"])
            parts = (found.rows(_images(x, views), len(x)) for x in (train, test))
            keep(name, tuple(parts))

    caffe_process.run(work, folder / "log.txt")
    return table(json.loads(file.read_text()))


def table(done: dict) -> str:
    """The probes as text: a line each."""
    rows = [("", "numbers", "linear", "95% interval", f"{NEIGHBOURS} neighbours")]
    for name, found in done.items():
        if isinstance(found, dict):
            low, high = found["interval"]
            linear, near = f"{found['linear']:.2%}", f"{found['neighbours']:.2%}"
            span = f"{100 * low:.1f} to {100 * high:.1f}"
            rows.append((name, found["width"], linear, span, near))
    return "\n".join(aligned(rows, ("<32", ">8", ">10", ">16", ">16")))


def judged(train, labels, test, wanted, name: str) -> dict:
    """Accuracies on test of a linear classifier and of nearest neighbours.

    train, test: rows, float32, which are standardised in place. Neighbours: among the
    first NEAR_ROWS, by the cosine.
    """
    progress.say(f"probe: {name}, {train.shape[1]:,} numbers")
    mean, std = train.mean(axis=0), train.std(axis=0)
    scale = np.where(std > 1e-6 * max(float(std.max()), 1e-12), std, np.inf)
    for rows in (train, test):
        rows -= mean
        rows /= scale.astype(np.float32)
    weight, bias, penalty = ridge(train, labels)
    right = int(((test @ weight + bias).argmax(axis=1) == wanted).sum())
    some = train[:NEAR_ROWS], labels[:NEAR_ROWS]
    return {
        "width": int(train.shape[1]),
        "linear": right / len(test),
        "interval": interval(right, len(test)),
        "penalty": penalty,
        "neighbours": nearest_accuracy(*some, test, wanted),
    }


def ridge(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Least squares on the classes' indicators: weights (d x classes), biases, penalty.

    The penalty (on squared weights, a row) is chosen on the last tenth of the rows.
    """
    cut, classes = len(rows) - max(1, len(rows) // 10), int(labels.max()) + 1
    parts = [
        _moments(rows[at], np.eye(classes)[labels[at]])
        for at in (slice(0, cut), slice(cut, None))
    ]

    def right(penalty: float) -> int:
        weight, bias = _solved(parts[0], penalty)
        return int(((rows[cut:] @ weight + bias).argmax(axis=1) == labels[cut:]).sum())

    penalty = max(_PENALTIES, key=right)
    both = tuple(a + b for a, b in zip(*parts, strict=True))
    return *_solved(both, penalty), penalty


def _moments(rows: np.ndarray, targets: np.ndarray) -> tuple:
    """Count, sums and products of rows and targets, float64, summed over blocks."""
    d, classes = rows.shape[1], targets.shape[1]
    second, cross = np.zeros((d, d)), np.zeros((d, classes))
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        second += block.T @ block
        cross += block.T @ targets[at : at + _BLOCK].astype(np.float32)
    sums = rows.sum(axis=0, dtype=np.float64)
    return len(rows), sums, targets.sum(axis=0), second, cross


def _solved(moments: tuple, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases, float32."""
    n, sums, totals, second, cross = moments
    mean, target = sums / n, totals / n
    gram = second - n * np.outer(mean, mean) + penalty * n * np.eye(len(mean))
    weight = np.linalg.solve(gram, cross - n * np.outer(mean, target))
    return weight.astype(np.float32), (target - mean @ weight).astype(np.float32)


def nearest_accuracy(train, labels, test, wanted, k: int = NEIGHBOURS) -> float:
    """The share of test rows whose class most of their k nearest rows have."""
    unit = [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for x in (train, test)
    ]
    k, classes, right = min(k, len(train)), int(labels.max()) + 1, 0
    for at in range(0, len(test), 256):
        alike = unit[1][at : at + 256] @ unit[0].T
        near = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(near), classes))
        for i, row in enumerate(near):
            np.add.at(votes[i], labels[row], 1 + 1e-3 * alike[i, row])
        right += int((votes.argmax(axis=1) == wanted[at : at + 256]).sum())
    return right / len(test)


def _net(folder, net, start, settings, seed, device) -> Deployed:
    """The run's deploy net with its weights, or with random ones of the seed."""
    import caffe

    file, weights = folder / "deploy.prototxt", folder / "final.caffemodel"
    if start == "trained":
        return Deployed(file, weights, device)
    caffe.set_random_seed(seed)
    made = Deployed(file, None, device)
    fixed.write(made.net, settings["mean"], settings["std"])
    fixed.start_averages(made.net, net.layer)
    return made


def _images(images: Images, views: Views) -> Iterator[np.ndarray]:
    """Blocks of middles: n x 3 x height x width, float32."""
    feed = Feed(images, views)
    for at in range(0, len(images), _BLOCK):
        numbers = range(at, min(at + _BLOCK, len(images)))
        out = np.empty((len(numbers), 3, *views.side), np.float32)
        feed.middles(numbers, out)
        yield out


def _pixels(images: Images, views: Views) -> np.ndarray:
    """All pixels, or averages over a grid where they are more than WIDTH twice."""
    rows = (pooled(block, 2 * WIDTH) for block in _images(images, views))
    return np.concatenate(list(rows))


def _rows(
    net: Deployed, blobs: list[str], images: Images, views: Views
) -> dict[str, np.ndarray]:
    """Layers' averages over a grid of places, n x WIDTH at most each.

    blobs: in the net's order.
    """
    parts: dict[str, list[np.ndarray]] = {blob: [] for blob in blobs}
    with progress.bar(len(images), "layers", " images") as bar:
        for block in _images(images, views):
            for at in range(0, len(block), net.batch):
                own = block[at : at + net.batch]
                net.block(own, blobs[-1])
                for blob in blobs:
                    values = net.net.blobs[blob].data[: len(own)]
                    parts[blob].append(pooled(values, WIDTH))
            bar.update(len(block))
    return {blob: np.concatenate(parts.pop(blob)) for blob in blobs}


def pooled(values: np.ndarray, width: int) -> np.ndarray:
    """n x channels x height x width as rows of at most `width` numbers, float32.

    Averages over a grid as fine as that allows; its cells overlap by a place at most.
    """
    if values.ndim < 4:
        return np.array(values.reshape(len(values), -1), np.float32)
    channels, height, width_ = values.shape[1:]
    grid = max(1, int((width / channels) ** 0.5))
    rows, columns = min(grid, height), min(grid, width_)
    out = np.empty((len(values), channels, rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * height // rows, -(-(i + 1) * height // rows)
            left, right = j * width_ // columns, -(-(j + 1) * width_ // columns)
            cell = values[:, :, top:bottom, left:right]
            out[:, :, i, j] = cell.mean(axis=(2, 3))
    return out.reshape(len(values), -1)
