"""deepcluster.toml: what an experiment says that no prototxt can."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from dec.base.errors import DecError

FILE = "deepcluster.toml"
HEADS = ("reset", "centroids")
SIZES = ("free", "equal")


@dataclass(frozen=True)
class Settings:
    """As the file says it, which has every one of these.

    data: the data set (`dec data`). train, test: its LevelDBs of images; no test: "".
    images: how many of either are used, from the first on; 0: all.
    features: the blob of deploy.prototxt that is clustered. epochs: of training.
    recluster: epochs from one clustering to the next. reassign: images that an epoch
    draws, by how many there are. pca: numbers a row after PCA. iterations: of k-means.
    sizes: of the clusters: "free", or "equal" (Sinkhorn). head: how the last layer
    starts after a clustering: "reset" (random) or "centroids". resize: the shorter side
    that a photo is brought to before its middle is taken. area, ratio: of the random
    part of a photo, lowest and highest. flip: half of them, at random. colour: by how
    much blue, green and red of it are made brighter or darker, each by itself. mean,
    std: of red, green, blue, in 0..1.
    """

    data: str
    train: str
    test: str
    images: tuple[int, int]
    features: str
    epochs: int
    recluster: int
    reassign: float
    pca: int
    iterations: int
    sizes: str
    head: str
    resize: int
    area: tuple[float, float]
    ratio: tuple[float, float]
    flip: bool
    colour: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def read(cls, file: Path) -> "Settings":
        """Raises DecError for a file that is missing or says too little or too much."""
        try:
            facts = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DecError(f"{file}: cannot be read: {error}") from None
        names = [field.name for field in fields(cls)]
        for name in names:
            if name not in facts:
                raise DecError(f'{file}: "{name}" is missing')
        for name in facts:
            if name not in names:
                raise DecError(f'{file}: "{name}" is not known')
        made = {name: _checked(file, name, value) for name, value in facts.items()}
        return cls(**made)


_WHOLE = ("epochs", "recluster", "pca", "iterations", "resize")
_RANGES = ("area", "ratio")


def _checked(file: Path, name: str, value):
    """The value of a field; DecError where it cannot be."""

    def need(right: bool, words: str) -> None:
        if not right:
            raise DecError(f'{file}: "{name}" is {words}; it says {value!r}')

    def numbers(count: int) -> bool:
        return (
            isinstance(value, list)
            and len(value) == count
            and all(type(x) in (int, float) for x in value)
        )

    if name in _WHOLE:
        need(type(value) is int and value > 0, "a whole number above 0")
    elif name == "images":
        counts = type(value) is list and all(type(x) is int and x >= 0 for x in value)
        need(counts and len(value) == 2, "two whole numbers: to train on, to test with")
        return tuple(value)
    elif name == "reassign":
        need(type(value) in (int, float) and value > 0, "a number above 0")
    elif name == "colour":
        need(type(value) in (int, float) and 0 <= value < 1, "from 0 to below 1")
    elif name == "flip":
        need(type(value) is bool, "true or false")
    elif name in _RANGES:
        right = numbers(2) and 0 < value[0] <= value[1]
        need(right and (name != "area" or value[1] <= 1), "two numbers, in order")
    elif name in ("mean", "std"):
        right = numbers(3) and (name == "mean" or min(value) > 0)
        need(right, "three numbers: red, green, blue")
    else:
        need(type(value) is str, "text")
        known = {"head": HEADS, "sizes": SIZES}.get(name)
        need(not known or value in known, f"one of {', '.join(known or ())}")
    return tuple(map(float, value)) if isinstance(value, list) else value
