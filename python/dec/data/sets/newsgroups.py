"""20 Newsgroups."""

from dec.base.arguments import add_seed
from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.texts.newsgroups import build_leveldbs

    return build_leveldbs(folder, **options)


DATA_SETS = [
    DataSet(
        "20news",
        "20 Newsgroups, 18,846 messages",
        "its tar archive, or folder",
        _build,
        options=add_seed,
    )
]
