"""Any folder of texts."""

from dec.base.arguments import add_seed
from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.texts.text import build_leveldbs

    return build_leveldbs(folder, **options)


def _reader(facts):
    from dec.data.texts.text import TextPreparation

    return TextPreparation(facts)


DATA_SETS = [
    DataSet(
        "text",
        "words of a folder of text files",
        "folder",
        _build,
        options=add_seed,
        nameable=True,
        kind="text",
        reader=_reader,
    )
]
