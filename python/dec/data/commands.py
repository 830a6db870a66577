"""`dec data`: data sets to LevelDBs."""

import argparse
from pathlib import Path

_EXAMPLES = """examples:
  dec data mnist                      download MNIST, write data/mnist_*
  dec data mnist ~/mnist              the same from its four files
  dec data photos ~/photos --size 200x120
  dec data csv table.csv --label-column species
  dec data csv other.csv --name other   # beside it: data/other_total …
  dec data verify data/mnist_total    look for damage
"""


def register(commands):
    """Adds `data` to the command line's parsers; returns those of its data sets."""
    from dec.data import registry

    text = "get a data set and write its LevelDBs"
    data = commands.add_parser(
        "data",
        help=text,
        description=text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets = data.add_subparsers(metavar="set", required=True)
    for known in registry.all_sets():
        sub = sets.add_parser(known.name, help=known.text, description=known.text)
        sub.set_defaults(command=_build, set=known.name)
        optional = "?" if known.public else None
        sub.add_argument("source", type=Path, nargs=optional, help=known.source)
        if known.options:
            known.options(sub)
        if known.nameable:
            sub.add_argument(
                "--name",
                help=f"of the LevelDBs, data/NAME_total and so on ({known.name}); `dec "
                "run NAME` is for them then",
            )
    text = "check a LevelDB, key by key"
    verify = sets.add_parser("verify", help=text, description=text)
    verify.add_argument("database", type=Path)
    verify.set_defaults(command=_verify)
    return sets


def _build(options: argparse.Namespace) -> None:
    from dec.data import registry

    given = vars(options)
    names = given.keys() - {"command", "set", "source"}
    chosen = {name: given[name] for name in names if given[name] is not None}
    if "name" in chosen:
        registry.check_name(options.set, options.name)
    registry.build(options.set, options.source, **chosen)


def _verify(options: argparse.Namespace) -> None:
    from dec.data.leveldb.verify import verify

    report = verify(options.database)
    print(report)
    if report.problems:
        raise SystemExit(1)
