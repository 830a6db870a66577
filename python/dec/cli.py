"""The command line, `dec`."""

import argparse
import math
import sys
from pathlib import Path

from dec import progress
from dec.arguments import natural, positive
from dec.data.cli import add_parser as add_data
from dec.errors import DecError, DownloadError
from dec.finetune.cli import add_labelled
from dec.finetune.cli import add_parsers as add_finetune
from dec.photos.cli import add_parser as add_photos

SCHEDULES = ("short", "paper")

_EXAMPLES = """examples:
  dec data mnist                      get MNIST, write its LevelDBs below data/
  dec run npy --from rows.npy --clusters 5
  dec run mnist                       everything, from data to clusters
  dec run mnist --seed 2 --run runs/mnist-seed2
  dec run mnist --pretrain short      train the autoencoder anew
  dec pretrain mnist --schedule paper   the paper's, hours
  dec cluster mnist --update-interval 40
  dec summary runs/mnist              the end of an earlier run again
  dec assign runs/mnist digit.png     the cluster of something new
  dec report runs/mnist               a page to look at, runs/mnist/report.html
  dec export runs/mnist               the images in folders, one a cluster
  dec photos --help                   fetch, check and resize photos
  dec finetune caffenet-small --from photos/   a classifier of labelled photos

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


def _pretrain(options: argparse.Namespace) -> None:
    from dec import model, pipeline

    experiment = _experiment(options)
    run = _run_folder(options, experiment)
    weights, seconds = pipeline.run_phase1(
        experiment, run, options.pretrain, options.device, options.seed
    )
    seed = [] if options.seed is None else ["--seed", str(options.seed)]
    words = ["dec", "pretrain", experiment.name, "--schedule", options.pretrain, *seed]
    model.write(run, weights, seconds, " ".join(words))


def _cluster(options: argparse.Namespace) -> None:
    _clusters(options, _experiment(options), {})


def _run(options: argparse.Namespace) -> None:
    from dec import pipeline

    experiment = _experiment(options)
    seconds = pipeline.build_data(experiment, options.source)
    run = _clusters(options, experiment, {"data": seconds})
    if options.report:
        from dec.report import report_once

        report_once(run)


def _clusters(options: argparse.Namespace, experiment, seconds: dict):
    from dec import pipeline
    from dec.summary import summary

    run = _run_folder(options, experiment)
    autoencoder, phase1 = pipeline.run_phase1(
        experiment, run, options.pretrain, options.device, options.seed
    )
    pipeline.run_phase2(experiment, run, autoencoder, seconds | phase1, vars(options))
    print(summary(_metrics(run.path), run.path))
    return run


def _kmeans(options: argparse.Namespace) -> None:
    from dec.baseline import kmeans_on_rows
    from dec.runs import Run
    from dec.summary import table

    experiment = _experiment(options)
    run = Run(options.run or Path("runs") / f"{experiment.name}-kmeans")
    metrics = kmeans_on_rows(experiment, run, options.seed, options.clusters)
    print(table({run.path.name: metrics}))


def _run_folder(options: argparse.Namespace, experiment):
    """The run that is named, or runs/EXPERIMENT, or runs/EXPERIMENT-SCHEDULE.

    The last for a schedule that is not what the experiment starts from by default.
    Fills in that default.
    """
    from dec import model
    from dec.runs import Run

    usual = str(model.shipped(experiment) or "short")
    options.pretrain = options.pretrain or usual
    other = options.pretrain in SCHEDULES and options.pretrain != usual
    name = f"{experiment.name}-{options.pretrain}" if other else experiment.name
    return Run(options.run or Path("runs") / name)


def _summary(options: argparse.Namespace) -> None:
    from dec.summary import summary

    metrics = _metrics(options.folder)
    if metrics.get("kind") == "finetune":
        from dec.finetune.words import summary
    print(summary(metrics, options.folder))


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
    if _metrics(options.folder).get("kind") == "finetune":
        from dec.finetune.report import report
    else:
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
        if name in ("pretrain", "cluster", "run", "kmeans"):
            sub.add_argument("experiment", help="a folder of prototxt/, such as mnist")
        return sub

    add_labelled(add_data(commands))
    pretraining = add("pretrain", _pretrain, "phase 1: train the autoencoder")
    clustering = add("cluster", _cluster, "phases 1 and 2, on LevelDBs that are there")
    whole = add("run", _run, "everything: data, phase 1, phase 2, results")
    whole.add_argument(
        "--from",
        metavar="SOURCE",
        type=Path,
        dest="source",
        help="the data set's file or folder (default: download it, or the LevelDBs)",
    )
    whole.add_argument(
        "--report", action="store_true", help="and write report.html, as `dec report`"
    )
    for sub in (pretraining, clustering, whole):
        sub.add_argument(
            "--run", type=Path, metavar="DIR", help="run folder (runs/EXPERIMENT)"
        )
        sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
        sub.add_argument(
            "--seed", type=natural, help="instead of the solvers' random_seed"
        )
    pretraining.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="short",
        dest="pretrain",
        help="phase 1's solvers, a folder of the experiment (short)",
    )
    for sub in (clustering, whole):
        sub.add_argument(
            "--pretrain",
            type=_pretraining,
            metavar="short|paper|FILE",
            help="train the autoencoder on this schedule, or start from a file of "
            "weights, .caffemodel (default: the one in models/EXPERIMENT, or short)",
        )
        sub.add_argument(
            "--clusters",
            type=positive,
            metavar="K",
            help="how many clusters, instead of num_center in dec.prototxt",
        )
        sub.add_argument(
            "--solver",
            type=Path,
            metavar="FILE",
            help="phase 2's solver, instead of dec_solver.prototxt",
        )
        sub.add_argument(
            "--update-interval",
            type=positive,
            metavar="N",
            help="iterations a round, instead of max_iter in dec_solver.prototxt",
        )
        sub.add_argument(
            "--kmeans",
            choices=("within", "plain"),
            default="within",
            help="where phase 2 starts: k-means in units of the clusters' own spread "
            "(within), or the paper's, which depends on the basis of the code (plain)",
        )
        sub.add_argument(
            "--tol",
            type=_fraction,
            default=0.001,
            help="stop when a smaller share of rows changed cluster (0.001)",
        )
        sub.add_argument(
            "--max-rounds", type=natural, default=200, help="stop after as many (200)"
        )
    rows = add("kmeans", _kmeans, "k-means on the rows themselves, to compare with")
    rows.add_argument(
        "--run", type=Path, metavar="DIR", help="run folder (runs/EXPERIMENT-kmeans)"
    )
    rows.add_argument("--seed", type=natural, default=1)
    rows.add_argument("--clusters", type=positive, metavar="K")
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
    add_finetune(commands)
    rows = add("table", _table, "compare finished runs, as a Markdown table")
    rows.add_argument("folders", type=Path, nargs="+", metavar="RUN")
    return parser


def _pretraining(text: str) -> str:
    if text not in SCHEDULES and not text.endswith(".caffemodel"):
        raise argparse.ArgumentTypeError(
            f"{text} is none of {', '.join(SCHEDULES)}, FILE.caffemodel"
        )
    return text


def _fraction(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 <= number < 1):
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return number


if __name__ == "__main__":
    sys.exit(main())
