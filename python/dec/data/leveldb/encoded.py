"""LevelDBs of encoded photos: JPEGs that Caffe's data layer decodes.

Keys and the files beside the database are those of dec.data.leveldb: row i has the
key "%08d" % i, names.txt holds a name a row, dec.json what else is known.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import plyvel
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from dec.base.errors import DecError
from dec.data.leveldb import META_NAME, NAMES_NAME
from dec.data.leveldb.database import new_database, open_database, words_of

_ADVICE = "`dec data labelled` writes it anew."
_BATCH_BYTES = 4 << 20


def write_photos(
    folder: Path,
    photos: Iterable[tuple[str, bytes, int]],
    size: tuple[int, int],
    meta: dict,
) -> int:
    """Writes (name, JPEG, label) rows to a new LevelDB in `folder`; returns how many.

    size: width and height of all. Raises DecError when it cannot be written; what is
    in the folder then is of no use.
    """
    width, height = size
    try:
        folder.mkdir(parents=True)
        with (
            new_database(folder, create_if_missing=True, error_if_exists=True) as db,
            open(folder / NAMES_NAME, "w", encoding="ascii") as names,
        ):
            count, filled, batch = 0, 0, db.write_batch()
            for name, jpeg, label in photos:
                datum = caffe_pb2.Datum(
                    channels=3,
                    height=height,
                    width=width,
                    data=jpeg,
                    label=label,
                    encoded=True,
                )
                batch.put(b"%08d" % count, datum.SerializeToString())
                names.write(json.dumps(name) + "\n")
                count += 1
                filled += len(jpeg)
                if filled > _BATCH_BYTES:
                    batch.write()
                    filled, batch = 0, db.write_batch()
            batch.write()
        # Opened once more, the rows move from LevelDB's log into its tables.
        new_database(folder).close()
        facts = {**meta, "rows": count, "shape": [3, height, width], "encoded": True}
        text = json.dumps(facts, indent=1) + "\n"
        (folder / META_NAME).write_text(text, encoding="utf-8")
    except plyvel.Error as error:
        raise DecError(f"{folder}: cannot be written: {words_of(error)}") from error
    except OSError as error:
        raise DecError(f"{folder}: cannot be written: {error.strerror}") from error
    return count


def read_photos(folder: Path) -> Iterator[tuple[bytes, int]]:
    """The rows of such a LevelDB: JPEG and label. Raises DecError when damaged."""
    db = open_database(folder, _ADVICE)
    row = -1
    try:
        for row, (key, value) in enumerate(db.iterator(verify_checksums=True)):
            datum = caffe_pb2.Datum.FromString(value)
            if key != b"%08d" % row or not datum.encoded:
                raise DecError(f"{folder}: row {row} is missing or no encoded photo")
            yield datum.data, datum.label
    except (plyvel.Error, DecodeError) as error:
        raise DecError(
            f"{folder}: damaged after row {row}: {words_of(error)}. {_ADVICE}"
        ) from error
    finally:
        db.close()
