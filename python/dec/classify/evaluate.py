"""How good a trained net is: on train, val, and on test, which it never saw."""

import itertools
import json
import shutil
import time
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.tables import write_table
from dec.classify.experiment import Files
from dec.classify.predict import Classifier, write_input
from dec.data import leveldb
from dec.data.labelled.split import SETS
from dec.data.leveldb import encoded
from dec.engine.runs import Run
from dec.scores.classes import measure

GUESSES = ("probability", "second", "second_probability")
HEADER = ("set", "file", "class", "predicted", *GUESSES)


def evaluate(run: Run, files: Files, facts: dict, kept: Path | None = None) -> None:
    """Writes input.json, predictions.csv and metrics.json of a run with weights.

    By the deploy net, photos cropped in the middle: as new photos will be. facts: what
    metrics.json holds beside. kept: see Classifier.
    """
    start = time.monotonic()
    mean = files.data.folder / "mean.binaryproto"
    if files.preparation.mean.size > 3:
        shutil.copy(mean, run.path / "mean.binaryproto")
    write_input(run.path, files.preparation, files.data.classes)
    on_gpu = files.solver.solver_mode == files.solver.GPU
    classifier = Classifier(run.path, "gpu" if on_gpu else "cpu", kept)
    scores, lines = {}, [HEADER]
    with progress.bar(
        sum(map(sum, files.data.counts.values())), "evaluating", " photos"
    ) as bar:
        for which in SETS:
            database = files.data.folder / which
            # Behind its photos train may have random variants of them.
            photos = sum(files.data.counts[which])
            proba, labels = _proba(classifier, database, photos, bar)
            scores[which] = measure(proba, labels)
            names = leveldb.read_names(database)[:photos]
            lines += _lines(which, names, labels, proba, files.data.classes)
    write_table(run.path / "predictions.csv", lines)
    metrics = {
        "kind": "finetune",
        **facts,
        "seed": files.solver.random_seed,
        "weighted": files.is_weighted,
        "frozen": files.is_frozen,
        "data": str(files.data.folder),
        "folder": files.data.facts["folder"],
        "classes": files.data.classes,
        "counts": files.data.counts,
        **scores,
        "seconds": {
            "training": facts["train_seconds"],
            "evaluation": round(time.monotonic() - start, 1),
        },
    }
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def guesses(proba: np.ndarray, classes: list[str]) -> tuple[str, str, str, str]:
    """The most probable class and the next, each with its probability, as text."""
    order = np.argsort(-proba, kind="stable")
    first, second = int(order[0]), int(order[1])
    return (
        classes[first],
        f"{proba[first]:.6f}",
        classes[second],
        f"{proba[second]:.6f}",
    )


def _proba(classifier, database, photos, bar):
    def read():
        for jpeg, label in itertools.islice(encoded.read_photos(database), photos):
            bar.update()
            yield label, jpeg

    labels, proba = zip(*classifier.proba(read()), strict=True)
    return np.stack(proba), np.array(labels)


def _lines(which, names, labels, proba, classes):
    for name, label, row in zip(names, labels.tolist(), proba, strict=True):
        yield (which, name, classes[label], *guesses(row, classes))
