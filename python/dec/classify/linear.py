"""The last layer of a net by logistic regression on what the layers before it say.

Chosen by `type: "LogisticRegression"` in the solver. The layers before keep the weights
they start with, so each photo passes through them once, whatever is learned; that makes
it the quickest way from weights of ImageNet to a classifier. The result is an
InnerProduct layer like any other.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.atomic import write_bytes_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.machine import machine
from dec.classify.experiment import Files
from dec.classify.kept import Kept
from dec.data.leveldb import encoded
from dec.nets.forward import Deployed
from dec.nets.weights import Weights, net_shapes, refuse_others, say_match

FOLDS = 5
C_GRID = tuple(10.0**power for power in range(-5, 2))
ALONE = 1e-2  # the C where there are too few photos to choose one


@dataclass(frozen=True)
class Regression:
    """Scores of a row x are weight @ x + bias (classes x width, classes).

    c: how little the weights are held back, scikit-learn's C. losses: of every C that
    was tried, the mean cross entropy of photos that were left out; empty where too few
    photos were there to try. iterations: of L-BFGS.
    """

    weight: np.ndarray
    bias: np.ndarray
    c: float
    losses: dict[float, float]
    iterations: int


def fit(
    rows: np.ndarray,
    labels: np.ndarray,
    classes: list[str],
    *,
    seed: int = 1,
    weighted: bool = False,
    max_iter: int = 2000,
) -> Regression:
    """Multinomial logistic regression on standardised rows (n x width), L2 penalty.

    C is chosen by stratified cross-validation (FOLDS parts, fewer for a class of fewer
    photos), the standardisation made anew in each. It is folded into the weights that
    are returned. weighted: every class counts the same. By one thread: on such small
    matrices more of them wait for each other ten times as long. Raises DecError for
    rows that are not finite and a class without rows.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    rows = np.asarray(rows, np.float64)
    if not np.isfinite(rows).all():
        raise DecError(
            "NaN or infinity in what the net says of the photos: damaged weights, or "
            "not those of this net"
        )
    counts = np.bincount(labels, minlength=len(classes))
    if (counts == 0).any() or len(classes) < 2:
        name = classes[int(counts.argmin())]
        raise DecError(
            f'class "{printable(name)}" has {counts.min():,} photos in train, of '
            f"{len(classes)} classes: two classes with photos are the least"
        )
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=ALONE,
            max_iter=max_iter,
            class_weight="balanced" if weighted else None,
        ),
    )
    folds = min(FOLDS, int(counts.min()))
    with threadpool_limits(limits=1):
        model, losses = _fitted(model, rows, labels, folds, seed, classes)
    scaler, last = model[0], model[1]
    coef, bias = last.coef_, last.intercept_
    if len(classes) == 2:
        # scikit-learn has one score, whose sigmoid is the second class's probability.
        coef, bias = (np.concatenate([-x, x]) / 2 for x in (coef, bias))
    weight = coef / scaler.scale_
    bias = bias - weight @ scaler.mean_
    iterations = int(last.n_iter_.max())
    return Regression(weight, bias, float(last.C), losses, iterations)


def _fitted(model, rows, labels, folds: int, seed: int, classes: list[str]):
    """The fitted pipeline, and the losses of every C that was tried."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    if folds < 2:
        name = classes[int(np.bincount(labels).argmin())]
        progress.say(
            f'class "{printable(name)}" has one photo in train, too few to choose C by '
            f"cross-validation: it is {ALONE:g}"
        )
        return model.fit(rows, labels), {}
    search = GridSearchCV(
        model,
        {"logisticregression__C": C_GRID},
        scoring="neg_log_loss",
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    search.fit(rows, labels)
    found = search.cv_results_["mean_test_score"]
    losses = {c: float(-x) for c, x in zip(C_GRID, found, strict=True)}
    return search.best_estimator_, losses


def train(files: Files, start: Weights, result: str, kept: Path | None = None) -> dict:
    """Writes the run's prototxts and weights; returns what metrics.json holds of it.

    In Caffe's process. start: the weights of all layers but the last. result: the file
    that gets the weights. kept: a file that keeps what the net says of photos (dec.
    classify.kept). Raises DecError as `fit`, and for weights of another net.
    """
    begun = time.monotonic()
    files.write()
    last = files.last
    if last.type != "InnerProduct":
        raise DecError(
            f'{files.folder}: the last layer, "{last.name}", has to be an InnerProduct '
            "for a logistic regression"
        )
    on_gpu = files.solver.solver_mode == files.solver.GPU
    net = Deployed(files.deploy_file, start.path, "gpu" if on_gpu else "cpu")
    shapes = net_shapes(net.net)
    refuse_others(start, {n: s for n, s in shapes.items() if n != last.name})
    matched = say_match(start, {n: s for n, s in shapes.items() if n != last.name})
    rows, labels = _rows(files, net, last.bottom[0], kept)
    found = fit(
        rows,
        labels,
        files.data.classes,
        seed=files.solver.random_seed,
        weighted=files.is_weighted,
        max_iter=files.solver.max_iter,
    )
    weight, bias = net.net.params[last.name]
    weight.data[...] = found.weight
    bias.data[...] = found.bias
    partial = files.run.path / f".{result}"
    net.net.save(str(partial))
    write_bytes_atomic(files.run.path / result, partial.read_bytes())
    partial.unlink()
    return {
        "iterations": found.iterations,
        "iteration": found.iterations,
        "stopped_early": False,
        "patience": None,
        "weights": matched | {"random": []},
        "training_loss": [],
        "validations": [],
        "regression": {
            "layer": last.name,
            "C": found.c,
            "losses": [[c, round(loss, 5)] for c, loss in found.losses.items()],
        },
        "train_seconds": round(time.monotonic() - begun, 1),
        "machine": machine(),
    }


def _rows(
    files: Files, net: Deployed, blob: str, kept: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """What the net says of the photos of train, n x width, and their labels."""
    with progress.bar(sum(files.data.counts["train"]), "features", " photos") as bar:

        def read():
            for jpeg, label in encoded.read_photos(files.data.folder / "train"):
                yield label, jpeg
                bar.update()

        if kept:
            found = Kept(kept, net, files.deploy_file, files.preparation).rows(read())
        else:
            prepared = ((x, files.preparation.row(jpeg)) for x, jpeg in read())
            found = net.rows(prepared, blob)
        labels, rows = zip(*found, strict=True)
    return np.stack(rows), np.array(labels)
