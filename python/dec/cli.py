"""The command line, `dec`: joins the commands that each room registers."""

import argparse
import os
import sys
from pathlib import Path

from dec.base import progress
from dec.base.errors import DecError, DownloadError
from dec.base.stopping import EXIT_CODE, Stopped, stoppable
from dec.classify import commands as classify
from dec.clustering import commands as clustering
from dec.data import commands as data
from dec.deepcluster import commands as deepcluster
from dec.paper import commands as paper
from dec.photos import commands as photos
from dec.review import commands as review

_EXAMPLES = """examples:
  dec data mnist                      get MNIST, write its LevelDBs below data/
  dec run mnist                       everything, from data to clusters
  dec run npy --from rows.npy --clusters 5
  dec run mnist --seed 2 --run runs/mnist-seed2
  dec run mnist --pretrain paper      from the encoder of the paper's schedule
  dec run mnist --pretrain train      train the autoencoder anew
  dec cluster mnist --update-interval 40
  dec new mine --like mnist           an experiment of your own, to be edited
  dec summary runs/mnist              the end of an earlier run again
  dec assign runs/mnist digit.png     the cluster of something new
  dec report runs/mnist               a page to look at, runs/mnist/report.html
  dec similar runs/photos photo.jpg   the photos that are most like it
  dec export runs/mnist               the images in folders, one a cluster
  dec export runs/mnist --onnx        the net as ONNX, runs/mnist/deploy.onnx
  dec photos --help                   fetch, check and resize photos
  dec finetune caffenet-small --from photos/   a classifier of labelled photos
  dec deepcluster cifar10             a net that learns without labels
  dec paper tables --quick            the paper's tables, made again
  dec review runs/photos              name and sort the clusters in the browser

Nets, learning rates and iterations are in prototxt/: edit them there. data/ and runs/
are made where you stand, or in the folder that DEC_HOME names.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    1: an error; 2: wrong usage; 3: a download failed; 130: interrupted; 143: ended by
    SIGTERM.
    """
    options = parser().parse_args(arguments)
    try:
        with stoppable():
            options.command(options)
    except DecError as error:
        progress.say(f"dec: error: {error}")
        return 3 if isinstance(error, DownloadError) else 1
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "caffe":
            raise
        progress.say("dec: error: Caffe has not been built yet; `make caffe` does it")
        return 1
    except BrokenPipeError:
        # Whoever reads the output has seen enough: dec table runs/* | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        progress.say("dec: interrupted; the same command goes on from here")
        return 130
    except Stopped:
        progress.say("dec: stopped; the same command goes on from here")
        return EXIT_CODE
    return 0


def parser() -> argparse.ArgumentParser:
    """Of all commands; each sets `command`, a function of the parsed options."""
    whole = argparse.ArgumentParser(
        prog="dec",
        description="Deep Embedded Clustering on Caffe.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(metavar="command", required=True)
    sets = data.register(commands)
    clustering.register(commands)
    photos.register(commands, _describer)
    classify.register(commands, sets)
    deepcluster.register(commands)
    paper.register(commands)
    review.register(commands)
    # Of any room's run.
    for name, command, text in (
        ("summary", _summary, "print the summary of a finished run"),
        ("report", _report, "write report.html, a page about a finished run"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("folder", type=Path, help="such as runs/mnist")
    return whole


def _describer(net: str, max_pixels: int):
    from dec.data.images.described import Described

    return Described.by(net, max_pixels)


def _summary(options: argparse.Namespace) -> None:
    from dec.engine.runs import read_metrics

    metrics = read_metrics(options.folder)
    if metrics.get("kind") == "finetune":
        from dec.classify.words import summary
    elif metrics.get("kind") == "deepcluster":
        from dec.deepcluster.words import summary
    else:
        from dec.clustering.summary import summary
    print(summary(metrics, options.folder))


def _report(options: argparse.Namespace) -> None:
    from dec.engine.runs import read_metrics

    kind = read_metrics(options.folder).get("kind")
    if kind == "finetune":
        from dec.classify.report import report
    elif kind == "deepcluster":
        from dec.deepcluster.report import report
    else:
        from dec.clustering.report import report
    report(options.folder)


if __name__ == "__main__":
    sys.exit(main())
