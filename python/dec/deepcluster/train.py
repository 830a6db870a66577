"""`dec deepcluster`: the method. Features, clusters, labels, training; again and again.

    for every epoch:
        features of all images, by the net as it is
        PCA, whitening, unit length, k-means        -> a pseudo-label an image
        a new last layer
        random views of images, as many of each cluster: softmax loss on their labels

The loop itself, its snapshots and its place, are dec.engine.training's; here is what is
done before an iteration. It all follows from the seed, the iteration and the weights.
"""

import json
import time
from pathlib import Path

import numpy as np

from dec.base import progress
from dec.base.errors import DecError
from dec.deepcluster import epochs, fixed
from dec.deepcluster.cluster import (
    Projection,
    equal_sizes,
    kmeans,
    nearest,
    sse_of,
    uniform_order,
)
from dec.deepcluster.experiment import Changes, Experiment, Files, changed
from dec.deepcluster.features import Features, Pass
from dec.deepcluster.images import DRAWS, Feed, Images, Views
from dec.deepcluster.results import FINAL, RESULTS, write_results
from dec.engine.runs import Run
from dec.engine.training import Training
from dec.nets import caffe_process
from dec.nets.weights import Weights, net_shapes, read_weights, say_match

HISTORY = "history.json"
_STAGE = "deepcluster"  # of a run, after its training
_HEAD, _KMEANS, _ORDER, _VIEWS = range(4)  # what random numbers are for


def deepcluster(
    experiment: Experiment,
    run: Run,
    *,
    device: str = "cpu",
    seed: int | None = None,
    weights: Path | None = None,
    only: tuple[str, ...] = (),
    changes: Changes | None = None,
    workers: int = 0,
) -> dict:
    """Trains, clusters with the trained net, and returns the metrics.

    Skips what is up to date. weights: a caffemodel to start from. only: classes to take
    of the images. workers: threads that make views; no result depends on it.

    A run that was stopped goes on and ends with the same bits (CPU, same seed and
    threads).
    """
    settings = changed(experiment.settings(), changes)
    most, most_test = settings.images
    train = Images(settings.train, only, most)
    test = Images(settings.test, only, most_test) if settings.test else None
    files = Files(experiment, run, len(train), device, seed, changes)
    start = read_weights(weights) if weights else None
    key = files.digest(
        start.sha256 if start else "", epochs.digest_words(train, test, only)
    )
    if run.finished(_STAGE, key):
        progress.say(f"{run.path}: up to date")
        return json.loads(run.metrics.read_text(encoding="utf-8"))
    epochs.clear(run, key)
    method = _Method(files, key, train, test, start, workers)
    training = Training(
        files, key, FINAL, HISTORY, "training", method.begin, feed=method.feed
    )
    training.run()
    history = training.read_history()
    facts = {
        "experiment": str(experiment.folder),
        "only": list(only),
        "weights": history["weights"],
        "train_seconds": round(history["seconds"], 1),
        "machine": history["machine"],
        "loss": history["loss"],
    }
    caffe_process.run(lambda: method.finish(facts), run.log)
    run.finish(_STAGE, key, [*RESULTS, epochs.MODEL])
    return json.loads(run.metrics.read_text(encoding="utf-8"))


class _Method:
    """What is done before an iteration, in Caffe's process."""

    def __init__(self, files, key, train, test, start: Weights | None, workers):
        self.files, self.key, self.start = files, key, start
        self.train, self.test = train, test
        self.settings = s = files.settings
        self.views = Views(files.side, s.resize, s.area, s.ratio, s.flip, s.colour)
        self.workers = workers
        self.epoch: epochs.Epoch | None = None  # of the present labels
        self.order = np.empty(0, np.int64)

    def begin(self, net) -> dict:
        """Weights of the new net; the net that computes features shares them."""
        found = None
        fixed.start_averages(net, self.files.net.layer)
        if self.start:
            found = say_match(self.start, net_shapes(net))
            net.copy_from(str(self.start.path))
        fixed.write(net, self.settings.mean, self.settings.std)
        self.feed_train = Feed(self.train, self.views, self.workers)
        self.passing = self._pass(None)
        self.passing.share(net)
        return {"weights": found}

    def feed(self, solver) -> None:
        """Fills the batch of an iteration; at an epoch's start, new clusters first."""
        epoch, step = divmod(solver.iter, self.files.steps)
        net = solver.net
        if step == 0 or self.epoch is None:
            self._start_epoch(epoch, step, net)
        batch = self.files.batch
        numbers = self.order[step * batch : (step + 1) * batch]
        draws = self._random(_VIEWS, solver.iter).random((batch, DRAWS))
        self.feed_train.randoms(numbers, draws, net.blobs["data"].data)
        net.blobs["label"].data[...] = self.epoch.train[numbers]

    def _start_epoch(self, epoch: int, step: int, net) -> None:
        since = epoch - epoch % self.settings.recluster  # the last clustering
        renews = step == 0 and since == epoch
        self.epoch = epochs.load(self.files.run, since, self.key, model=renews)
        if self.epoch is None:
            if not renews:
                raise DecError(
                    f"{epochs.file(self.files.run, since)}: is missing, without which "
                    "this training cannot go on; remove the run folder to begin anew"
                )
            self.epoch = self._cluster(epoch)
        if renews:
            self._renew_head(net, epoch)
        self.order = uniform_order(
            self.epoch.train,
            self.files.clusters,
            self.files.steps * self.files.batch,
            self._random(_ORDER, epoch),
        )

    def _cluster(self, epoch: int) -> epochs.Epoch:
        """Features, projection, k-means; kept in the run folder."""
        run, s, k = self.files.run, self.settings, self.files.clusters
        rng = self._random(_KMEANS, epoch)
        seconds: dict[str, float] = {}
        begun = time.monotonic()

        def lap(what: str) -> None:
            nonlocal begun
            now = time.monotonic()
            seconds[what] = round(now - begun, 2)
            begun = now

        with Features(run.path, self.train, self.test) as features:
            guessed = self.passing.over(features, f"features {epoch}")
            lap("features")
            projection = Projection.fit(features.train, s.pca)
            points = projection.rows(features.train)
            lap("pca")
            found = kmeans(points, k, int(rng.integers(1 << 31)), s.iterations)
            if s.sizes == "equal":
                found = equal_sizes(points, found.centres)
            lap("kmeans")
            other = projection.rows(features.test)
            # Of rows as the last layer gets them: behind the ReLU.
            head = fixed.centroid_head(features.train, found.assigned, k)
        model = epochs.Model(epoch, self.key, projection, found.centres, head)
        made = epochs.Epoch(
            run,
            epoch,
            self.key,
            found.assigned,
            nearest(other, found.centres),
            model=model,
        )
        made.judge(found, self.train, self.test, k)
        made.facts["sse_random"] = sse_of(points, rng.permutation(found.assigned), k)
        before = epochs.load(
            run, (epoch - 1) // s.recluster * s.recluster, self.key, False
        )
        if epoch and before:
            made.compare(before, guessed)
        lap("scores")
        made.facts["seconds"] = seconds
        made.save()
        progress.say(made.words())
        return made

    def _renew_head(self, net, epoch: int) -> None:
        weight, bias = net.params[self.files.head]
        if self.settings.head == "centroids":
            weight.data[...], bias.data[...] = self.epoch.model.head
        else:
            rng = self._random(_HEAD, epoch)
            std = self.files.head_std
            weight.data[...] = std * rng.standard_normal(weight.data.shape)
            bias.data[...] = 0

    def _random(self, what: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.files.seed, what, number])

    def _pass(self, weights: Path | None) -> Pass:
        files = self.files
        files.write()
        blobs = self.settings.features, files.scores
        return Pass(
            files.deploy_file, weights, blobs, self.views, files.device, self.workers
        )

    def finish(self, facts: dict) -> None:
        """Clusters with the trained net; writes what the run came to."""
        run, last = self.files.run, self.settings.epochs
        self.passing = self._pass(run.path / FINAL)
        final = epochs.load(run, last, self.key, model=True) or self._cluster(last)
        write_results(self.files, final, self.train, self.test, facts)
