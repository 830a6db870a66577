"""Read idx files, the format of the original MNIST.

Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format". Two zero bytes,
a type byte, the number of dimensions, the dimensions as big-endian uint32, then
the numbers in C order, big-endian.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from dec.base.errors import DecError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMS = 64  # numpy's
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | Path) -> np.ndarray:
    """The array in the idx file `path`, plain or gzip, whatever its name ends with.

    Its shape and type are the file's, in the machine's byte order. Raises DecError
    when the file is missing or damaged, naming what is wrong and what was expected.
    """
    return parse_idx(read_unzipped(path), path)


def is_idx(head: bytes) -> bool:
    """Whether a file that starts with these bytes may be an idx file, plain or gzip."""
    if head.startswith(_GZIP_MAGIC):
        unpack = zlib.decompressobj(wbits=31)
        try:
            head = unpack.decompress(head, 4)
        except zlib.error:
            return False
    plain = len(head) >= 4 and head[:2] == b"\0\0"
    return plain and head[2] in _TYPES and 1 <= head[3] <= _MAX_DIMS


def read_unzipped(path: str | Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip. DecError if it cannot be read."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DecError(f"{path}: cannot be read: {error.strerror}") from error
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DecError(f"{path}: damaged or cut short gzip file: {error}") from error


def parse_idx(raw: bytes, name: str | Path) -> np.ndarray:
    """The array in the bytes `raw` of an idx file; `name` is for the error message."""
    if len(raw) < 4:
        raise DecError(f"{name}: cut short: {len(raw)} bytes, no whole idx header")
    if raw[:2] != b"\0\0" or raw[2] not in _TYPES or not 1 <= raw[3] <= _MAX_DIMS:
        types = ", ".join(f"{code:02x}" for code in _TYPES)
        raise DecError(
            f"{name}: not an idx file: it starts with the bytes {raw[:4].hex(' ')}; "
            f"expected 00 00, a type ({types}) and 1 to {_MAX_DIMS} dimensions"
        )
    dtype, ndim = np.dtype(_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise DecError(
            f"{name}: cut short: {len(raw)} bytes, "
            f"its header of {ndim} dimensions alone takes {start}"
        )
    shape = struct.unpack_from(f">{ndim}I", raw, 4)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        wrong = "cut short" if len(raw) < expected else "too long"
        raise DecError(
            f"{name}: {wrong}, or its counts are wrong: {len(raw)} bytes where "
            f"{' x '.join(map(str, shape))} numbers of {dtype.itemsize} byte(s) "
            f"take {expected}"
        )
    flat = np.frombuffer(raw, dtype, offset=start)
    # A copy in any case: the caller gets an array that may be written to.
    return flat.reshape(shape).astype(dtype.newbyteorder("="))
