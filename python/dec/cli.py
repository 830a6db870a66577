"""The command line, `dec`."""

import argparse
import math
import sys
from pathlib import Path

from dec import progress
from dec.errors import DecError, DownloadError
from dec.photos.cli import add_parser as add_photos

_EXAMPLES = """examples:
  dec data mnist                      get MNIST, write its LevelDBs below data/
  dec run mnist                       everything, from data to clusters
  dec run mnist --seed 2 --run runs/mnist-seed2
  dec pretrain mnist --schedule paper
  dec cluster mnist --update-interval 40
  dec summary runs/mnist              the end of an earlier run again
  dec assign runs/mnist digit.png     the cluster of something new
  dec report runs/mnist               a page to look at, runs/mnist/report.html
  dec export runs/mnist               the images in folders, one a cluster
  dec photos --help                   fetch, check and resize photos

Nets, learning rates and iterations are in prototxt/<experiment>/: edit them there.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    1: an error; 2: wrong usage; 3: a download failed; 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except DecError as error:
        progress.say(f"dec: error: {error}")
        return 3 if isinstance(error, DownloadError) else 1
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "caffe":
            raise
        progress.say("dec: error: Caffe has not been built yet; `make caffe` does it")
        return 1
    except KeyboardInterrupt:
        progress.say("dec: interrupted; the same command goes on from here")
        return 130
    return 0


def _data(options: argparse.Namespace) -> None:
    from dec import pipeline

    pipeline.build_data(_experiment(options), options.source)


def _pretrain(options: argparse.Namespace) -> None:
    _train(options, with_data=False, with_clusters=False)


def _cluster(options: argparse.Namespace) -> None:
    _train(options, with_data=False, with_clusters=True)


def _run(options: argparse.Namespace) -> None:
    _train(options, with_data=True, with_clusters=True)


def _train(options: argparse.Namespace, with_data: bool, with_clusters: bool) -> None:
    from dec import pipeline
    from dec.runs import Run
    from dec.summary import summary

    experiment = _experiment(options)
    run = Run(options.run or Path("runs") / experiment.name)
    seconds = {}
    if with_data:
        seconds["data"] = pipeline.build_data(experiment, options.source)
    model, phase1 = pipeline.run_phase1(
        experiment, run, options.schedule, options.device, options.seed
    )
    if with_clusters:
        pipeline.run_phase2(experiment, run, model, seconds | phase1, vars(options))
        print(summary(_metrics(run.path), run.path))


def _summary(options: argparse.Namespace) -> None:
    from dec.summary import summary

    print(summary(_metrics(options.folder), options.folder))


def _table(options: argparse.Namespace) -> None:
    from dec.summary import table

    runs = {folder.name: _metrics(folder) for folder in options.folders}
    for name, metrics in runs.items():
        if "acc" not in metrics:
            raise DecError(f"{name}: its data has no labels, so there are no scores")
    print(table(runs))


def _metrics(folder: Path) -> dict:
    import json

    try:
        return json.loads((folder / "metrics.json").read_text())
    except FileNotFoundError:
        raise DecError(f"{folder}: there is no finished run here") from None


def _assign(options: argparse.Namespace) -> None:
    from dec.assign import assign

    assign(options.folder, options.files)


def _report(options: argparse.Namespace) -> None:
    from dec.report import report

    report(options.folder)


def _export(options: argparse.Namespace) -> None:
    from dec.export import export

    export(options.folder, options.out, options.copy)


def _experiment(options: argparse.Namespace):
    from dec.experiment import Experiment

    return Experiment.find(options.experiment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dec",
        description="Deep Embedded Clustering on Caffe.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="command", required=True)

    def add(name: str, command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        if name in ("data", "pretrain", "cluster", "run"):
            sub.add_argument("experiment", help="a folder of prototxt/, such as mnist")
        return sub

    source = {
        "metavar": "DIR",
        "type": Path,
        "dest": "source",
        "help": "a folder that has the data set's files (default: download them)",
    }
    add("data", _data, "get a data set and write its LevelDBs").add_argument(
        "--from", **source
    )
    pretraining = add("pretrain", _pretrain, "phase 1: train the autoencoder")
    clustering = add("cluster", _cluster, "phases 1 and 2, on LevelDBs that are there")
    whole = add("run", _run, "everything: data, phase 1, phase 2, results")
    whole.add_argument("--from", **source)
    for sub in (pretraining, clustering, whole):
        sub.add_argument(
            "--run", type=Path, metavar="DIR", help="run folder (runs/EXPERIMENT)"
        )
        sub.add_argument(
            "--schedule",
            choices=("short", "paper"),
            default="short",
            help="phase 1's solvers, a folder of the experiment (short)",
        )
        sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
        sub.add_argument(
            "--seed", type=_natural, help="instead of the solvers' random_seed"
        )
    for sub in (clustering, whole):
        sub.add_argument(
            "--update-interval",
            type=_positive,
            metavar="N",
            help="iterations a round, instead of max_iter in dec_solver.prototxt",
        )
        sub.add_argument(
            "--tol",
            type=_fraction,
            default=0.001,
            help="stop when a smaller share of rows changed cluster (0.001)",
        )
        sub.add_argument(
            "--max-rounds", type=_positive, default=200, help="stop after as many (200)"
        )
    new = add("assign", _assign, "print the clusters of new rows, as CSV")
    new.add_argument("folder", type=Path, help="a run folder, such as runs/mnist")
    new.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="images, idx, npy, csv, or a LevelDB",
    )
    show = add("summary", _summary, "print the summary of a finished run")
    show.add_argument("folder", type=Path, help="a run folder, such as runs/mnist")
    page = add("report", _report, "write report.html, a page about a finished run")
    page.add_argument("folder", type=Path, help="a run folder, such as runs/mnist")
    folders = add("export", _export, "put each image into a folder of its cluster")
    folders.add_argument("folder", type=Path, help="a run folder, such as runs/mnist")
    folders.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (classes/ in the run folder)"
    )
    folders.add_argument(
        "--copy", action="store_true", help="copy the image files, instead of linking"
    )
    add_photos(commands)
    rows = add("table", _table, "compare finished runs, as a Markdown table")
    rows.add_argument("folders", type=Path, nargs="+", metavar="RUN")
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 <= number < 1):
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return number


if __name__ == "__main__":
    sys.exit(main())
