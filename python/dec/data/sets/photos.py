"""Any folder of photos."""

from dec.base.arguments import add_features, add_seed, width_x_height
from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.photo_rows import build_leveldbs

    return build_leveldbs(folder, **options)


def _reader(facts):
    from dec.data.images.photo_rows import PhotoRows

    return PhotoRows(facts)


def _options(sub):
    add_seed(sub)
    sub.add_argument(
        "--size",
        type=width_x_height,
        metavar="WxH",
        help="pixels of every photo (200x120)",
    )
    sub.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        help="what is done to photos of another shape (crop)",
    )
    add_features(sub)
    sub.add_argument(
        "--labels",
        choices=("auto", "folders", "names", "none"),
        help="by sub-folder, or by name (label_name.jpg); auto: by what there is",
    )
    sub.add_argument("--max-pixels", type=int, metavar="N", help="skip larger ones")
    sub.add_argument("--jobs", type=int, metavar="N", help="processes (all cores)")


DATA_SETS = [
    DataSet(
        "photos",
        "features of a folder of photos",
        "folder",
        _build,
        options=_options,
        nameable=True,
        features=True,
        kind="photos",
        reader=_reader,
    )
]
