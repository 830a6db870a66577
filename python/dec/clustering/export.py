"""`dec export`: the images of a run, sorted into one folder a cluster."""

import os
import re
import shutil
from pathlib import Path

from dec.base import progress
from dec.base.atomic import partial_path, replace_dir
from dec.base.errors import DecError
from dec.base.files import refuse_to_replace
from dec.clustering.report.pictures import png
from dec.clustering.report.results import Results
from dec.data import leveldb
from dec.data.images.row_images import RowImages

_WHAT = "an export"
# A suffix is the user's file's: whatever comes after its last dot.
_OWN = re.compile(r"\d+/(\d{5,}_p[01]\.\d{4}_row\d{6,}(\.[^/]*)?)?")
_LONGEST_SUFFIX = 64  # bytes; what is longer is none


def export(folder: Path, out: Path | None = None, copy: bool = False) -> None:
    """Puts every image into <out>/<cluster>/, the most typical first by name.

    folder: of a finished run. out: RUN/classes if None; an earlier export there is
    replaced, when the new one is complete. Rows that are images are written as PNG.
    Where they are files (the LevelDB has names, and "folder" in dec.json), these are
    linked, or copied if `copy`.

    Raises DecError where there is no finished run, its rows are neither, or `out`
    holds other things than an export.
    """
    results = Results.read(folder)
    target = folder / "classes" if out is None else out
    refuse_to_replace(target, _WHAT, _OWN)
    names = _names(results)
    files = _files(results)
    images = _images(results) if files is None else None
    partial = partial_path(target)
    try:
        for cluster in range(results.k):
            (partial / str(cluster)).mkdir(parents=True)
        with progress.bar(results.n, "export", " images") as bar:
            if images:
                for name, picture in zip(names, images.all(), strict=True):
                    (partial / f"{name}.png").write_bytes(png(picture))
                    bar.update()
            else:
                for name, file in zip(names, files, strict=True):
                    _place(Path(file), partial / name, copy)
                    bar.update()
        refuse_to_replace(target, _WHAT, _OWN)
        replace_dir(partial, target)
    except OSError as error:
        raise DecError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    progress.say(f"export: {results.n:,} images in {results.k} folders, in {target}")


def _names(results: Results) -> list[str]:
    """For every row its folder and name, without suffix: <cluster>/<rank>_p…_row…."""
    names = [""] * results.n
    digits = max(6, len(str(results.n - 1)))
    for cluster in range(results.k):
        for rank, row in enumerate(results.members(cluster).tolist(), start=1):
            p = results.confidence[row]
            names[row] = f"{cluster}/{rank:05d}_p{p:.4f}_row{row:0{digits}d}"
    return names


def _files(results: Results) -> list[Path] | None:
    """The file of every row, where the LevelDB was made of files."""
    folder = (leveldb.read_meta(results.database) or {}).get("folder")
    names = leveldb.read_names(results.database) if folder else None
    if names is None:
        return None
    if len(names) != results.n:
        raise DecError(
            f"{results.database}: has {len(names)} names; the run has {results.n} rows"
        )
    return [Path(folder) / name for name in names]


def _images(results: Results) -> RowImages:
    images = RowImages.find(results.database)
    if images is None:
        raise DecError(
            f"{results.database}: its rows are not images "
            f'(no "image" in {leveldb.META_NAME}), so there is nothing to export; '
            f"the cluster of every row is in {results.folder / 'assignments.csv'}"
        )
    if images.rows != results.n:
        raise DecError(
            f"{results.database}: has {images.rows} rows now; the run was on "
            f"{results.n}"
        )
    return images


def _place(file: Path, name: Path, copy: bool) -> None:
    """Links or copies a user's file as `name`, with its own suffix."""
    if len(os.fsencode(file.suffix)) <= _LONGEST_SUFFIX:
        name = name.with_name(name.name + file.suffix)
    if not file.is_file():
        raise DecError(f"{file}: the image is not there any more; nothing was exported")
    if copy:
        shutil.copyfile(file, name)
    else:
        name.symlink_to(file.resolve())
