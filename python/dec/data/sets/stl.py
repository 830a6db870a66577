"""STL-10."""

from dec.base.arguments import add_seed
from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.stl import build_leveldbs

    return build_leveldbs(folder, **options)


DATA_SETS = [
    DataSet(
        "stl",
        "STL-10: HOG and colours of 113,000 images",
        "its folder of .bin files, or its .tar.gz (default: download it, 2.6 GB)",
        _build,
        public=True,
        options=add_seed,
    )
]
