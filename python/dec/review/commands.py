"""The command `dec review`."""

import argparse
from pathlib import Path

from dec.base.arguments import natural

_EXAMPLES = """examples:
  dec review runs/photos                 name and sort its clusters, train, go on
  dec review runs/loop                   a loop that `dec loop start` has begun
  dec review labels.csv --photos archive/   what `dec classify` said of photos
  dec review runs/photos --export leveldb   no page: write what is known by now

The page is at 127.0.0.1, for the browser of this machine and user alone. Each answer is
on disk at once: leave whenever you like. Ctrl-C ends it.
"""


def register(commands) -> None:
    """Adds `review`."""
    text = "review clusters in the browser: name, sort, train, look at what is doubtful"
    sub = commands.add_parser(
        "review",
        help=text,
        description=text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.set_defaults(command=_review)
    sub.add_argument(
        "run", type=Path, help="a run of DEC, a loop, or a table of dec classify"
    )
    sub.add_argument(
        "--photos", type=Path, metavar="DIR", help="where the photos are now"
    )
    sub.add_argument(
        "--port", type=natural, default=0, metavar="N", help="(any that is free)"
    )
    sub.add_argument(
        "--no-browser", action="store_true", help="only print the page's address"
    )
    sub.add_argument(
        "--experiment",
        default="squeezenet-linear",
        help="what the page trains first (squeezenet-linear)",
    )
    sub.add_argument(
        "--export",
        choices=("csv", "links", "copies", "leveldb"),
        help="write classes as a table, folders or LevelDBs, and end",
    )
    sub.add_argument(
        "--guesses",
        action="store_true",
        help="export the last net's guess where nobody has named a class",
    )


def _review(options: argparse.Namespace) -> None:
    from dec.review.items import find_items

    items = find_items(options.run, options.photos)
    if options.export:
        from dec.review.book import read_state
        from dec.review.take_away import take_away

        take_away(items, read_state(items), options.export, options.guesses)
        return
    from dec.review.serve import serve

    serve(items, options.port, not options.no_browser, options.experiment)
