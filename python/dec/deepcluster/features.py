"""What a net says of all images: float32, in a memory map in the run folder."""

import shutil
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.deepcluster.images import Feed, Images, Views
from dec.nets.forward import Deployed


class Features:
    """Room for the features of the images to train on, and of those to test with.

    train, test: n x d, once `reserve` has said d. The file is removed in the end.
    """

    def __init__(self, folder: Path, train: Images, test: Images | None):
        self.images = [train, test] if test else [train]
        self.path = folder / "features.npy"
        self._all = np.empty((0, 0), np.float32)

    def reserve(self, width: int) -> None:
        """Raises DecError where the disk is too small."""
        count = sum(map(len, self.images))
        free = shutil.disk_usage(self.path.parent).free
        if 4 * count * width > free:
            raise DecError(
                f"{self.path}: {count:,} x {width:,} features take "
                f"{4 * count * width / 1e9:.1f} GB; {free / 1e9:.1f} GB are free"
            )
        self._all = np.lib.format.open_memmap(
            self.path, "w+", np.float32, (count, width)
        )

    @property
    def train(self) -> np.ndarray:
        return self._all[: len(self.images[0])]

    @property
    def test(self) -> np.ndarray:
        return self._all[len(self.images[0]) :]

    def __enter__(self) -> "Features":
        return self

    def __exit__(self, *error) -> None:
        self._all = np.empty((0, 0), np.float32)
        self.path.unlink(missing_ok=True)


class Pass:
    """The deploy net over all images: their middles in, features and clusters out."""

    def __init__(
        self,
        deploy: Path,
        weights: Path | None,
        blobs: tuple[str, str],
        views: Views,
        device: str = "cpu",
        workers: int = 0,
    ):
        """weights: None where the net is to `share` them. blobs: that of the features,
        and that in which the last layer says how likely each cluster is.
        """
        self.blobs, self.views, self.workers = blobs, views, workers
        self.deployed = Deployed(deploy, weights, device)
        if self.deployed.shape != (3, *views.side):
            raise DecError(
                f"{deploy}: its input is {self.deployed.shape}, the trained net's "
                f"{(3, *views.side)}"
            )

    def share(self, net) -> None:
        """From here on the weights are those of this net, whatever they become."""
        self.deployed.net.share_with(net)

    def over(self, features: Features, title: str) -> list[np.ndarray]:
        """Fills `features`; returns the clusters that the last layer says."""
        net, (blob, scored) = self.deployed.net, self.blobs
        width = int(np.prod(net.blobs[blob].data.shape[1:]))
        features.reserve(width)
        guessed, at = [], 0
        total = sum(map(len, features.images))
        with progress.bar(total, title, " images") as bar:
            for images in features.images:
                feed = Feed(images, self.views, self.workers)
                own = []
                for start in range(0, len(images), self.deployed.batch):
                    numbers = range(
                        start, min(start + self.deployed.batch, len(images))
                    )
                    rows = np.empty((len(numbers), *self.deployed.shape), np.float32)
                    feed.middles(numbers, rows)
                    scores = self.deployed.block(rows, scored)
                    found = net.blobs[blob].data[: len(rows)]
                    features._all[at : at + len(rows)] = found.reshape(len(rows), -1)
                    own.append(scores.argmax(axis=1))
                    at += len(rows)
                    bar.update(len(rows))
                guessed.append(np.concatenate(own))
        return guessed
