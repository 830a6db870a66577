"""DEC's commands: run, cluster, pretrain, seeds, new, assign, export, …"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

from dec.base import places
from dec.base.arguments import add_features, add_seeds, natural, positive
from dec.base.errors import DecError
from dec.clustering.rivals.commands import add_rivals
from dec.clustering.span import Span, clusters


def register(commands) -> None:
    """Adds them to the command line's parsers."""

    def add(name: str, command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    _add_training(add)
    add_rivals(add)
    _add_new(add)
    _add_results(add)


def _add_training(add) -> None:
    pretraining = add("pretrain", _pretrain, "phase 1: train the autoencoder")
    clustering = add("cluster", _cluster, "phases 1 and 2, on LevelDBs that are there")
    whole = add("run", _run, "everything: data, phase 1, phase 2, results")
    seeds = add("seeds", _seeds, "runs with several seeds, and what to compare with")
    for sub in (pretraining, clustering, whole, seeds):
        sub.add_argument("experiment", help="a folder of prototxt/dec, or a data set")
    pretraining.add_argument(
        "schedule",
        nargs="?",
        help="phase 1's solvers, a folder of the experiment (short)",
    )
    whole.add_argument(
        "--from",
        metavar="SOURCE",
        type=Path,
        dest="source",
        help="the data set's file or folder (default: download it, or the LevelDBs)",
    )
    add_features(whole)
    whole.add_argument(
        "--report", action="store_true", help="and write report.html, as `dec report`"
    )
    for sub in (pretraining, clustering, whole):
        sub.add_argument(
            "--run", type=Path, metavar="DIR", help="run folder (runs/EXPERIMENT)"
        )
        sub.add_argument(
            "--seed", type=natural, help="instead of the solvers' random_seed"
        )
    add_seeds(seeds)
    for sub in (pretraining, clustering, whole, seeds):
        sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    for sub in (clustering, whole, seeds):
        _add_phase2(sub)
    seeds.add_argument(
        "--clusters",
        type=positive,
        metavar="K",
        help="how many clusters, instead of num_center in dec.prototxt",
    )
    for sub in (clustering, whole):
        sub.add_argument(
            "--clusters",
            type=clusters,
            metavar="K|auto|K..K",
            help="how many clusters, instead of num_center in dec.prototxt; auto: as "
            "many, of 2 to 20, as stability, silhouette and generalizability tell; or "
            "of another range, such as 5..15",
        )
    for sub in (clustering, whole):
        sub.add_argument(
            "--kmeans",
            choices=("within", "plain", "graph"),
            default="within",
            dest="start",
            help="where phase 2 starts: k-means in units of the clusters' own spread "
            "(within), the paper's, which depends on the basis of the code (plain), or "
            "clusters of the code's neighbour graph, at which the first rounds aim",
        )
        sub.add_argument(
            "--solver",
            type=Path,
            metavar="FILE",
            help="phase 2's solver, instead of dec_solver.prototxt",
        )


def _add_phase2(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--pretrain",
        metavar="SCHEDULE|train|FILE",
        help="the encoder: the one that ships with a schedule (short, the default, or "
        "paper), or a file of weights (.caffemodel), or trained anew (train: on the "
        "short schedule; train-paper: on the paper's)",
    )
    sub.add_argument(
        "--update-interval",
        type=positive,
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
        "--max-rounds", type=natural, default=200, help="stop after as many (200)"
    )


def _add_new(add) -> None:
    new = add("new", _new, "make an experiment of your own, to be edited")
    new.add_argument("name", help="of its folder in prototxt/dec, and of its LevelDBs")
    new.add_argument(
        "--like",
        default="own",
        metavar="EXPERIMENT",
        help="whose folder is copied (own)",
    )
    new.add_argument(
        "--width",
        type=positive,
        metavar="D",
        help="numbers a row (default: as data/NAME_total has, if it is there)",
    )
    new.add_argument("--clusters", type=positive, metavar="K")


def _add_results(add) -> None:
    a_run = "a run folder, such as runs/mnist"
    new = add("assign", _assign, "print the clusters of new rows, as CSV")
    new.add_argument("folder", type=Path, help=a_run)
    new.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="images, idx, npy, csv, texts, folders of them, or a LevelDB",
    )
    near = add("similar", _similar, "the photos of a run that are most like a photo")
    near.add_argument("folder", type=Path, help="of a run on photos: runs/photos")
    near.add_argument("photo", type=Path)
    near.add_argument(
        "--count", type=positive, default=12, metavar="N", help="photos (12)"
    )
    near.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the contact sheet, a new file (similar.jpg in the run folder)",
    )
    folders = add("export", _export, "images in folders of their clusters, or ONNX")
    folders.add_argument("folder", type=Path, help=a_run)
    folders.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (classes/ in the run folder)"
    )
    folders.add_argument(
        "--copy", action="store_true", help="copy the image files, instead of linking"
    )
    folders.add_argument(
        "--onnx",
        type=Path,
        nargs="?",
        const=True,
        metavar="FILE",
        help="instead of images, write the run's trained net, of DEC or of dec "
        "finetune, as ONNX (deploy.onnx in the run folder); without --out and --copy",
    )
    rows = add("table", _table, "compare finished runs, as a Markdown table")
    rows.add_argument("folders", type=Path, nargs="+", metavar="RUN")


def _pretrain(options: argparse.Namespace) -> None:
    from dec.clustering import encoder, pipeline

    experiment = _experiment(options)
    schedule = options.schedule or pipeline.DEFAULT
    start = pipeline.Pretraining.of(experiment, f"train-{schedule}")
    run = _run_folder(options, experiment, start)
    weights, seconds = pipeline.run_phase1(
        experiment, run, start, options.device, options.seed
    )
    seed = [] if options.seed is None else ["--seed", str(options.seed)]
    words = ["dec", "pretrain", experiment.name, schedule, *seed]
    encoder.write(run, weights, seconds, " ".join(words))


def _cluster(options: argparse.Namespace) -> None:
    print(_clusters(options, _experiment(options), {}))


def _run(options: argparse.Namespace) -> None:
    from dec.clustering import pipeline

    experiment = _experiment(options)
    seconds = pipeline.build_data(experiment, options.source, options.features)
    print(_clusters(options, experiment, {"data": seconds}, options.report))


def _clusters(
    options: argparse.Namespace, experiment, seconds: dict, report: bool = False
) -> str:
    """Runs both phases; returns the summary. report: write report.html, too."""
    from dec.clustering import pipeline
    from dec.clustering.summary import summary

    start = pipeline.Pretraining.of(experiment, options.pretrain)
    run = _run_folder(options, experiment, start)
    settings = _settings(
        options,
        seed=options.seed,
        solver=options.solver,
        start=options.start,
    )
    if isinstance(options.clusters, Span):
        from dec.clustering import auto

        settings = replace(settings, clusters=None)
        metrics = auto.run(experiment, run, start, settings, options.clusters, seconds)
    else:
        metrics = pipeline.run(experiment, run, start, settings, seconds)
    if report:
        from dec.clustering.report import report_once

        report_once(run)
    return summary(metrics, run.path)


def _settings(options: argparse.Namespace, **more):
    from dec.clustering.pipeline import Settings

    return Settings(
        device=options.device,
        clusters=options.clusters,
        update_interval=options.update_interval,
        tol=options.tol,
        max_rounds=options.max_rounds,
        **more,
    )


def _seeds(options: argparse.Namespace) -> None:
    from dec.clustering.seeds import run_seeds

    experiment = _experiment(options)
    print(run_seeds(experiment, options.seeds, options.pretrain, _settings(options)))


def _run_folder(options: argparse.Namespace, experiment, start):
    """The run that is named, or runs/EXPERIMENT with what sets its start apart."""
    from dec.engine.runs import Run

    return Run(options.run or places.runs() / f"{experiment.name}{start.suffix}")


def _new(options: argparse.Namespace) -> None:
    from dec.clustering.new import new_experiment

    new_experiment(options.name, options.like, options.width, options.clusters)


def _table(options: argparse.Namespace) -> None:
    from dec.clustering.summary import table
    from dec.engine.runs import read_metrics

    runs = {folder.name: read_metrics(folder) for folder in options.folders}
    kinds = {metrics.get("kind") for metrics in runs.values()}
    if "deepcluster" in kinds:
        from dec.deepcluster import table as deepcluster

        if len(kinds) > 1:
            raise DecError("runs of DeepCluster and others have no table in common")
        print(deepcluster.table(runs))
        return
    for name, metrics in runs.items():
        if "acc" not in metrics:
            raise DecError(f"{name}: its data has no labels, so there are no scores")
    print(table(runs))


def _assign(options: argparse.Namespace) -> None:
    from dec.engine.runs import preparation

    if preparation(options.folder).get("kind") == "deepcluster":
        from dec.deepcluster.assign import assign
    else:
        from dec.clustering.assign import assign
    assign(options.folder, options.files)


def _similar(options: argparse.Namespace) -> None:
    from dec.clustering.similar import similar

    similar(options.folder, options.photo, options.count, options.out)


def _export(options: argparse.Namespace) -> None:
    if options.onnx is None:
        from dec.clustering.export import export

        export(options.folder, options.out, options.copy)
        return
    if options.copy or options.out:
        raise DecError(
            "--onnx writes a net, --copy and --out are about images: call dec export "
            "once for each"
        )
    from dec.engine.export_onnx import export_onnx

    export_onnx(options.folder, None if options.onnx is True else options.onnx)


def _experiment(options: argparse.Namespace):
    from dec.engine.experiment import Experiment

    return Experiment.find(options.experiment)


def _fraction(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 <= number < 1):
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1)")
    return number
