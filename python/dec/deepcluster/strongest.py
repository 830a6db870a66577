"""Images that activate a net's filters most, as Caron et al. show them."""

from pathlib import Path

import numpy as np

from dec.deepcluster.experiment import GREY, SOBEL
from dec.deepcluster.images import Feed, Images, Views
from dec.nets import caffe_process
from dec.nets.forward import Deployed
from dec.nets.prototxt import read_net

FILTERS, IMAGES = 4, 9  # shown of a layer; of a filter


def strongest(
    folder: Path, metrics: dict, images: Images
) -> dict[str, list[tuple[int, list[int]]]]:
    """Of every layer of convolutions some filters, each with its images.

    A filter's images are those of the highest mean over all places. Filters are taken
    at even steps, of those that say anything.
    """
    net, kept = read_net(folder / "deploy.prototxt"), folder / "means.npz"
    layers = [
        layer.name
        for layer in net.layer
        if layer.type == "Convolution" and layer.name not in (GREY, SOBEL)
    ]
    side = tuple(net.layer[0].input_param.shape[0].dim[2:])
    views = Views(side, metrics["settings"]["resize"], (1, 1), (1, 1), False)

    def work() -> None:
        deployed = Deployed(folder / "deploy.prototxt", folder / "final.caffemodel")
        np.savez(kept, **_means(deployed, layers, images, views))

    caffe_process.run(work, folder / "log.txt")
    with np.load(kept) as file:
        means = {layer: file[layer] for layer in layers}
    kept.unlink()
    found = {}
    for layer, values in means.items():
        live = np.flatnonzero(np.ptp(values, axis=0) > 0)
        some = live[np.linspace(0, len(live) - 1, min(FILTERS, len(live))).astype(int)]
        order = np.argsort(-values[:, some], axis=0, kind="stable")[:IMAGES]
        found[layer] = [
            (int(number), order[:, i].tolist()) for i, number in enumerate(some)
        ]
    return found


def _means(net: Deployed, layers, images, views) -> dict[str, np.ndarray]:
    """Mean over the places of each filter, behind what is in place behind it."""
    feed, parts = Feed(images, views), {layer: [] for layer in layers}
    for at in range(0, len(images), net.batch):
        numbers = range(at, min(at + net.batch, len(images)))
        rows = np.empty((len(numbers), *net.shape), np.float32)
        feed.middles(numbers, rows)
        net.block(rows, layers[-1])
        for layer in layers:
            values = net.net.blobs[layer].data[: len(rows)]
            parts[layer].append(values.mean(axis=(2, 3)))
    return {layer: np.concatenate(own) for layer, own in parts.items()}
