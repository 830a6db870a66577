"""The paper's REUTERS: RCV1-v2, whole and its first 10,000 rows."""

import functools

from dec.base.arguments import add_seed
from dec.data.registry import DataSet

_SOURCE = "the folder with rcv1-v2.topics.qrels and lyrl2004_tokens_*.dat"


def _build(name, folder, **options):
    from dec.data.texts.reuters import build_leveldbs

    return build_leveldbs(folder, name=name, **options)


DATA_SETS = [
    DataSet(
        name,
        text,
        _SOURCE,
        functools.partial(_build, name),
        options=add_seed,
        experiment="reuters",
    )
    for name, text in (
        ("reuters", "RCV1-v2, the 685,071 stories of one root"),
        ("reuters10k", "10,000 of them"),
    )
]
