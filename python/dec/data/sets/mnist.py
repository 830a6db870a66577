"""MNIST, and rows of plain numbers and grey images."""

from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.mnist import MNIST

    return MNIST.build_leveldbs(folder, **options)


def _reader(facts):
    from dec.data.inputs import Preparation

    return Preparation(facts)


DATA_SETS = [
    DataSet(
        "mnist",
        "70,000 handwritten digits",
        "a folder with the four idx files, plain or .gz (default: download them)",
        _build,
        public=True,
        reader=_reader,
    )
]
