"""Photos themselves, of any folder: for nets that learn from images."""

from dec.data.registry import DataSet


def _build(folder, **options):
    from dec.data.images.photos import build_leveldbs

    return build_leveldbs(folder, **options)


def _options(sub):
    sub.add_argument(
        "--side", type=int, metavar="N", help="pixels of the shorter side (256)"
    )
    sub.add_argument(
        "--labels",
        choices=("auto", "folders", "names", "none"),
        help="by sub-folder, or by name (label_name.jpg); auto: by what there is",
    )
    sub.add_argument(
        "--name", help="of the LevelDB, data/NAME_train (images); see dec deepcluster"
    )
    sub.add_argument("--jobs", type=int, metavar="N", help="processes (all cores)")


DATA_SETS = [
    DataSet(
        "images",
        "a folder of photos, for dec deepcluster",
        "folder",
        _build,
        options=_options,
        rows=False,
    )
]
