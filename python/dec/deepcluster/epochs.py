"""What a clustering came to; kept in the run folder, so that a training can go on.

epochs/0007.npz   the clusters of all images, and what they are worth, of epoch 7
model.npz         the last clustering's projection, centres and last layer
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
)

from dec.base.atomic import partial_path
from dec.base.errors import DecError
from dec.data import leveldb
from dec.deepcluster.cluster import Clusters, Projection
from dec.deepcluster.images import Images
from dec.engine.runs import Run
from dec.scores.classes import interval
from dec.scores.clusters import contingency, match

MODEL = "model.npz"


@dataclass
class Model:
    """What gives new images their clusters. head: weights and biases of a last layer
    that does nearly the same.
    """

    number: int
    key: str
    projection: Projection
    centres: np.ndarray
    head: tuple[np.ndarray, np.ndarray]


@dataclass
class Epoch:
    """One clustering, before the training of epoch `number`; the last is after it all.

    train, test: the cluster of every image. facts: numbers about them.
    """

    run: Run
    number: int
    key: str
    train: np.ndarray
    test: np.ndarray
    facts: dict = field(default_factory=dict)
    model: Model | None = None

    def save(self) -> None:
        """Model first: where the clusters are there, it is."""
        model, into = self.model, self.run.path
        _save(
            into / MODEL,
            number=model.number,
            key=model.key,
            mean=model.projection.mean,
            axes=model.projection.axes,
            centres=model.centres,
            weight=model.head[0],
            bias=model.head[1],
        )
        file(self.run, 0).parent.mkdir(exist_ok=True)
        _save(
            file(self.run, self.number),
            key=self.key,
            train=self.train.astype(np.int32),
            test=self.test.astype(np.int32),
            facts=json.dumps(self.facts),
        )

    def judge(
        self, found: Clusters, train: Images, test: Images | None, k: int
    ) -> None:
        """Puts into `facts` what the clusters are worth."""
        sizes = np.bincount(self.train, minlength=k)
        self.facts |= {
            "epoch": self.number,
            "sse": found.sse,
            "split": found.split,
            "empty": found.empty,
            "sizes": sizes.tolist(),
        }
        if train.has_labels:
            table = contingency(train.labels, self.train, k)
            self.facts["train"] = _agreement(table, train.labels, self.train, table)
            if test and test.has_labels and len(test):
                own = contingency(test.labels, self.test, k)
                # Which cluster is which class, the training images have said.
                self.facts["test"] = _agreement(own, test.labels, self.test, table)

    def compare(self, before: "Epoch", guessed: list[np.ndarray]) -> None:
        """With the clustering before, whose clusters the net has been trained to guess.

        guessed: the clusters that its last layer says, of train and of test.
        """
        self.facts["nmi_previous"] = float(
            normalized_mutual_info_score(before.train, self.train)
        )
        parts = {"train": before.train, "test": before.test}
        self.facts["guessed"] = {
            part: float((own == labels).mean())
            for (part, labels), own in zip(parts.items(), guessed, strict=False)
            if len(labels)
        }

    def words(self) -> str:
        """A line for the terminal."""
        facts, sizes = self.facts, self.facts["sizes"]
        parts = [f"SSE {facts['sse']:.4f}", f"sizes {min(sizes):,} to {max(sizes):,}"]
        if "nmi_previous" in facts:
            parts.append(f"NMI with the last {facts['nmi_previous']:.3f}")
            guessed = facts["guessed"].get("test", facts["guessed"]["train"])
            parts.append(f"guessed {guessed:.1%}")
        for part in ("train", "test"):
            if part in facts:
                parts.append(f"{part} NMI with classes {facts[part]['nmi']:.3f}")
        return f"epoch {self.number}: {', '.join(parts)}"


def file(run: Run, number: int) -> Path:
    """Where the clusters of an epoch are kept."""
    return run.path / "epochs" / f"{number:04d}.npz"


def load(run: Run, number: int, key: str, model: bool) -> Epoch | None:
    """An epoch of this very training, if it is kept. model: and its model."""
    try:
        with np.load(file(run, number)) as kept:
            if str(kept["key"]) != key:
                return None
            facts = json.loads(str(kept["facts"]))
            found = Epoch(run, number, key, kept["train"], kept["test"], facts)
    except (OSError, KeyError, ValueError, BadZipFile):
        return None
    if model:
        found.model = read_model(run.path / MODEL)
        if not found.model or (found.model.number, found.model.key) != (number, key):
            return None
    return found


def read_model(path: Path) -> Model | None:
    """None where there is none, or half of one."""
    try:
        with np.load(path) as kept:
            return Model(
                int(kept["number"]),
                str(kept["key"]),
                Projection(kept["mean"], kept["axes"]),
                kept["centres"],
                (kept["weight"], kept["bias"]),
            )
    except (OSError, KeyError, ValueError, BadZipFile):
        return None


def all_facts(run: Run, key: str) -> list[dict]:
    """Of all epochs that are kept, in order."""
    numbers = sorted(int(p.stem) for p in (run.path / "epochs").glob("*.npz"))
    found = (load(run, number, key, model=False) for number in numbers)
    return [epoch.facts for epoch in found if epoch]


def clear(run: Run, key: str) -> None:
    """Removes the epochs of other trainings."""
    for path in (run.path / "epochs").glob("*.npz"):
        if load(run, int(path.stem), key, model=False) is None:
            path.unlink()


def digest_words(train: Images, test: Images | None, only: tuple[str, ...]) -> str:
    """Which images they are, as far as it can be told quickly."""
    parts = [list(only)]
    for images in (train, test):
        if images is not None:
            meta = leveldb.read_meta(images.database)
            tables = sorted(
                (path.name, path.stat().st_size)
                for path in images.database.glob("*.ldb")
            )
            parts.append([len(images), meta or tables])
    return json.dumps(parts)


def _agreement(table, labels, clusters, told: np.ndarray) -> dict:
    """Scores of clusters with classes; told: the table by which clusters are named."""
    n, one_to_one = len(labels), match(told)
    right = sum(int(table[c, one_to_one[c]]) for c in range(len(table)) if
                one_to_one[c] >= 0)  # fmt: skip
    largest = told.argmax(axis=0)
    most = int(table[largest, np.arange(table.shape[1])].sum())
    return {
        "acc": right / n,
        "interval": interval(right, n),
        "majority": most / n,
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ami": float(adjusted_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
        "table": table.tolist(),
    }


def _save(path: Path, **arrays) -> None:
    partial = partial_path(path)
    try:
        with open(partial, "wb") as into:
            np.savez(into, **arrays)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DecError(f"{path}: cannot be written: {error.strerror}") from None
