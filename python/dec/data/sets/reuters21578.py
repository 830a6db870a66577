"""Reuters-21578."""

from dec.base.arguments import add_seed
from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.texts.reuters21578 import build_leveldbs

    return build_leveldbs(folder, **options)


def _options(sub):
    add_seed(sub)
    sub.add_argument(
        "--topics", type=int, metavar="N", help="the N largest topics (10; 0: all)"
    )


DATA_SETS = [
    DataSet(
        "reuters21578",
        "Reuters-21578, stories of one topic",
        "its tar archive, or folder",
        _build,
        options=_options,
    )
]
