"""`dec data`: data sets to LevelDBs."""

import argparse
from pathlib import Path

from dec.arguments import width_x_height

_EXAMPLES = """examples:
  dec data mnist                      download MNIST, write data/mnist_*
  dec data mnist ~/mnist              the same from its four files
  dec data photos ~/photos --size 200x120
  dec data csv table.csv --label-column species
  dec data verify data/mnist_total    look for damage
"""


def add_parser(commands):
    """Adds `data` to the command line's parsers; returns those of its data sets."""
    text = "get a data set and write its LevelDBs"
    data = commands.add_parser(
        "data",
        help=text,
        description=text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets = data.add_subparsers(metavar="set", required=True)

    def add(name: str, text: str, source: str, public: bool = False):
        sub = sets.add_parser(name, help=text, description=text)
        sub.set_defaults(command=_build, name=name)
        sub.add_argument(
            "source", type=Path, nargs="?" if public else None, help=source
        )
        return sub

    def seeded(*arguments, **options) -> argparse.ArgumentParser:
        sub = add(*arguments, **options)
        sub.add_argument("--seed", type=int, help="of the order of the rows (1)")
        return sub

    four = "a folder with the four idx files, plain or .gz (default: download them)"
    add("mnist", "70,000 handwritten digits", four, public=True)
    add("fashion-mnist", "70,000 pictures of clothes", four, public=True)
    stl = "its folder of .bin files, or its .tar.gz (default: download it, 2.6 GB)"
    seeded("stl", "STL-10: HOG and colours of 113,000 images", stl, public=True)
    _photo_options(seeded("photos", "HOG and colours of a folder of photos", "folder"))
    seeded("text", "words of a folder of text files", "folder")
    archive = "its tar archive, or folder"
    seeded("20news", "20 Newsgroups, 18,846 messages", archive)
    seeded("reuters21578", "Reuters-21578, stories of one topic", archive).add_argument(
        "--topics", type=int, metavar="N", help="the N largest topics (10; 0: all)"
    )
    rcv1 = "the folder with rcv1-v2.topics.qrels and lyrl2004_tokens_*.dat"
    seeded("reuters", "RCV1-v2, the 685,071 stories of one root", rcv1)
    seeded("reuters10k", "10,000 of them", rcv1)
    add("npy", "any matrix", "a .npy file, n x anything").add_argument(
        "--labels", type=Path, metavar="FILE", help="a .npy file of n labels"
    )
    add("csv", "any table of numbers", "a .csv or .tsv file").add_argument(
        "--label-column", metavar="C", help="name or number (from 1) of the labels"
    )
    text = "check a LevelDB, key by key"
    verify = sets.add_parser("verify", help=text, description=text)
    verify.add_argument("database", type=Path)
    verify.set_defaults(command=_verify)
    return sets


def _photo_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--size",
        type=width_x_height,
        metavar="WxH",
        help="pixels of every photo (200x120)",
    )
    sub.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        help="what is done to photos of another shape (crop)",
    )
    sub.add_argument(
        "--labels",
        choices=("auto", "folders", "names", "none"),
        help="by sub-folder, or by name (label_name.jpg); auto: by what there is",
    )
    sub.add_argument("--max-pixels", type=int, metavar="N", help="skip larger ones")
    sub.add_argument("--jobs", type=int, metavar="N", help="processes (all cores)")


def _build(options: argparse.Namespace) -> None:
    from dec.data import sets

    settings = vars(options)
    names = settings.keys() - {"command", "name", "source"}
    chosen = {name: settings[name] for name in names if settings[name] is not None}
    sets.build(options.name, options.source, **chosen)


def _verify(options: argparse.Namespace) -> None:
    from dec.data.verify import verify

    report = verify(options.database)
    print(report)
    if report.problems:
        raise SystemExit(1)
