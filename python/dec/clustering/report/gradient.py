"""The part on the gradient: how hard each row pulls, by how certain it is."""

from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from dec.clustering.report.results import Results, Snapshot
from dec.clustering.report.samples import Samples
from dec.nets import prototxt
from dec.page.html import Section, section, tag
from dec.page.plotting import BLUE, GREY, GRID, Figures, plot

_TEN = 10


def gradients(
    code: np.ndarray,
    q: np.ndarray,
    p: np.ndarray,
    centres: np.ndarray,
    inverse_variances: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """dL/dz of every row (rows x dims), L being the row's own KL divergence.

    code: rows x dims; q, p: rows x k; centres, inverse_variances: dims x k. What the
    layer does, but for its 1/n.
    """
    apart = code.astype(np.float64)[:, :, None] - centres[None]
    kernel = 1 / (1 + (inverse_variances * apart**2).sum(axis=1) / alpha)
    pull = (alpha + 1) / alpha * kernel * (p.astype(np.float64) - q)
    return np.einsum("nk,dk,ndk->nd", pull, inverse_variances, apart)


class Start:
    """The sampled rows before the first round, seen from one cluster.

    centres: of all clusters, dims x k. examples: some of its rows, by probability. q,
    size: probability and gradient of every sampled row; own: whether the cluster is its
    most probable.
    """

    def __init__(self, snapshot: Snapshot, folder: Path):
        layer = loss_layer(folder)
        code = snapshot.code.reshape(len(snapshot.code), -1)
        q = snapshot.proba.astype(np.float64)
        shape = code.shape[1], q.shape[1]
        centres, inverse = (
            np.array(blob.data, np.float64).reshape(shape) for blob in layer.blobs[:2]
        )
        self.centres = centres
        p = _targets(q, snapshot.sizes)
        slope = gradients(code, q, p, centres, inverse, _alpha(folder))
        assigned = q.argmax(axis=1)
        self.cluster = int(np.bincount(assigned, minlength=shape[1]).argmax())
        self.q = q[:, self.cluster]
        self.size = np.linalg.norm(slope, axis=1)
        self.own = assigned == self.cluster
        own = np.flatnonzero(self.own)
        own = own[np.argsort(self.q[own], kind="stable")]
        at = np.rint(np.linspace(0, len(own) - 1, min(_TEN, len(own)))).astype(int)
        self.examples = snapshot.rows[own[at]].tolist()
        self.example_q = self.q[own[at]].tolist()

    @classmethod
    def read(cls, results: Results) -> "Start | None":
        """None where the run did not keep what it takes."""
        snapshot = results.snapshots[0] if results.snapshots else None
        if snapshot is None or snapshot.number != 0 or not len(snapshot.rows):
            return None
        try:
            return cls(snapshot, results.folder)
        except (OSError, LookupError, ValueError, DecodeError):
            return None


def gradient_picture(start: Start, samples: Samples, figures: Figures) -> Section:
    figure, axes = plot(5.6, 3.8, f"Cluster c{start.cluster} before the first round")
    for own, color, label in (
        (False, GREY, "rows of other clusters"),
        (True, BLUE, f"rows of c{start.cluster}"),
    ):
        at = start.own == own
        axes.scatter(start.q[at], start.size[at], s=7, color=color, alpha=0.55,
                     linewidths=0, label=label)  # fmt: skip
    axes.set_xlabel(f"q: probability of c{start.cluster}")
    axes.set_ylabel("|dL/dz|: length of the gradient")
    axes.set_ylim(0, 1.18 * start.size.max() or 1)
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(loc="upper left", markerscale=2, ncols=2, frameon=False)
    own = start.own
    alt = (
        f"Scatter plot of the gradient's length against q for c{start.cluster}, "
        f"{len(start.q):,} rows; half of the cluster's own are above "
        f"{np.median(start.size[own]):.3f}, half of the others above "
        f"{np.median(start.size[~own]) if not own.all() else 0:.3f}."
    )
    parts = [
        tag(
            "p",
            "How hard the first round pulls at a row (its gradient), against how "
            f"probable cluster c{start.cluster}, the largest at that time, is for it. "
            "DEC trusts what is already fairly certain: where points to the right "
            "stand higher, the rows near the centre shape the cluster and ambiguous "
            "ones count less.",
        ),
        tag("div", figures.add("gradient", figure, alt), class_="one"),
    ]
    if samples.pictures.tiles:
        parts += [
            tag("h3", f"Rows of c{start.cluster} from the least probable to the most"),
            samples.strip(
                start.examples,
                start.cluster,
                [f"{value:.2f}" for value in start.example_q],
            ),
        ]
    return section("What drives the first round", *parts)


def _targets(q: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """p of some rows, from the cluster sizes (sums of q) over all rows."""
    weight = np.divide(q * q, sizes, out=np.zeros_like(q), where=sizes > 0)
    return weight / weight.sum(axis=1, keepdims=True)


def loss_layer(folder: Path):
    """The clustering layer that phase 2 of a run began with: its blobs are there."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString((folder / "init.caffemodel").read_bytes())
    return next(x for x in (*net.layer, *net.layers) if x.name == "loss")


def _alpha(folder: Path) -> float:
    net = prototxt.read_net(folder / "prototxt" / "dec.prototxt")
    for layer in (*net.layer, *net.layers):
        if layer.HasField("multi_t_loss_param"):
            return layer.multi_t_loss_param.alpha
    return 1.0
