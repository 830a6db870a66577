"""The code of all rows: computed, checked, given another basis."""

from contextlib import nullcontext

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.engine.experiment import Stage
from dec.nets.forward import over_database
from dec.nets.prototxt import data_layers

# The norm of the last layer's weights, by whose square SGD's steps in the layers below
# grow: 0.4 to 16 in codes of digits, photos and tables; thousands where phase 1 has
# learned nothing.
_LARGEST = 30
_MANY = 500_000  # rows whose embedding takes long enough for a bar


class Embedding:
    """Passes over all `rows` rows of phase 2's LevelDB, by its TEST net.

    net: pycaffe's, which holds the present weights.
    """

    def __init__(self, stage: Stage, net, rows: int):
        self.stage, self.net, self.rows = stage, net, rows

    def tops(self, *tops: str) -> list[np.ndarray]:
        """Tops of the net for all rows, in their order: n x their widths.

        The net is run up to the last of them.
        """
        net = self._test_net()
        (*_, end) = (name for name, made in net.top_names.items() if tops[-1] in made)
        whole = [
            np.empty((self.rows, *net.blobs[top].shape[1:]), np.float32) for top in tops
        ]
        long = self.rows >= _MANY
        shown = progress.bar(self.rows, "embed", " rows") if long else nullcontext()
        with shown as bar:
            for at, parts in over_database(net, self.rows, tops, end):
                for array, part in zip(whole, parts, strict=True):
                    array[at : at + len(part)] = part
                if bar is not None:
                    bar.update(len(parts[0]))
        return whole

    def check(self, code: np.ndarray, k: int) -> None:
        """DecError for a code, n x d, that cannot make k clusters."""
        self._check_finite(code)
        # Of equal rows, too, rounding differs from place to place.
        if k > 1 and np.ptp(code, axis=0).max() <= 1e-5 * np.abs(code).max():
            raise DecError(
                f"all rows have the same code, which cannot make {k} clusters: "
                "either the rows are equal (`dec data verify` tells) or phase 1 has "
                "learned nothing"
            )

    def code_layer(self) -> str:
        """The layer whose weights can give the code another basis, or DecError."""
        made_by = [name for name, t in self.net.top_names.items() if "output" in t]
        types = dict(zip(self.net._layer_names, self.net.layers, strict=True))
        (*_, layer) = made_by
        turned = [x.inner_product_param.transpose for x in self.stage.net.layer]
        if len(made_by) > 1 or types[layer].type != "InnerProduct" or any(turned):
            raise DecError(
                f"{self.stage.source}: the code of its net, the blob output, is not "
                "made by one InnerProduct layer (without transpose), so it cannot be "
                "given another basis; --kmeans plain leaves it as it is"
            )
        return layer

    def change_basis(self, layer: str, basis: np.ndarray) -> np.ndarray:
        """Makes the code z @ basis where it was z; `basis` is symmetric.

        Or with as much of it as keeps the layer's weights from being huge, which is
        said. Returns what it was.
        """
        weights = self.net.params[layer][0].data
        size = np.linalg.norm(basis @ weights, 2)
        if size > _LARGEST:
            progress.say(
                "phase 2: rows of a cluster have next to the same code: phase 1 has "
                "learned little. Their spread is not made the kernel's width, since "
                f"weights would grow too large for training ({size:.3g})"
            )
            basis = basis * (_LARGEST / size)
        for blob in self.net.params[layer]:
            blob.data[...] = basis @ blob.data
        return basis

    def _test_net(self):
        """A TEST net with the present weights, at the first row."""
        import caffe

        net = caffe.Net(str(self.stage.net_file), caffe.TEST)
        net.share_with(self.net)
        return net

    def _check_finite(self, code: np.ndarray) -> None:
        """DecError that tells a row with NaN in it from weights with NaN in them."""
        bad = np.flatnonzero(~np.isfinite(code).all(axis=1))
        if not len(bad):
            return
        layer = data_layers(self.stage.net, "TEST")[0]
        net = self._test_net()
        batch = net.blobs[layer.top[0]].shape[0]
        for _ in range(bad[0] // batch + 1):
            net.forward(end=layer.name)
        row = net.blobs[layer.top[0]].data[bad[0] % batch]
        source = layer.data_param.source
        if not np.isfinite(row).all():
            raise DecError(
                f"{source}: row {bad[0]} has NaN or infinity in it; "
                f"`dec data verify {source}` shows all such rows"
            )
        raise DecError(
            f"the autoencoder's code of row {bad[0]} is NaN or infinite: phase 1 "
            "diverged; a smaller base_lr in its solvers helps"
        )
