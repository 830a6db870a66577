"""The commands `dec finetune`, `classify`, `experiments`, `loop`, `data labelled`."""

import argparse
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from dec.base.arguments import hash_bits, natural, positive, width_x_height

_FINETUNE = """examples:
  dec finetune caffenet-small --from photos/     all of it: data, training, results
  dec finetune squeezenet-linear --from photos/  a linear classifier on its features
  dec finetune squeezenet --from photos/         Caffe trains its last layer
  dec finetune prototxt/caffenet/photos --data data/labelled-256x256 \\
      --weights bvlc_reference_caffenet.caffemodel
  dec finetune caffenet-small --seed 2 --run runs/small-2 --patience 5
  dec finetune caffenet-small --set 'gamma: 0.01 max_iter: 500'
  dec report runs/caffenet-small                 a page about the run

photos/ holds a folder of photos for every class. Nets, learning rates and iterations
are in prototxt/<experiment>/: edit them there. Ctrl-C, or a kill: the same command
goes on from the last snapshot.
"""
_CLASSIFY = """examples:
  dec classify runs/caffenet-small photo.jpg
  dec classify runs/caffenet-small archive/ --out classes.csv
  dec classify runs/caffenet-small archive/ --link by-class/

With --out, a second call goes on where the first was stopped.
"""
_LABELLED = """examples:
  dec data labelled photos/                              data/labelled-256x256
  dec data labelled photos/ --size 80x80 --copies 8        for caffenet-small
  dec data labelled photos/ --shares 70/10/20 --split-seed 2 --out data/mine-256x256
  dec data labelled photos/ --only heritage              one class against the rest

photos/ holds a folder of photos for every class: photos/<class>/<photo>.
"""
_EXPERIMENTS = """examples:
  dec experiments caffenet-small photos/             the whole list, seeds 1, 2, 3
  dec experiments caffenet-small photos/ --list mine.toml --seeds 1
  dec experiments caffenet-small photos/ --table     what is finished, as Markdown

The list is experiments.toml in the experiment's folder. What is finished is not run
again, so a stopped call goes on.
"""
_LOOP = """examples:
  dec loop start archive/ clusters.csv --run runs/loop   a table of clusters to name
  dec loop next --run runs/loop                          train, label, list for review
  dec loop simulate photos/ clusters.csv --run runs/sim  true folders as the reviewer

clusters.csv: file,cluster[,probability], or the folder of a run of DEC on photos.
"""


def register(commands, sets) -> None:
    """Adds `finetune`, `classify`, `experiments` and `loop`, and `data labelled`.

    sets: the subparsers of `dec data`.
    """
    _add_labelled(sets)
    _add_finetune(commands)
    _add_classify(commands)
    _add_experiments(commands)
    _add_loop(commands)


def _add_labelled(parts) -> None:
    """Adds `labelled` to the subparsers of `dec data`."""
    text = "photos in class folders as train, val and test LevelDBs"
    sub = _add(parts, "labelled", labelled, text, _LABELLED)
    sub.add_argument("folder", type=Path, metavar="DIR", help="holds class folders")
    add_labelled_options(sub)


def add_labelled_options(sub: argparse.ArgumentParser) -> None:
    """The options of `dec data labelled`, for a parser of the caller's."""
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="the data set (data/labelled-WxH)"
    )
    sub.add_argument(
        "--size",
        type=width_x_height,
        default=(256, 256),
        metavar="WxH",
        help="pixels to which every photo is stretched (256x256)",
    )
    sub.add_argument(
        "--copies",
        type=natural,
        default=0,
        metavar="N",
        help="random variants of every photo of train: parts of it, in other light (0)",
    )
    _add_split(sub)
    sub.add_argument(
        "--only", metavar="CLASS", help="this class against all others as one"
    )
    sub.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="CLASS",
        help="leave this class out (more than once if need be)",
    )
    sub.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="file,class: labels of train and val instead of the folders'",
    )


def _add_split(sub):
    sub.add_argument(
        "--shares",
        type=_shares,
        default=(0.8, 0.1, 0.1),
        metavar="A/B/C",
        help="of train, val and test, in percent (80/10/10)",
    )
    sub.add_argument(
        "--split-seed",
        type=natural,
        default=1,
        metavar="N",
        help="which photos go to which set, and in which order (1)",
    )
    sub.add_argument(
        "--near",
        type=hash_bits,
        default=4,
        metavar="N",
        help="bits of 64 by which hashes of look-alikes may differ, 0 to 10 (4)",
    )
    sub.add_argument(
        "--jobs", type=positive, metavar="N", help="processes (one a core)"
    )


def labelled(options: argparse.Namespace) -> None:
    """Runs `dec data labelled`."""
    from dec.data.labelled.dataset import Options, build_labelled

    out = options.out
    if out is None:
        name = "labelled-{}x{}".format(*options.size)
        out = Path("data") / (name + f"-copies{options.copies}" * (options.copies > 0))
    build_labelled(
        options.folder,
        out,
        Options(
            options.size,
            options.shares,
            options.split_seed,
            options.near,
            options.only,
            tuple(options.without),
            options.labels,
            options.copies,
            options.jobs,
        ),
    )


def _add(commands, name, command, text, epilog) -> argparse.ArgumentParser:
    sub = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(command=command)
    return sub


def _add_finetune(commands):
    text = "train a net on photos in class folders"
    sub = _add(commands, "finetune", _finetune, text, _FINETUNE)
    sub.add_argument("experiment", help="a folder, such as prototxt/caffenet-small")
    source = sub.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="class folders: make the data set that the net names, then train",
    )
    source.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a data set of `dec data labelled`, instead of the one the net names",
    )
    sub.add_argument(
        "--run", type=Path, metavar="DIR", help="run folder (runs/EXPERIMENT)"
    )
    sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    sub.add_argument("--seed", type=natural, help="instead of the solver's random_seed")
    sub.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="caffemodel to start from, instead of the solver's; layers are matched by "
        "name",
    )
    sub.add_argument(
        "--weights-sha256", metavar="HEX", help="what the SHA-256 of FILE must be"
    )
    sub.add_argument(
        "--weighted",
        action="store_true",
        help="count every class the same, however many photos it has",
    )
    sub.add_argument(
        "--patience",
        type=positive,
        metavar="N",
        help="stop after N validations without a better one, and keep the best weights",
    )
    sub.add_argument(
        "--set",
        default="",
        metavar="FIELDS",
        help="fields of the solver instead of the file's, as 'gamma: 0.01'",
    )
    _add_split(sub)


def _finetune(options: argparse.Namespace) -> None:
    from dec.classify.experiment import Experiment
    from dec.classify.train import finetune
    from dec.classify.words import summary
    from dec.data.labelled.dataset import DataSet, build_labelled
    from dec.engine.runs import Run

    experiment = Experiment.find(options.experiment)
    folder = options.data or experiment.data()
    # Before the photos are read: weights that cannot be had are noticed at once.
    experiment.weights(options.weights, options.weights_sha256)
    if options.source:
        split = replace(
            experiment.options(),
            shares=options.shares,
            seed=options.split_seed,
            near=options.near,
            jobs=options.jobs,
        )
        data = build_labelled(options.source, folder, split)
    else:
        data = DataSet.read(folder)
    run = Run(options.run or Path("runs") / experiment.name)
    metrics = finetune(
        experiment,
        run,
        data,
        device=options.device,
        seed=options.seed,
        weights=options.weights,
        weights_sha256=options.weights_sha256,
        weighted=options.weighted,
        patience=options.patience,
        changes=options.set,
    )
    print(summary(metrics, run.path))


def _add_classify(commands):
    text = "the classes of photos, by a run of dec finetune"
    sub = _add(commands, "classify", _classify, text, _CLASSIFY)
    sub.add_argument("folder", type=Path, help="a run, such as runs/caffenet-small")
    sub.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO", help="photos and folders"
    )
    sub.add_argument(
        "--out", type=Path, metavar="CSV", help="write the answers to this file"
    )
    sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    sub.add_argument(
        "--jobs", type=positive, metavar="N", help="processes (one a core)"
    )
    where = sub.add_mutually_exclusive_group()
    for name, words in (
        ("move", "move every photo to DIR/<class>/"),
        ("link", "link every photo in DIR/<class>/"),
    ):
        where.add_argument(f"--{name}", type=Path, metavar="DIR", help=words)


def _classify(options: argparse.Namespace) -> None:
    from dec.classify.new_photos import classify

    classify(
        options.folder,
        options.photos,
        options.out,
        move=options.move,
        link=options.link,
        device=options.device,
        jobs=options.jobs,
    )


def _add_experiments(commands):
    text = "run a list of fine-tunings and compare them"
    sub = _add(commands, "experiments", _experiments, text, _EXPERIMENTS)
    sub.add_argument("experiment", help="a folder, such as prototxt/caffenet-small")
    sub.add_argument("folder", type=Path, metavar="DIR", help="holds class folders")
    sub.add_argument(
        "--list", type=Path, metavar="TOML", help="(experiments.toml of the experiment)"
    )
    sub.add_argument(
        "--clusters",
        type=Path,
        metavar="CSV",
        help="file,cluster, or a run of DEC, for the experiments that start from them",
    )
    sub.add_argument(
        "--run", type=Path, metavar="DIR", help="folder of runs (runs/experiments)"
    )
    sub.add_argument(
        "--seeds", type=_seeds, default=(1, 2, 3), metavar="N,N", help="(1,2,3)"
    )
    sub.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    sub.add_argument(
        "--weights", type=Path, metavar="FILE", help="caffemodel to start from"
    )
    sub.add_argument("--table", action="store_true", help="only print what is finished")


def _experiments(options: argparse.Namespace) -> None:
    from dec.classify.experiments import run_experiments

    run_experiments(
        options.experiment,
        options.folder,
        options.run or Path("runs/experiments"),
        seeds=options.seeds,
        listed=options.list,
        clusters=options.clusters,
        device=options.device,
        weights=options.weights,
        only_table=options.table,
    )


def _add_loop(commands):
    text = "from clusters to labels: name them, train, label all, review, again"
    sub = commands.add_parser(
        "loop",
        help=text,
        description=text,
        epilog=_LOOP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = sub.add_subparsers(metavar="step", required=True)
    start = _add(parts, "start", _start, "write the tables to fill in", _LOOP)
    start.add_argument("folder", type=Path, metavar="DIR", help="the photos")
    start.add_argument("clusters", type=Path, help="file,cluster, or a run of DEC")
    after = _add(parts, "next", _next, "train on what is named; label all", _LOOP)
    simulate = _add(parts, "simulate", _simulate, "true folders review", _LOOP)
    simulate.add_argument("folder", type=Path, metavar="DIR", help="class folders")
    simulate.add_argument("clusters", type=Path, help="file,cluster, or a run of DEC")
    for part in (start, after, simulate):
        part.add_argument(
            "--run",
            type=Path,
            default=Path("runs/loop"),
            metavar="DIR",
            help="(runs/loop)",
        )
    for part in (after, simulate):
        part.add_argument(
            "--experiment",
            default="auto",
            help="what is trained, such as caffenet-small (squeezenet-linear where its "
            "weights can be had, else caffenet-small)",
        )
        part.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
        part.add_argument(
            "--review",
            type=positive,
            default=40,
            metavar="N",
            help="photos listed for a review (40)",
        )
    after.add_argument("--seed", type=natural, default=1, help="(1)")
    simulate.add_argument(
        "--seeds", type=_seeds, default=(1, 2, 3), metavar="N,N", help="(1,2,3)"
    )
    simulate.add_argument(
        "--rounds", type=positive, default=5, metavar="N", help="reviews (5)"
    )


def _start(options: argparse.Namespace) -> None:
    from dec.classify.loop import start

    start(options.folder, options.clusters, options.run)


def _next(options: argparse.Namespace) -> None:
    from dec.base.files import own_folder
    from dec.classify.loop import go_on

    # The page of `dec review` writes the loop's tables too, while no round is at work.
    there = (options.run / "loop.json").exists()
    with own_folder(options.run, "dec loop next") if there else nullcontext():
        go_on(
            options.run,
            options.experiment,
            options.review,
            options.seed,
            options.device,
        )


def _simulate(options: argparse.Namespace) -> None:
    from dec.classify.simulate import simulate

    simulate(
        options.folder,
        options.clusters,
        options.run,
        options.experiment,
        rounds=options.rounds,
        review=options.review,
        seeds=options.seeds,
        device=options.device,
    )


def _shares(text: str) -> tuple[float, float, float]:
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    if len(parts) != 3 or min(parts) <= 0 or abs(sum(parts) - 100) > 1e-6:
        raise argparse.ArgumentTypeError(
            f"{text} is not such as 80/10/10 (together 100)"
        )
    a, b, c = (part / 100 for part in parts)
    return a, b, c


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(natural(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not such as 1,2,3") from None
