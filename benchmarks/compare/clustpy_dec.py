"""ClustPy's DEC with its defaults, watched at the end of every epoch.

Its own functions train; two of them are wrapped, so that the clock stands still
while the clusters are looked at. Looking draws no random numbers: the result is that
of `DEC(10, random_state=seed).fit(rows)`.

Called by run.py with the Python of .venv-bench: clustpy_dec.py JOB RESULT.
"""

import functools
import importlib.metadata
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
import tqdm
from course import Course

from dec.scores.clusters import scores

_declared = []  # declarations last as long as their library


def import_dec():
    """ClustPy's module of DEC.

    It imports torchvision, of whose compiled operators DEC needs none. Those of a
    torchvision built for CUDA cannot be loaded beside a PyTorch built without: then
    the two that its import asks for are declared, without an implementation.
    """
    vision = importlib.metadata.version("torchvision")
    if torch.version.cuda is None and "+cpu" not in vision:
        library = torch.library.Library("torchvision", "FRAGMENT")
        dets = "(Tensor dets, Tensor scores"
        library.define(f"nms{dets}, float iou_threshold) -> Tensor")
        library.define(f"qnms{dets}, float iou_threshold) -> Tensor")
        _declared.append(library)
    import clustpy.deep.dec

    return clustpy.deep.dec


def scaled(rows: np.ndarray, scale: str) -> np.ndarray:
    """The rows as in our LevelDB ("same") or with mean 0 and variance 1 ("z").

    "z" is what ClustPy's own loader of images does: one mean, one deviation.
    """
    return rows if scale == "same" else (rows - rows.mean()) / rows.std()


def watch(module, course: Course, rows: np.ndarray, labels: np.ndarray) -> None:
    """Has ClustPy book its seconds, and its clusters looked at, in `course`."""
    begin = module.get_default_deep_clustering_initialization
    fit = module._DEC_Module.fit

    def begin_watched(*args, **kwargs):
        found = begin(*args, **kwargs)
        course.lap("pretraining and k-means")
        initial, k = found[7], found[6]
        course.look("k-means", labels, initial, k)
        return found

    def fit_watched(self, network, loader, epochs, *args):
        k = len(self.centers)
        for epoch in range(1, epochs + 1):
            fit(self, network, loader, 1, *args)
            course.lap("training")
            course.look(f"epoch {epoch}", labels, clusters_of(self, network, rows), k)
        return self

    module.get_default_deep_clustering_initialization = begin_watched
    module._DEC_Module.fit = fit_watched
    # Bars of one epoch say nothing.
    silent = functools.partial(tqdm.trange, disable=True)
    module.tqdm = types.SimpleNamespace(trange=silent)


def clusters_of(dec_module, network, rows: np.ndarray) -> np.ndarray:
    """The cluster of every row at this moment."""
    with torch.no_grad():
        parts = torch.from_numpy(rows).float().split(1000)
        found = [dec_module.predict_hard(network.encode(part)) for part in parts]
    return torch.cat(found).numpy()


def main() -> None:
    job, result = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    torch.set_num_threads(job["threads"])
    rows = scaled(np.load(job["rows"]), job["scale"])
    labels = np.load(job["labels"])
    module = import_dec()
    course = Course(f"{job['method']}, seed {job['seed']}")
    watch(module, course, rows, labels)
    options = dict(
        zip(("pretrain_epochs", "clustering_epochs"), job["epochs"], strict=True)
    )
    dec = module.DEC(job["clusters"], random_state=job["seed"], **options)
    course.start()
    dec.fit(rows)
    course.lap("labels and k-means at the end")
    k = job["clusters"]
    course.look("end", labels, dec.labels_, k)
    phase1 = course.seconds["pretraining and k-means"]
    facts = {
        "pretraining": phase1,
        "clustering": course.total() - phase1,
        "parts": course.seconds,
        "course": course.points,
        "without the last k-means": scores(labels, dec.dec_labels_, k),
        "options": {name: str(value) for name, value in dec.get_params().items()},
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("clustpy", "torch", "torchvision", "scikit-learn", "numpy")
        },
    }
    result.write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
