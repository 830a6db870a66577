"""`dec data`: data sets to LevelDBs."""

import argparse
from pathlib import Path

_EXAMPLES = """examples:
  dec data mnist                      download MNIST, write data/mnist_*
  dec data mnist ~/mnist              the same from its four files
"""


def add_parser(commands) -> None:
    """Adds `data` and its data sets to the command line's parsers."""
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

    four = "a folder with the four idx files, plain or .gz (default: download them)"
    add("mnist", "70,000 handwritten digits", four, public=True)


def _build(options: argparse.Namespace) -> None:
    from dec.data import sets

    settings = vars(options)
    names = settings.keys() - {"command", "name", "source"}
    chosen = {name: settings[name] for name in names if settings[name] is not None}
    sets.build(options.name, options.source, **chosen)
