"""The commands of the methods that DEC is compared with: kmeans, ldmgi, sec."""

import argparse
import math
from pathlib import Path

from dec.base.arguments import natural, positive

_METHODS = {
    "kmeans": ("k-means on the rows themselves, or on a code", None),
    "ldmgi": ("LDMGI on the rows themselves, or on a code", "lambda"),
    "sec": ("spectral embedded clustering of rows or a code", "mu"),
}


def add_rivals(add) -> None:
    """add(name, command, text): makes a parser of the room's."""
    for name, (text, parameter) in _METHODS.items():
        sub = add(name, _cluster, text)
        sub.set_defaults(method=name, values=())
        sub.add_argument("experiment", help="a folder of prototxt/dec, or a data set")
        sub.add_argument(
            "--from",
            metavar="SOURCE",
            type=Path,
            dest="source",
            help="the data set's file or folder (default: the LevelDBs)",
        )
        sub.add_argument(
            "--code",
            metavar="RUN",
            type=Path,
            help="on the code of this run's autoencoder, before phase 2, or of a "
            ".caffemodel's",
        )
        sub.add_argument(
            "--clusters",
            type=positive,
            metavar="K",
            help="instead of num_center in dec.prototxt",
        )
        sub.add_argument("--seed", type=natural, default=1, help="(1)")
        if parameter:
            sub.add_argument(
                f"--{parameter}",
                type=_positive_real,
                nargs="+",
                dest="values",
                metavar="X",
                help=f"{parameter} (1), or several: a run each",
            )
        sub.add_argument(
            "--run",
            type=Path,
            metavar="DIR",
            help=f"run folder (runs/EXPERIMENT-{name}, or -code-{name})",
        )


def _cluster(options: argparse.Namespace) -> None:
    from dec.clustering.rivals.compare import Settings, compare
    from dec.clustering.summary import table, unlabelled
    from dec.data import registry
    from dec.engine.experiment import Experiment

    experiment = Experiment.find(options.experiment)
    if options.source is not None:
        registry.build(experiment.name, options.source)
    settings = Settings(
        options.method,
        options.seed,
        options.clusters,
        options.code,
        tuple(dict.fromkeys(options.values)),
    )
    runs = compare(experiment, settings, options.run)
    scored = all("acc" in metrics for metrics in runs.values())
    print((table if scored else unlabelled)(runs))


def _positive_real(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
