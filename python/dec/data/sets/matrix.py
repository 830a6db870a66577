"""Any matrix: a .npy file, or a table of text."""

from pathlib import Path

from dec.data.registry import DataSet


def _build_npy(folder, **options):
    from dec.data.matrix import build_npy_leveldbs

    return build_npy_leveldbs(folder, **options)


def _build_csv(folder, **options):
    from dec.data.matrix import build_csv_leveldbs

    return build_csv_leveldbs(folder, **options)


def _reader(facts):
    from dec.data.inputs import Preparation

    return Preparation(facts)


def _npy_options(sub):
    sub.add_argument(
        "--labels", type=Path, metavar="FILE", help="a .npy file of n labels"
    )


def _csv_options(sub):
    sub.add_argument(
        "--header",
        choices=("auto", "yes", "no"),
        help="whether the first line names the columns (auto: by what is in it)",
    )
    sub.add_argument(
        "--label-column", metavar="C", help="name or number (from 1) of the labels"
    )


DATA_SETS = [
    DataSet(
        "npy",
        "any matrix",
        "a .npy file, n x anything",
        _build_npy,
        options=_npy_options,
        nameable=True,
        kind="matrix",
        reader=_reader,
    ),
    DataSet(
        "csv",
        "any table of numbers",
        "a .csv or .tsv file",
        _build_csv,
        options=_csv_options,
        nameable=True,
    ),
]
