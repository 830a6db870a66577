"""The command `dec paper`: the paper's tables and figures, made again."""

import argparse

from dec.base.arguments import add_seeds


def register(commands) -> None:
    """Adds it to the command line's parsers."""
    text = "the DEC paper's tables and figures, made again"
    paper = commands.add_parser("paper", help=text, description=text)
    inner = paper.add_subparsers(metavar="what", required=True)
    for name, command, words in (
        ("tables", _tables, "Tables 3.1 to 3.4, cell by cell; goes on where it was"),
        ("figures", _figures, "Figures 3.2 to 3.6, as PNG and one page"),
    ):
        sub = inner.add_parser(name, help=words, description=words)
        sub.set_defaults(command=command)
        sub.add_argument(
            "--quick",
            action="store_true",
            help="5,000 rows of each data set at most, three values, seed 1",
        )
    tables, figures = inner.choices["tables"], inner.choices["figures"]
    tables.add_argument(
        "--data", type=_names, default=None, metavar="A,B", help="these data sets alone"
    )
    tables.add_argument(
        "--table",
        choices=("3.2", "3.4"),
        help="compute this one alone (3.2: 3.3, too)",
    )
    add_seeds(tables)
    tables.set_defaults(seeds=None)
    figures.add_argument("--data", default="mnist", metavar="A", help="(mnist)")


def _tables(options: argparse.Namespace) -> None:
    from dec.paper.sources import NAMES
    from dec.paper.tables import tables

    seeds = options.seeds or ((1,) if options.quick else (1, 2, 3))
    tables(options.data or NAMES, options.quick, seeds, options.table)


def _figures(options: argparse.Namespace) -> None:
    from dec.paper.figures import figures

    figures(options.data, options.quick)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in text.split(",") if part))
