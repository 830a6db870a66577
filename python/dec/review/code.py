"""Where the items lie: neighbours, parts of a cluster, and a map of all."""

import threading

import numpy as np

from dec.base.atomic import partial_path
from dec.base.errors import DecError
from dec.base.progress import say
from dec.review.items import Items

_LAID_OUT = 5000  # items, at most, of a map by t-SNE
_FEWEST = 10  # for t-SNE
_AMONG = 3  # laid out items, among which each other one is put
_SEED = 0


class Code:
    """A few numbers for every item, from its run; the map is kept in the loop."""

    def __init__(self, items: Items):
        self.items = items
        self._reading, self._laying = threading.Lock(), threading.Lock()
        self._code: np.ndarray | None = None
        self._map: tuple[str, np.ndarray] | None = None

    @property
    def numbers(self) -> np.ndarray:
        """n x d. Raises DecError where there is no run, or its rows are gone."""
        if self.items.results is None:
            raise DecError(
                "this loop began with a table of clusters: the map, nearest photos and "
                "splitting need a run of DEC or DeepCluster"
            )
        with self._reading:
            if self._code is None:
                self._code = self.items.results.code(self.items.root)
            return self._code

    def nearest(self, item: int, count: int) -> list[tuple[int, float]]:
        """(item, distance) of the nearest others, the nearest first."""
        code = self.numbers
        apart = ((code - code[item]) ** 2).sum(axis=1)
        apart[item] = np.inf
        best = np.argpartition(apart, min(count, len(apart) - 1))[:count]
        best = best[np.argsort(apart[best], kind="stable")]
        return [(int(i), float(np.sqrt(apart[i]))) for i in best if i != item]

    def two_parts(self, items: list[int]) -> list[int]:
        """The smaller of two parts of the items, by k-means (10 restarts)."""
        from sklearn.cluster import KMeans

        rows = self.numbers[items]
        if len(items) < 2 or np.ptp(rows, axis=0).max() == 0:
            raise DecError("all its photos have the same code: k-means cannot part it")
        part = KMeans(2, n_init=10, random_state=_SEED).fit_predict(rows)
        small = int(part.sum() * 2 <= len(part))
        return [
            item for item, p in zip(items, part.tolist(), strict=True) if p == small
        ]

    def near_clusters(self, clusters: dict[int, str], count: int = 3) -> dict:
        """For every cluster those whose middles are nearest to its own."""
        code = self.numbers
        words = np.array([clusters[i] for i in range(len(code))])
        names = sorted(set(clusters.values()))
        middles = np.stack([code[words == name].mean(axis=0) for name in names])
        apart = ((middles[:, None] - middles[None]) ** 2).sum(axis=2)
        np.fill_diagonal(apart, np.inf)
        order = np.argsort(apart, axis=1, kind="stable")[
            :, : min(count, len(names) - 1)
        ]
        return {n: [names[j] for j in row] for n, row in zip(names, order, strict=True)}

    def map(self) -> tuple[str, np.ndarray]:
        """How it was made, in words, and n x 2 numbers from 0 to 1."""
        code = self.numbers
        with self._laying:
            if self._map is None:
                self._map = self._kept() or self._laid_out(code)
            return self._map

    def _kept(self) -> tuple[str, np.ndarray] | None:
        file = self.items.root / "map.npz"
        try:
            with np.load(file) as found:
                plane, how, names = found["plane"], str(found["how"]), found["names"]
        except (OSError, ValueError, KeyError, EOFError):
            return None
        return (how, plane) if int(names) == hash_of(self.items.names) else None

    def _laid_out(self, code: np.ndarray) -> tuple[str, np.ndarray]:
        if code.shape[1] <= 2 or len(code) < _FEWEST:
            plane = np.pad(code, ((0, 0), (0, 2)))[:, :2]
            how = "the code's first two numbers"
        elif len(code) <= _LAID_OUT:
            from dec.clustering.report.embedding import layouts

            [plane] = layouts([code])
            how = "the code by t-SNE, as in the report"
        else:
            plane = _among_some(code)
            how = f"{_LAID_OUT:,} of them by t-SNE, each other one among its nearest"
        low, high = plane.min(axis=0), plane.max(axis=0)
        scale = max(float((high - low).max()), 1e-12)
        plane = (0.5 + (plane - (low + high) / 2) / scale).clip(0, 1).astype("f4")
        self._keep(how, plane)
        return how, plane

    def _keep(self, how: str, plane: np.ndarray) -> None:
        file = self.items.root / "map.npz"
        new = partial_path(file)
        try:
            with open(new, "wb") as out:
                names = hash_of(self.items.names)
                np.savez(out, plane=plane, how=np.array(how), names=names)
            new.replace(file)
        except OSError as error:
            say(f"{file}: {error.strerror}; the map will be made again next time")


def hash_of(names: list[str]) -> int:
    """By which it is known that a map is of these items."""
    from dec.base.digest import digest

    whole = "\0".join(names).encode("utf-8", "surrogateescape")
    return int(digest(whole)[:15], 16)


def _among_some(code: np.ndarray) -> np.ndarray:
    """The layout of a random part by t-SNE; each other row among its nearest of them.

    There it lies in their middle, weighted by 1 / distance.
    """
    from sklearn.neighbors import NearestNeighbors

    from dec.clustering.report.embedding import layouts

    some = np.random.default_rng(_SEED).permutation(len(code))[:_LAID_OUT]
    [laid] = layouts([code[some]])
    apart, near = NearestNeighbors(n_neighbors=_AMONG).fit(code[some]).kneighbors(code)
    weight = 1 / np.maximum(apart, 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    return (laid[near] * weight[:, :, None]).sum(axis=1)
