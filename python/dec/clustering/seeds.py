"""`dec seeds`: how much of a result is chance, and how much the method."""

from dataclasses import replace
from pathlib import Path

from dec.base import places
from dec.clustering import pipeline
from dec.clustering.pipeline import Pretraining, Settings
from dec.clustering.rivals import compare
from dec.clustering.summary import table
from dec.engine.experiment import Experiment
from dec.engine.runs import Run


def run_seeds(
    experiment: Experiment,
    seeds: tuple[int, ...],
    pretrain: str | None,
    settings: Settings,
) -> str:
    """DEC with every seed, beside two controls that share its encoder, as tables.

    The controls: the paper's start of phase 2, and DEC without backprop. Then k-means
    on the rows themselves. pretrain: as Pretraining.of takes it; where phase 1 is
    trained, each seed trains its own. What is finished is not run again.
    """
    start = Pretraining.of(experiment, pretrain)
    name = experiment.name + start.suffix
    found = {}
    for seed in seeds:
        own = replace(settings, seed=seed)
        weights = start.weights

        def cluster(kind: str, own: Settings, weights: Path | None, seed=seed) -> Path:
            run = Run(places.runs() / f"{name}-{kind}seed{seed}")
            given = start._replace(weights=weights)
            found[run.path.name] = pipeline.run(experiment, run, given, own, {})
            return run.path

        path = cluster("", own, weights)
        if weights is None:
            weights = max(path.glob("stack_iter_*.caffemodel"), key=_time)
        cluster("plain-", replace(own, start="plain"), weights)
        frozen = Path("frozen_solver.prototxt")
        cluster("frozen-", replace(own, solver=frozen), weights)
    plain = compare.Settings("kmeans", seeds[0], settings.clusters)
    return table(compare.compare(experiment, plain) | found)


def _time(path: Path) -> float:
    return path.stat().st_mtime
