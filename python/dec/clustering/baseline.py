"""k-means on the rows themselves: what a code has to be better than."""

import json
import time

from dec.base import progress
from dec.base.atomic import write_text_atomic
from dec.base.errors import DecError
from dec.base.machine import machine
from dec.clustering.kmeans import kmeans
from dec.data import leveldb
from dec.engine.experiment import Experiment, clusters_of
from dec.engine.runs import Run
from dec.nets.prototxt import data_layers
from dec.scores.clusters import scores


def kmeans_on_rows(
    experiment: Experiment, run: Run, seed: int, clusters: int | None
) -> dict:
    """Clusters the rows that phase 2 would; writes and returns metrics.json.

    clusters: None for as many as dec.prototxt has centres. Raises DecError for rows
    without labels: there would be nothing to tell.
    """
    source = experiment.folder.relative_to(experiment.root) / "dec.prototxt"
    net = experiment.read_net(source)
    k = clusters or clusters_of(net, str(source))
    database = data_layers(net, "TEST")[0].data_param.source
    with leveldb.open_reader(database) as reader:
        rows, labels = reader.read()
    if (labels < 0).any():
        raise DecError(f"{database}: its rows have no labels to compare with")
    progress.say(f"k-means on {len(rows):,} rows of {rows.shape[1]:,} numbers")
    start = time.monotonic()
    _, assigned = kmeans(rows, k, seed)
    seconds = round(time.monotonic() - start, 1)
    metrics = {
        **scores(labels, assigned, k),
        "method": "k-means",
        "n": len(rows),
        "k": k,
        "seed": seed,
        "seconds": {"kmeans": seconds},
        "machine": machine(),
    }
    write_text_atomic(run.metrics, json.dumps(metrics, indent=1) + "\n")
    return metrics
