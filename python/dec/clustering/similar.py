"""`dec similar`: the photos of a run that are most like a photo."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dec.base import progress
from dec.base.atomic import write_bytes_atomic
from dec.base.errors import DecError
from dec.base.files import printable
from dec.base.tables import read_table
from dec.base.text_tables import aligned
from dec.clustering.report.pictures import jpeg
from dec.clustering.report.results import Results
from dec.data import leveldb
from dec.data.images.row_images import RowImages
from dec.data.registry import reader
from dec.engine.runs import preparation
from dec.nets import caffe_process

_ACROSS = 4  # pictures
_MARGIN, _TEXT = 8, 30  # pixels around a picture, and below it for two lines
_LONGEST = 32  # characters of a name on the sheet


@dataclass(frozen=True)
class Near:
    """A row of a run, its name and cluster, and its cosine to the one asked for."""

    row: int
    name: str
    cluster: int
    similarity: float


def similar(
    folder: Path, photo: Path, count: int = 12, out: Path | None = None
) -> None:
    """Prints the `count` nearest photos of a run, and writes a contact sheet of them.

    folder: of a finished run on photos. The photo is prepared as the run's own were,
    so that one of these is found with the similarity 1. out: the sheet, a file that is
    not there yet; None: similar.jpg in the run's folder.

    Raises DecError where the run is not of photos, its LevelDB is gone or of another
    make by now, the photo cannot be read, or `out` is there.
    """
    facts = preparation(folder)
    if "photos" not in facts:
        raise DecError(f"{folder}: is not a run on photos; dec similar needs one")
    if not photo.is_file():
        raise DecError(f"{printable(photo)}: there is no such file")
    if out is not None and os.path.lexists(out):
        raise DecError(f"{printable(out)}: is there; name a new file for the sheet")
    results = Results.read(folder)
    names = _names(results, facts)
    rows = reader(facts)

    def work() -> None:
        [(_, [query])] = rows.read(photo)
        found = [
            Near(row, names[row], int(results.assigned[row]), cosine)
            for row, cosine in nearest(results.database, query, count)
        ]
        table = [("similarity", "cluster", "  name")]
        table += [
            (f"{one.similarity:.4f}", one.cluster, f"  {printable(one.name)}")
            for one in found
        ]
        print("\n".join(aligned(table, (">10", ">8", "<0"))))
        _write_sheet(results.database, found, out or folder / "similar.jpg")

    caffe_process.run(work, folder / "similar.log")
    progress.say(f"contact sheet: {printable(out or folder / 'similar.jpg')}")


def nearest(database: Path, query: np.ndarray, count: int) -> list[tuple[int, float]]:
    """(row, cosine) of the rows of a LevelDB nearest to one of d numbers, best first.

    Exact, in one pass over the LevelDB with a block of rows in memory; of rows that are
    as near, the first. A row of zeros has the cosine 0 with every other.
    """
    query = query.astype(np.float64)
    rows = np.empty(0, int)
    cosines = np.empty(0)
    at = 0
    with leveldb.open_reader(database) as source:
        for block, _ in source.batches(size=4096):
            block = block.astype(np.float64)
            length = np.linalg.norm(block, axis=1) * np.linalg.norm(query)
            cosine = block @ query / np.where(length > 0, length, 1)
            cosines = np.concatenate([cosines, cosine])
            rows = np.concatenate([rows, at + np.arange(len(block))])
            best = np.argsort(-cosines, kind="stable")[:count]
            rows, cosines = rows[best], cosines[best]
            at += len(block)
    return list(zip(rows.tolist(), cosines.tolist(), strict=True))


def _names(results: Results, facts: dict) -> list[str]:
    """Of all rows; DecError where the LevelDB is not the one that the run was on."""
    database = results.database
    if not database.is_dir():
        raise DecError(
            f"{database}: the LevelDB of this run is gone; `dec data photos DIR`, with "
            "the options of then, makes it again"
        )
    meta = leveldb.read_meta(database) or {}
    names = leveldb.read_names(database) or []
    own = _own_names(results.folder)
    if meta.get("photos") != facts["photos"] or names != own:
        raise DecError(
            f"{database}: is of another make by now than that of the run (other "
            "photos, features or order): run again, or make it with the options of then"
        )
    return names


def _own_names(folder: Path) -> list[str]:
    """The names in assignments.csv."""
    rows = read_table(folder / "assignments.csv", ours=True)
    _, head = next(rows)
    if "name" not in head:
        return []
    at = head.index("name")
    return [cells[at] for _, cells in rows]


def _write_sheet(database: Path, found: list[Near], out: Path) -> None:
    images = RowImages.find(database)
    if images is None:
        raise DecError(f"{database}: has no pictures beside it (photos_img)")
    height, width = images.size
    wide, high = width + 2 * _MARGIN, height + _MARGIN + _TEXT
    lines = -(-len(found) // _ACROSS)
    sheet = Image.new("RGB", (wide * min(_ACROSS, len(found)), high * lines), "white")
    draw = ImageDraw.Draw(sheet)
    pictures = images.read([one.row for one in found])
    for i, (one, picture) in enumerate(zip(found, pictures, strict=True)):
        x, y = i % _ACROSS * wide + _MARGIN, i // _ACROSS * high + _MARGIN
        sheet.paste(Image.fromarray(picture), (x, y))
        name = printable(Path(one.name).name)
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 3]}..."
        words = f"{name.encode('ascii', 'replace').decode()}\n"
        words += f"{one.similarity:.4f}, cluster {one.cluster}"
        draw.multiline_text((x, y + height + 1), words, fill="black", spacing=1)
    try:
        write_bytes_atomic(out, jpeg(sheet))
    except OSError as error:
        raise DecError(f"{out}: cannot be written: {error.strerror}") from None
