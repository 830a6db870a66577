"""Weights that are written, not learned: grey, Sobel, a last layer of means."""

import numpy as np

from dec.base.errors import DecError
from dec.deepcluster.cluster import BLOCK
from dec.deepcluster.experiment import GREY, SOBEL

_SHAPES = {GREY: ((1, 3, 1, 1), (1,)), SOBEL: ((2, 1, 3, 3),)}
_EDGES = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float64)


def write(net, mean, std) -> None:
    """Writes the layers "grey" and "sobel" of a pycaffe net, where it has them.

    grey: the mean of red, green and blue, each less `mean` and divided by `std` (both
    of 0..1), from pixels of 0..255 that come blue first. sobel: the slope to the left
    and upwards. DecError for layers of those names and other shapes.
    """
    for name, wanted in _SHAPES.items():
        if name not in net.params:
            continue
        shapes = tuple(tuple(blob.data.shape) for blob in net.params[name])
        if shapes != wanted:
            raise DecError(
                f'the layer "{name}" has weights of {shapes}, not of {wanted}; give it '
                "another name, or the shape that dec fills"
            )
    if GREY in net.params:
        weight, bias = net.params[GREY]
        mean, std = (np.asarray(x, np.float64)[::-1] for x in (mean, std))
        weight.data[...] = (1 / (3 * 255 * std)).reshape(1, 3, 1, 1)
        bias.data[...] = -(mean / (3 * std)).sum()
    if SOBEL in net.params:
        (weight,) = net.params[SOBEL]
        weight.data[...] = np.stack([_EDGES, _EDGES.T])[:, None]


def start_averages(net, layers) -> None:
    """Has the moving averages of a new pycaffe net begin at mean 0, variance 1.

    As PyTorch's do, and with the same weight. Caffe's begin with nothing, so that
    before the first batch a BatchNorm layer would multiply by 316. layers: the
    prototxt's.
    """
    for layer in layers:
        if layer.type == "BatchNorm":
            mean, variance, weight = net.params[layer.name]
            mean.data[...] = 0
            variance.data[...] = weight.data[...] = 1 / (
                1 - layer.batch_norm_param.moving_average_fraction
            )


def centroid_head(
    features: np.ndarray, assigned: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """A last layer by which a row belongs to the cluster of the nearest mean.

    features: n x d before the ReLU that stands before the last layer; the means are of
    what that makes of them. Distances are in units of the spread within the clusters,
    over all numbers. Returns weights (k x d) and biases (k). (DeepCluster-v2 takes the
    centres of k-means, with rows of unit length and no bias.)
    """
    n, d = features.shape
    sums, squares = np.zeros((k, d)), 0.0
    for at in range(0, n, BLOCK):
        rows = np.maximum(np.array(features[at : at + BLOCK], np.float64), 0)
        np.add.at(sums, assigned[at : at + BLOCK], rows)
        squares += float(np.einsum("ij,ij->", rows, rows))
    sizes = np.bincount(assigned, minlength=k)[:, None]
    means = sums / np.maximum(sizes, 1)
    spread = (squares - float((sizes * means**2).sum())) / n
    spread = max(spread, 1e-6 * squares / n, 1e-12)
    middle = sums.sum(axis=0) / n
    weight = (means - middle) / spread
    bias = -((means**2).sum(axis=1) - (middle**2).sum()) / (2 * spread)
    return weight.astype(np.float32), bias.astype(np.float32)
