"""Features of k-means on patches, without any net: what a net has to beat.

Source: A. Coates, A. Y. Ng, H. Lee, "An analysis of single-layer networks in
unsupervised feature learning", AISTATS 2011: patches of 6 x 6, normalised and whitened,
"triangle" activations at every place, summed over the four quarters of the image.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from dec.base import progress

SIDE = 6
_SAMPLE = 100_000  # patches that k-means sees
_CONTRAST, _WHITENING = 10.0, 0.1  # the paper's regularisation


@dataclass(frozen=True)
class Patches:
    """mean, whitening: of patches: d = 108, d x d. centres: k x d, of white ones."""

    mean: np.ndarray
    whitening: np.ndarray
    centres: np.ndarray

    @classmethod
    def fit(cls, blocks: Iterable[np.ndarray], k: int, seed: int) -> "Patches":
        """From blocks of images, n x 3 x height x width of 0..255."""
        rng = np.random.default_rng(seed)
        parts = []
        for block in blocks:
            n, _, height, width = block.shape
            at = rng.integers(0, [n, height - SIDE + 1, width - SIDE + 1], (2 * n, 3))
            parts += [
                block[i, :, y : y + SIDE, x : x + SIDE].reshape(-1) for i, y, x in at
            ]
        chosen = rng.permutation(len(parts))[:_SAMPLE]
        rows = _normalised(np.stack([parts[i] for i in chosen]).astype(np.float64))
        mean = rows.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(rows - mean, rowvar=False))
        whitening = axes @ np.diag(1 / np.sqrt(variances + _WHITENING)) @ axes.T
        white = (rows - mean) @ whitening
        model = MiniBatchKMeans(k, random_state=seed, batch_size=4096, n_init=1)
        with threadpool_limits(limits=2, user_api="openmp"):
            model.fit(white)
        return cls(mean, whitening, model.cluster_centers_.astype(np.float64))

    def rows(self, blocks: Iterable[np.ndarray], count: int) -> np.ndarray:
        """float32, n x 4k. count: of all images, for the progress."""
        weight = (self.whitening @ self.centres.T).astype(np.float32)
        shift = (self.mean @ self.whitening @ self.centres.T).astype(np.float32)
        white = self.whitening.astype(np.float32)
        length = (self.centres**2).sum(axis=1).astype(np.float32)
        out, step = [], 50
        with progress.bar(count, "patches", " images") as bar:
            for block in blocks:
                for at in range(0, len(block), step):
                    own = block[at : at + step]
                    out.append(self._some(own, weight, shift, white, length))
                    bar.update(len(own))
        return np.concatenate(out)

    def _some(self, images, weight, shift, white, length) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), (2, 3))
        n, _, high, wide = windows.shape[:4]
        flat = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * high * wide, -1)
        flat = _normalised(flat.astype(np.float32))
        moved = (flat - self.mean.astype(np.float32)) @ white
        squares = np.einsum("ij,ij->i", moved, moved)[:, None]
        apart = np.sqrt(np.maximum(squares - 2 * (flat @ weight - shift) + length, 0))
        near = np.maximum(apart.mean(axis=1, keepdims=True) - apart, 0)
        near = near.reshape(n, high, wide, -1)
        top, left = (high + 1) // 2, (wide + 1) // 2
        quarters = (
            near[:, :top, :left], near[:, :top, left:],
            near[:, top:, :left], near[:, top:, left:],
        )  # fmt: skip
        return np.concatenate([q.sum(axis=(1, 2)) for q in quarters], axis=1)


def _normalised(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.sqrt(rows.var(axis=1, keepdims=True) + rows.dtype.type(_CONTRAST))
