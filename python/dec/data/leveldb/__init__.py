"""LevelDBs of Caffe's Datum messages."""

from dec.data.leveldb.rows import (
    FORMAT,
    META_NAME,
    NAMES_NAME,
    Reader,
    is_current,
    open_reader,
    read_meta,
    read_names,
    write_rows,
)

__all__ = [
    "FORMAT",
    "META_NAME",
    "NAMES_NAME",
    "Reader",
    "is_current",
    "open_reader",
    "read_meta",
    "read_names",
    "write_rows",
]
