"""What a finished run leaves: metrics, assignments, what new images and DEC need."""

import json

import numpy as np

from dec.base.atomic import write_text_atomic
from dec.base.digest import sha256_of
from dec.base.tables import write_table
from dec.deepcluster import epochs
from dec.deepcluster.epochs import Epoch
from dec.deepcluster.experiment import Files
from dec.deepcluster.images import Images
from dec.nets import feature_net

FINAL = "final.caffemodel"
RESULTS = ("metrics.json", "assignments.csv", "input.json", feature_net.FILE)


def write_results(
    files: Files, final: Epoch, train: Images, test: Images | None, facts: dict
) -> None:
    """metrics.json, assignments.csv, input.json and features.toml of a run."""
    run, s = files.run, files.settings
    lines = [("set", "file", "cluster", *(["class"] if train.has_labels else []))]
    lines += _lines("train", train, final.train)
    if test:
        lines += _lines("test", test, final.test)
    write_table(run.assignments, lines)
    write_text_atomic(
        run.path / "input.json", json.dumps(_input(files), indent=1) + "\n"
    )
    write_text_atomic(run.path / feature_net.FILE, _features(files))
    losses = np.array(facts.pop("loss")).reshape(-1, 2)
    history = epochs.all_facts(run, final.key)
    for entry in history:
        at = (losses[:, 0] - 1) // files.steps == entry["epoch"]
        if at.any():
            entry["loss"] = round(float(losses[at, 1].mean()), 5)
    metrics = {
        "kind": "deepcluster",
        "n": len(train),
        "n_test": len(test) if test else 0,
        "k": files.clusters,
        "seed": files.seed,
        **facts,
        "classes": train.classes,
        "steps": files.steps,
        "settings": vars(s),
        "history": history,
    }
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")


def _lines(which: str, images: Images, clusters: np.ndarray):
    for number, cluster in enumerate(clusters.tolist()):
        label = int(images.labels[number])
        known = images.has_labels and images.classes
        own = [images.classes[label] if known else label] if images.has_labels else []
        yield (which, images.name(number), cluster, *own)


def _input(files: Files) -> dict:
    """How a photo becomes the net's input."""
    height, width = files.side
    return {
        "kind": "deepcluster",
        "shape": [3, height, width],
        "resize": files.settings.resize,
        "features": files.settings.features,
    }


def _features(files: Files) -> str:
    """features.toml, by which `--features RUN` finds this net for DEC."""
    weights = files.run.path / FINAL
    return f"""\
# A DeepCluster's net, for `--features {files.run.path}`.
deploy = "deploy.prototxt"
blob = "{files.settings.features}"
pool = "none"
root = false
length = "unit"
size = {files.settings.resize}
mean = [0, 0, 0]
scale = 1

[weights]
file = "{FINAL}"
format = "caffemodel"
sha256 = "{sha256_of(weights)}"
urls = []
"""
