"""`dec deepcluster`: a net that learns from images by the clusters of its features."""

import argparse
import re
from pathlib import Path

from dec.base import places
from dec.base.arguments import natural, positive

_EXAMPLES = """examples:
  dec deepcluster cifar10                        CIFAR-10: data, training, results
  dec deepcluster cifar10 --clusters 10 --seed 2 --run runs/ten
  dec deepcluster cifar10 --only cat,dog --clusters 2 --epochs 100 --run runs/pets
  dec deepcluster alexnet --from photos/ --clusters 100
  dec probe runs/deepcluster-cifar10             a linear probe of every layer
  dec assign runs/deepcluster-cifar10 new.jpg    the clusters of new images

Nets, rates and the method's settings are in prototxt/deepcluster/<experiment>/: edit
them there. Ctrl-C, or a kill: the same command goes on, to the same bits.
"""


def register(commands) -> None:
    """Adds them to the command line's parsers."""
    sub = commands.add_parser(
        "deepcluster",
        help="a net that learns from images without labels",
        description="DeepCluster: clusters of a net's features are what it is trained "
        "to tell apart, again and again.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(command=_deepcluster)
    sub.add_argument("experiment", help="a folder of prototxt/deepcluster")
    sub.add_argument(
        "--from",
        type=Path,
        metavar="SOURCE",
        dest="source",
        help="the files or folder of its data set (default: its LevelDBs, or download)",
    )
    sub.add_argument("--train", metavar="DB", help="a LevelDB of images, instead")
    sub.add_argument("--test", metavar="DB", help="the same, to test with")
    sub.add_argument(
        "--only", type=_names, default=(), metavar="CLASS,…", help="images of these"
    )
    sub.add_argument(
        "--images",
        type=_counts,
        metavar="N,M",
        help="how many to train on, to test with",
    )
    sub.add_argument("--run", type=Path, metavar="DIR", help="(runs/EXPERIMENT)")
    sub.add_argument("--seed", type=natural, help="instead of the solver's")
    sub.add_argument(
        "--clusters", type=positive, metavar="K", help="instead of the nets' num_output"
    )
    for name in ("epochs", "recluster"):
        sub.add_argument(
            f"--{name}", type=positive, metavar="N", help="instead of the experiment's"
        )
    sub.add_argument("--head", choices=("reset", "centroids"), help="the same")
    sub.add_argument("--sizes", choices=("free", "equal"), help="the same")
    sub.add_argument(
        "--weights", type=Path, metavar="FILE", help="a caffemodel to start from"
    )
    sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    sub.add_argument(
        "--workers", type=natural, default=0, help="threads that cut images (0: cores)"
    )
    text = "what a run of DeepCluster has learned, told by the classes of its images"
    probing = commands.add_parser("probe", help=text, description=text)
    probing.set_defaults(command=_probe)
    probing.add_argument("folder", type=Path, help="such as runs/deepcluster-cifar10")
    probing.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    probing.add_argument(
        "--patches",
        type=natural,
        default=400,
        metavar="K",
        help="centres of Coates and Ng's patches, beside the net (400; 0: without)",
    )


def _probe(options: argparse.Namespace) -> None:
    from dec.deepcluster.probe import probe

    print(probe(options.folder, options.device, options.patches))


def _deepcluster(options: argparse.Namespace) -> None:
    from dec.data import registry
    from dec.deepcluster.experiment import Changes, Experiment
    from dec.deepcluster.train import deepcluster
    from dec.deepcluster.words import summary
    from dec.engine.runs import Run

    experiment = Experiment.find(options.experiment)
    if not options.train:
        registry.build(experiment.settings().data, options.source)
    run = Run(options.run or places.runs() / experiment.name)
    names = (
        "clusters", "epochs", "train", "test", "head", "sizes", "recluster", "images"
    )  # fmt: skip
    metrics = deepcluster(
        experiment,
        run,
        device=options.device,
        seed=options.seed,
        weights=options.weights,
        only=options.only,
        changes=Changes(**{name: getattr(options, name) for name in names}),
        workers=options.workers,
    )
    print(summary(metrics, run.path))


def _counts(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+),(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not two numbers, as 10000,1000")
    return int(match[1]), int(match[2])


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in text.split(",") if part))
