"""Fashion-MNIST."""

from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.fashion import FASHION

    return FASHION.build_leveldbs(folder, **options)


DATA_SETS = [
    DataSet(
        "fashion-mnist",
        "70,000 pictures of clothes",
        "a folder with the four idx files, plain or .gz (default: download them)",
        _build,
        public=True,
    )
]
